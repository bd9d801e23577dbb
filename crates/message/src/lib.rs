//! Header fields and trace: what stands above a message's body.
#![forbid(unsafe_code)]
