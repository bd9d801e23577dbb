//! POP3 (RFC 1939): commands, responses and the session, without sockets.
#![forbid(unsafe_code)]
