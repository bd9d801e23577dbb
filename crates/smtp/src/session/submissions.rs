//! What comes between the header of a submission and its body: its authors are judged, and what it
//! lacks is added.

use bytes::Bytes;
use envelope::{Address, Refusal};

use super::{Carrier, Session, State, Step};
use crate::action::Action;
use crate::draft::{Draft, Fault};
use crate::submission::{Authors, Submission};

impl Session {
    /// The header is whole: has its authors judged.
    pub(super) fn read_authors(&mut self, mut draft: Draft, carrier: Carrier) -> Step {
        let Some(submission) = &draft.submission else {
            self.go_on(draft, carrier);
            return Step::Done;
        };
        match submission.authors() {
            Ok(Authors::Named(authors)) => self.judge_authors(draft, carrier, authors, None),
            Ok(Authors::FromLacking(others)) => match draft.reverse_path.address().cloned() {
                Some(from) => self.judge_authors(draft, carrier, others, Some(from)),
                None => {
                    self.actions.push_back(Action::OwnAddress(submission.sender().clone()));
                    self.state = State::AskingAddress(draft, carrier, others);
                }
            },
            Err(fault) => {
                self.note_fault(&mut draft, fault);
                self.go_on(draft, carrier);
            }
        }
        Step::Done
    }

    /// `from` is the author of a message that does not say so itself.
    fn judge_authors(
        &mut self,
        draft: Draft,
        carrier: Carrier,
        mut authors: Vec<Address>,
        from: Option<Address>,
    ) {
        authors.extend(from.clone());
        let sender = draft.submission.as_ref().map(Submission::sender).cloned();
        self.actions.extend(sender.map(|sender| Action::JudgeAuthors { authors, sender }));
        self.state = State::JudgingAuthors(draft, carrier, from);
    }

    /// Answers [`Action::OwnAddress`]: an address of the customer's own.
    pub fn own_address(&mut self, answer: Result<Address, Refusal>) {
        let (mut draft, carrier, others) = match std::mem::take(&mut self.state) {
            State::AskingAddress(draft, carrier, others) => (draft, carrier, others),
            state => return self.state = state,
        };
        match answer {
            Ok(from) => self.judge_authors(draft, carrier, others, Some(from)),
            Err(refusal) => {
                self.note_fault(&mut draft, Fault::Author(refusal));
                self.go_on(draft, carrier);
            }
        }
    }

    /// Answers [`Action::JudgeAuthors`]. After a refusal the message is read to its end, and the
    /// client is told then.
    pub fn authors_judged(&mut self, verdict: Result<(), Refusal>) {
        let (mut draft, carrier, from) = match std::mem::take(&mut self.state) {
            State::JudgingAuthors(draft, carrier, from) => (draft, carrier, from),
            state => return self.state = state,
        };
        match verdict {
            Ok(()) => {
                let id = draft.id;
                if let Some(submission) = &mut draft.submission {
                    let (added, header) = submission.release(id, &self.settings.host, from.as_ref());
                    let given = [added, header].into_iter().filter(|piece: &Bytes| !piece.is_empty());
                    self.actions.extend(given.map(Action::Append));
                }
            }
            Err(refusal) => self.note_fault(&mut draft, Fault::Author(refusal)),
        }
        self.go_on(draft, carrier);
    }

    /// Goes on with the mail data.
    fn go_on(&mut self, draft: Draft, carrier: Carrier) {
        self.state = match carrier {
            Carrier::Data => State::Data(draft),
            Carrier::Bdat(chunk) => State::Chunk(draft, chunk),
        };
    }
}
