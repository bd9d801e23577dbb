//! DATA and BDAT: how mail data come in.

use std::time::Instant;

use bytes::Bytes;
use envelope::{Client, Entitlement, Envelope, QueueId, Sender};
use memchr::memchr;
use message::{Protocol, Received};
use time::OffsetDateTime;

use super::{Carrier, Chunk, Hello, Session, State, Step, Trace, Transaction};
use crate::action::{Action, Event, Refused};
use crate::data::Decoder;
use crate::draft::{Draft, Fault};
use crate::replies;
use crate::reply::Reply;
use crate::submission::Submission;

impl Session {
    /// DATA.
    pub(super) fn ask_for_data(&mut self) -> Step {
        match std::mem::take(&mut self.state) {
            State::Transaction(transaction) if transaction.recipients.is_empty() => {
                self.state = State::Transaction(transaction);
                self.reply(&replies::rcpt_first())
            }
            State::Transaction(transaction) => self.open(transaction, Carrier::Data),
            state @ State::BetweenChunks(_) => {
                self.state = state;
                self.reply(&replies::amid_chunks())
            }
            _ => self.reply(&replies::mail_first()),
        }
    }

    /// BDAT. Whatever the answer, `size` octets of data follow. A refusal ends the transaction, so
    /// that chunks that may be on their way already are refused as well (RFC 3030 §2).
    pub(super) fn bdat(&mut self, size: u64, last: bool, now: Instant) -> Step {
        let chunk = Chunk { size, left: size, last };
        match std::mem::take(&mut self.state) {
            State::BetweenChunks(mut draft) => {
                if size > self.settings.message_size_max.saturating_sub(draft.size()) {
                    self.note_fault(&mut draft, Fault::TooLarge);
                }
                self.state = State::Chunk(draft, chunk);
            }
            State::Transaction(transaction) if transaction.recipients.is_empty() => {
                self.skip_chunk(size, replies::rcpt_first(), now);
            }
            State::Transaction(transaction) if size > self.settings.message_size_max => {
                let refused = Refused {
                    reverse_path: Some(transaction.reverse_path),
                    recipient: None,
                    id: None,
                    account: transaction.sender.map(|sender| sender.account),
                    reply: replies::too_large(),
                };
                self.refuse_chunk(size, refused, now);
            }
            State::Transaction(transaction) => return self.open(transaction, Carrier::Bdat(chunk)),
            _ => self.skip_chunk(size, replies::mail_first(), now),
        }
        Step::Done
    }

    /// Hears a chunk to its end, and refuses it then.
    pub(super) fn refuse_chunk(&mut self, size: u64, refused: Refused, now: Instant) {
        self.skip_chunk(size, refused.reply.clone(), now);
        self.actions.push_back(Action::Log(Event::Refused(refused)));
    }

    fn skip_chunk(&mut self, size: u64, then: Reply, now: Instant) {
        let deadline = now + self.settings.message_time_max;
        self.state = State::Skipping { left: size, then, deadline };
    }

    /// Has the shell begin a message. The transaction has a recipient.
    fn open(&mut self, transaction: Transaction, carrier: Carrier) -> Step {
        let Transaction {
            sender, reverse_path, recipients, body, smtputf8, wishes, recipient_wishes, ..
        } = transaction;
        let recipient = match recipients.as_slice() {
            [only] => Some(only.address().clone()),
            _ => None,
        };
        let trace = Trace { sender: sender.clone(), reverse_path: reverse_path.clone(), recipient, smtputf8 };
        match Envelope::new(reverse_path, recipients, body, smtputf8) {
            Ok(envelope) => {
                let envelope = envelope.with_wishes(wishes, recipient_wishes);
                self.actions.push_back(Action::Open { envelope, sender });
                self.state = State::Opening(trace, carrier);
                Step::Done
            }
            Err(_) => self.reply(&replies::rcpt_first()),
        }
    }

    /// The message has a name: it begins with our Received field.
    pub(super) fn begin(
        &mut self,
        trace: Trace,
        carrier: Carrier,
        id: QueueId,
        now: Instant,
        wall: OffsetDateTime,
    ) -> Step {
        let field = self.received(&trace, id, wall).to_string();
        self.actions.push_back(Action::Append(Bytes::from(field)));
        let deadline = now + self.settings.message_time_max;
        let submission = trace.sender.map(|sender| Submission::new(sender, wall, trace.smtputf8));
        let draft = |decoder| Draft::new(id, trace.reverse_path, submission, decoder, deadline);
        match carrier {
            Carrier::Data => {
                self.state = State::Data(draft(Decoder::dotted()));
                self.reply(&replies::go_ahead())
            }
            Carrier::Bdat(chunk) => {
                self.state = State::Chunk(draft(Decoder::counted()), chunk);
                Step::Done
            }
        }
    }

    fn received<'a>(&'a self, trace: &'a Trace, id: QueueId, wall: OffsetDateTime) -> Received<'a> {
        Received {
            helo: match &self.hello {
                Hello::None => None,
                Hello::Helo(name) | Hello::Ehlo(name) => Some(name),
            },
            peer_name: self.peer.name.as_deref(),
            peer_address: self.peer.address,
            user: self.peer.user,
            host: &self.settings.host,
            with: Protocol {
                esmtp: matches!(self.hello, Hello::Ehlo(_)),
                smtputf8: trace.smtputf8,
                tls: self.tls.is_some(),
                // Neither a relay window nor a user id is: RFC 3848 means AUTH.
                authenticated: matches!(
                    &self.client,
                    Client::Sender(Sender { entitlement: Entitlement::Authentication, .. })
                ),
            },
            cipher: self.tls.as_ref().map(|tls| tls.cipher.as_str()),
            id,
            recipient: trace.recipient.as_ref(),
            at: wall,
        }
    }

    /// In the data of DATA.
    pub(super) fn data(&mut self, mut draft: Draft) -> Step {
        if self.input.is_empty() && !draft.decoder.has_ended() {
            self.state = State::Data(draft);
            return Step::NeedsInput;
        }
        let length = self.portion(&draft, self.input.len());
        let ended = self.take_data(&mut draft, length);
        if draft.header_is_due() {
            return self.read_authors(draft, Carrier::Data);
        }
        match (ended, draft.fault()) {
            (false, _) => self.state = State::Data(draft),
            (true, None) => self.commit(draft),
            (true, Some(fault)) => return self.refuse_message(&draft, fault),
        }
        Step::Done
    }

    /// In the data of BDAT.
    pub(super) fn chunk(&mut self, mut draft: Draft, mut chunk: Chunk) -> Step {
        if chunk.left > 0 {
            if self.input.is_empty() {
                self.state = State::Chunk(draft, chunk);
                return Step::NeedsInput;
            }
            let length = self.portion(&draft, available(chunk.left, self.input.len()));
            self.take_data(&mut draft, length);
            chunk.left -= length as u64;
            if draft.header_is_due() {
                return self.read_authors(draft, Carrier::Bdat(chunk));
            }
            self.state = State::Chunk(draft, chunk);
            return Step::Done;
        }
        if chunk.last && draft.fault().is_none() {
            match draft.decoder.finish() {
                Ok(line_end) => self.give_out(&mut draft, Bytes::from_static(line_end)),
                Err(fault) => self.note_fault(&mut draft, fault.into()),
            }
            if draft.header_is_due() {
                return self.read_authors(draft, Carrier::Bdat(chunk));
            }
        }
        match draft.fault() {
            // The message failed as a whole: chunks that may follow find no transaction (RFC 3030 §2).
            Some(fault) => return self.refuse_message(&draft, fault),
            None if chunk.last => self.commit(draft),
            None => {
                self.state = State::BetweenChunks(draft);
                return self.reply(&replies::chunk_ok(chunk.size));
            }
        }
        Step::Done
    }

    /// In a chunk that nobody wants.
    pub(super) fn skip(&mut self, left: u64, then: Reply, deadline: Instant) -> Step {
        if left > 0 && self.input.is_empty() {
            self.state = State::Skipping { left, then, deadline };
            return Step::NeedsInput;
        }
        let length = available(left, self.input.len());
        let _ = self.input.split_to(length);
        match left - length as u64 {
            0 => self.reply(&then),
            left => {
                self.state = State::Skipping { left, then, deadline };
                Step::Done
            }
        }
    }

    /// How many octets to take at once of `length` that are there: of a held header a line, so that
    /// no octet of the body is taken before the header is judged.
    fn portion(&self, draft: &Draft, length: usize) -> usize {
        if !draft.holds_header() {
            return length;
        }
        memchr(b'\n', &self.input[..length]).map_or(length, |at| at + 1)
    }

    /// Takes mail data off the front of the input, at most `length` octets, and gives out what is
    /// good of them. Says whether they ended.
    fn take_data(&mut self, draft: &mut Draft, length: usize) -> bool {
        let decoded = draft.decoder.decode(&mut self.input[..length]);
        let mut piece = self.input.split_to(decoded.consumed);
        piece.truncate(decoded.kept);
        if draft.fault().is_some() {
            return decoded.ended;
        }
        draft.count(&piece, &self.settings);
        if draft.fault().is_some() {
            self.actions.push_back(Action::Discard);
        } else {
            self.give_out(draft, piece.freeze());
        }
        decoded.ended
    }

    /// Gives out good mail data, or holds them while the header is held.
    fn give_out(&mut self, draft: &mut Draft, data: Bytes) {
        match &mut draft.submission {
            Some(submission) if submission.is_holding() => submission.hold(&data),
            _ if data.is_empty() => {}
            _ => self.actions.push_back(Action::Append(data)),
        }
    }

    pub(super) fn note_fault(&mut self, draft: &mut Draft, fault: Fault) {
        if draft.fault().is_none() {
            draft.refuse(fault);
            self.actions.push_back(Action::Discard);
        }
    }

    fn commit(&mut self, draft: Draft) {
        self.actions.push_back(Action::Commit);
        self.state = State::Committing(draft);
    }

    /// The end of a message that was found faulty.
    fn refuse_message(&mut self, draft: &Draft, fault: Fault) -> Step {
        self.refuse(Refused {
            reverse_path: Some(draft.reverse_path.clone()),
            recipient: None,
            id: Some(draft.id),
            account: draft.account(),
            reply: replies::faulty(fault),
        })
    }
}

/// How many of `left` octets are there already.
fn available(left: u64, there: usize) -> usize {
    usize::try_from(left).map_or(there, |left| left.min(there))
}
