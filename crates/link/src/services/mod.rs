//! What roles ask of one another: one enum of requests and one of responses per service.

pub mod directory;
pub mod keys;
pub mod local;
pub mod maildrop;
pub mod programs;
pub mod queue;
pub mod remote;
pub mod submit;
