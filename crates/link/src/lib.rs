//! Frames and typed calls between the roles.
#![forbid(unsafe_code)]
