//! Domains, accounts and passwords, and the store that keeps them.
#![forbid(unsafe_code)]
