//! End to end: the real binary, each time in a directory and at ports of its own, and real clients
//! that drive it. `cargo xtask test` installs the clients.
#![forbid(unsafe_code)]
// What stands around the tests may panic as they do: that is how a test fails.
#![allow(clippy::unwrap_used)]

mod absence;
mod addresses;
mod browser;
mod clients;
mod command_line;
mod dialogues;
mod documents;
mod forwarding;
mod house;
mod http;
mod keys;
mod killing;
mod limits;
mod mailboxes;
mod page;
mod page_addresses;
mod page_api;
mod page_http;
mod page_permissions;
mod page_record;
mod page_sessions;
mod privileges;
mod programs;
mod promises;
mod qmail_faces;
mod queue_commands;
mod reports;
mod sending;
mod sendmail;
mod sendmail_shell;
mod submit;
mod trace;
mod wire;
mod world;
