//! Hops and size of a header, counted while it arrives.

use memchr::memchr;

/// Watches mail data that arrives in chunks of any size until its header ends, at the first empty
/// line (RFC 5322 §2.1). What comes after that costs nothing.
///
/// A hop is a `Received` or `Delivered-To` field: a message that loops gains one each round
/// (RFC 5321 §6.3).
#[derive(Debug, Clone, Default)]
pub struct HeaderScan {
    size: u64,
    hops: u32,
    place: Place,
}

/// Where in a header the next octet stands.
#[derive(Debug, Clone, Copy, Default)]
enum Place {
    /// At the start of a line, or `length` octets into one that might still name a hop.
    #[default]
    LineStart,
    /// In a line whose beginning is that of a hop's name, so far.
    Name { length: u8, received: bool, delivered: bool },
    /// After a whole hop's name: white space may stand before the colon.
    AfterName,
    /// After a CR that opened a line.
    BlankCr,
    /// In a line of which nothing more is to be learnt.
    Line,
    /// In the body.
    Body,
}

const RECEIVED: &[u8] = b"received";
const DELIVERED: &[u8] = b"delivered-to";

impl HeaderScan {
    /// A scan that has seen nothing yet.
    pub fn new() -> HeaderScan {
        HeaderScan::default()
    }

    /// Takes the next chunk of mail data.
    pub fn feed(&mut self, chunk: &[u8]) {
        let mut rest = chunk;
        while let (Some(&octet), false) = (rest.first(), self.is_complete()) {
            if let Place::Line = self.place {
                let length = match memchr(b'\n', rest) {
                    Some(at) => {
                        self.place = Place::LineStart;
                        at + 1
                    }
                    None => rest.len(),
                };
                self.size += length as u64;
                rest = &rest[length..];
                continue;
            }
            self.size += 1;
            rest = &rest[1..];
            self.place = self.next(octet);
        }
    }

    /// The hops so far.
    pub fn hops(&self) -> u32 {
        self.hops
    }

    /// The octets of the header so far, the empty line after it included.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether the header's end was seen.
    pub fn is_complete(&self) -> bool {
        matches!(self.place, Place::Body)
    }

    fn next(&mut self, octet: u8) -> Place {
        match (self.place, octet) {
            (Place::Body, _) | (Place::LineStart | Place::BlankCr, b'\n') => Place::Body,
            (_, b'\n') => Place::LineStart,
            (Place::LineStart, b'\r') => Place::BlankCr,
            (Place::LineStart, _) => name(0, true, true, octet),
            (Place::Name { length, received, delivered }, _) => name(length, received, delivered, octet),
            (Place::AfterName, b' ' | b'\t') => Place::AfterName,
            (Place::AfterName, b':') => {
                self.hops = self.hops.saturating_add(1);
                Place::Line
            }
            (Place::AfterName | Place::BlankCr | Place::Line, _) => Place::Line,
        }
    }
}

/// The place after one more octet of a possible hop's name.
fn name(length: u8, received: bool, delivered: bool, octet: u8) -> Place {
    let at = usize::from(length);
    let goes_on = |name: &[u8]| name.get(at).is_some_and(|b| b.eq_ignore_ascii_case(&octet));
    let (received, delivered) = (received && goes_on(RECEIVED), delivered && goes_on(DELIVERED));
    match (received, delivered) {
        (false, false) => Place::Line,
        (true, _) if at + 1 == RECEIVED.len() => Place::AfterName,
        (_, true) if at + 1 == DELIVERED.len() => Place::AfterName,
        _ => Place::Name { length: length + 1, received, delivered },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scanned(message: &[u8]) -> (u32, u64, bool) {
        let mut scan = HeaderScan::new();
        scan.feed(message);
        (scan.hops(), scan.size(), scan.is_complete())
    }

    #[test]
    fn hops_are_counted_until_the_empty_line() {
        let message = b"Received: from a\r\n\tby b\r\nrEcEiVeD : c\r\nDelivered-To: d\r\nReceivedby: e\r\n\
            Delivered: f\r\nX-Received: g\r\nSubject: Received: h\r\n Received: i\r\n\r\nReceived: j\r\n";
        let header = message.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        assert_eq!(scanned(message), (3, header as u64, true));
    }

    #[test]
    fn a_message_may_be_all_body_or_all_header() {
        assert_eq!(scanned(b"\r\nReceived: a\r\n"), (0, 2, true));
        assert_eq!(scanned(b"Received: a\r\n"), (1, 13, false));
        assert_eq!(scanned(b""), (0, 0, false));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_data_is_cut(
            message in "(Received: x|Delivered-To:y|Subject: z|R|D|received |\\r\\n|\\n|\\r| |:){0,30}",
            cut in 1usize..7,
        ) {
            let mut scan = HeaderScan::new();
            for chunk in message.as_bytes().chunks(cut) {
                scan.feed(chunk);
            }
            prop_assert_eq!((scan.hops(), scan.size(), scan.is_complete()), scanned(message.as_bytes()));
        }

        #[test]
        fn any_octets_are_scanned(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
            let (hops, size, _) = scanned(&octets);
            prop_assert!(size <= octets.len() as u64 && u64::from(hops) <= size);
        }
    }
}
