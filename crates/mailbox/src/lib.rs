//! Maildirs: writing, listing, reading and removing messages.
#![forbid(unsafe_code)]
