//! SMTP (RFC 5321): commands, replies and the server session, without sockets.
#![forbid(unsafe_code)]
