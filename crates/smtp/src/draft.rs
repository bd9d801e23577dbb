//! A message that is being received, held against the limits.

use std::time::Instant;

use envelope::{AccountName, QueueId, Refusal, ReversePath};
use message::HeaderScan;

use crate::data::{Decoder, LineFault};
use crate::settings::Settings;
use crate::submission::Submission;

/// Why mail data are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A CR that is not followed by LF.
    BareCr,
    /// A LF that does not follow a CR.
    BareLf,
    /// A NUL.
    Nul,
    /// More octets than [`Settings::message_size_max`].
    TooLarge,
    /// A header of more octets than [`Settings::header_size_max`].
    HeaderTooLarge,
    /// [`Settings::hops_max`] hops or more.
    TooManyHops,
    /// A submission with more than one From field (RFC 5322 §3.6 allows one).
    FromTwice,
    /// A submission with a From field that names nobody, or of which nobody can tell whom it names.
    FromUnreadable,
    /// A submission with a Sender field of which nobody can tell whom it names.
    SenderUnreadable,
    /// The same of a Resent-From or Resent-Sender field.
    ResentUnreadable,
    /// A submission by somebody who may not write as its authors.
    Author(Refusal),
}

impl From<LineFault> for Fault {
    fn from(fault: LineFault) -> Fault {
        match fault {
            LineFault::BareCr => Fault::BareCr,
            LineFault::BareLf => Fault::BareLf,
            LineFault::Nul => Fault::Nul,
        }
    }
}

/// A message that is being received. It holds none of its data but the header of a submission.
#[derive(Debug)]
pub(crate) struct Draft {
    pub id: QueueId,
    pub reverse_path: ReversePath,
    pub decoder: Decoder,
    /// When it must be complete.
    pub deadline: Instant,
    /// What there is besides if it is a customer's.
    pub submission: Option<Submission>,
    header: HeaderScan,
    size: u64,
    fault: Option<Fault>,
}

impl Draft {
    pub(crate) fn new(
        id: QueueId,
        reverse_path: ReversePath,
        submission: Option<Submission>,
        decoder: Decoder,
        deadline: Instant,
    ) -> Draft {
        let header = HeaderScan::new();
        Draft { id, reverse_path, decoder, deadline, submission, header, size: 0, fault: None }
    }

    /// The customer whose it is.
    pub(crate) fn account(&self) -> Option<AccountName> {
        self.submission.as_ref().map(|submission| submission.sender().account.clone())
    }

    /// Whether its data are held until its header is whole.
    pub(crate) fn holds_header(&self) -> bool {
        self.submission.as_ref().is_some_and(Submission::is_holding)
    }

    /// Whether its header is held, and whole.
    pub(crate) fn header_is_due(&self) -> bool {
        self.holds_header() && (self.header.is_complete() || self.decoder.has_ended())
    }

    /// Its size in octets so far.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Why it will be refused.
    pub(crate) fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Refuses it, unless it is already refused for something that came before.
    pub(crate) fn refuse(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
        if let Some(submission) = &mut self.submission {
            submission.forget();
        }
    }

    /// Counts what was just decoded, and looks whether it is still good. The fault that stands
    /// first in the data counts, however they were cut into pieces.
    pub(crate) fn count(&mut self, data: &[u8], settings: &Settings) {
        if self.fault.is_some() {
            return;
        }
        let within_size = &data[..fitting(data, settings.message_size_max.saturating_sub(self.size))];
        self.size += within_size.len() as u64;
        if !self.header.is_complete() {
            let room = settings.header_size_max.saturating_sub(self.header.size());
            let within_header = &within_size[..fitting(within_size, room)];
            self.header.feed(within_header);
            if self.header.hops() >= settings.hops_max {
                return self.refuse(Fault::TooManyHops);
            }
            if !self.header.is_complete() && within_header.len() < within_size.len() {
                return self.refuse(Fault::HeaderTooLarge);
            }
        }
        if within_size.len() < data.len() {
            return self.refuse(Fault::TooLarge);
        }
        if let Some(fault) = self.decoder.fault() {
            self.refuse(fault.into());
        }
    }
}

/// How many octets of `data` fit into `room`.
fn fitting(data: &[u8], room: u64) -> usize {
    usize::try_from(room).map_or(data.len(), |room| room.min(data.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault_of(data: &[u8], cut: usize, change: impl FnOnce(&mut Settings)) -> Option<Fault> {
        let mut settings = Settings::new("mx.pobox.example".parse().unwrap());
        change(&mut settings);
        let mut draft =
            Draft::new(QueueId::from_u64(1), ReversePath::Null, None, Decoder::counted(), Instant::now());
        for piece in data.chunks(cut) {
            let mut piece = piece.to_vec();
            let kept = draft.decoder.decode(&mut piece).kept;
            draft.count(&piece[..kept], &settings);
        }
        draft.fault()
    }

    #[test]
    fn the_fault_that_stands_first_counts_however_the_data_are_cut() {
        let data = b"Received: a\r\nReceived: b\r\nX: c\r\n\r\nbody\nNUL\0";
        for cut in [1, 3, 7, 1000] {
            assert_eq!(fault_of(data, cut, |_| ()), Some(Fault::BareLf));
            assert_eq!(fault_of(data, cut, |s| s.hops_max = 2), Some(Fault::TooManyHops));
            assert_eq!(fault_of(data, cut, |s| s.header_size_max = 33), Some(Fault::HeaderTooLarge));
            assert_eq!(fault_of(data, cut, |s| s.header_size_max = 34), Some(Fault::BareLf));
            assert_eq!(fault_of(data, cut, |s| s.message_size_max = 37), Some(Fault::TooLarge));
            assert_eq!(fault_of(data, cut, |s| s.message_size_max = 38), Some(Fault::BareLf));
            let both = |s: &mut Settings| (s.header_size_max, s.message_size_max) = (30, 20);
            assert_eq!(fault_of(data, cut, both), Some(Fault::TooLarge));
            let both = |s: &mut Settings| (s.header_size_max, s.hops_max) = (5, 2);
            assert_eq!(fault_of(data, cut, both), Some(Fault::HeaderTooLarge));
        }
    }

    #[test]
    fn a_message_of_just_the_limit_is_good() {
        assert_eq!(fault_of(b"\r\n12345", 2, |s| s.message_size_max = 7), None);
        assert_eq!(fault_of(b"\r\n12345", 2, |s| s.message_size_max = 6), Some(Fault::TooLarge));
    }
}
