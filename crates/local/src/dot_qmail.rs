//! The `.qmail` language: what an address's owner wants done with its mail.
//!
//! One road through it: [`candidates`] says under which names the instructions of an address may
//! stand, and in which order to ask; [`Instructions::parse`] reads the text; whoever delivers
//! obeys the list, giving programs [`environment`] and judging them by [`ProgramOutcome`];
//! [`new_sender`] says who is the sender of what is forwarded. Before a text is stored,
//! [`Instructions::check_for_writing`] refuses what would surprise its writer.
//!
//! Nothing here touches a file, a process or the clock.
//!
//! Two things are kinder than in qmail. A text is read as a whole before its first line is obeyed,
//! so an error in line 3 does not deliver lines 1 and 2 again at every retry. And a forward to
//! something that is no address ([`ForwardTo::Undeliverable`]) fails alone.

mod check;
mod environment;
mod form;
mod forward_to;
mod forwarding;
mod from_line;
mod grammar;
mod instructions;
mod lookup;
mod owner;
mod program_outcome;
mod report;
mod trap;

pub(crate) use check::is_invisible;
pub use check::{Limits, TEXT_MAX};
pub use environment::{NulInVariable, Scene, VARIABLES, environment};
pub use form::{Form, NotADestination, destination};
pub use forward_to::ForwardTo;
pub use forwarding::Forwarding;
pub use from_line::from_line;
pub use grammar::{Context, Fault, ParseError};
pub use instructions::{Counts, Instruction, Instructions};
pub use lookup::{Candidate, FileName, candidates};
pub use owner::{NewSender, OwnerFiles, OwnerFound, Verp, new_sender};
pub use program_outcome::ProgramOutcome;
pub use report::report;
pub use trap::{Problem, Trap};
