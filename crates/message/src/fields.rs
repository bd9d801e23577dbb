//! The fields of a header, one after the other.

use memchr::memchr;

/// One header field (RFC 5322 §2.2), as it stands in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name, in the case that its writer chose.
    pub name: &'a [u8],
    /// What follows the colon, folded as it is, up to the line end of the last line.
    pub body: &'a [u8],
}

impl<'a> Field<'a> {
    /// The field in a line with those that continue it; none, if it is no field.
    pub fn of(lines: &'a [u8]) -> Option<Field<'a>> {
        let colon = memchr(b':', lines)?;
        let name = lines[..colon].trim_ascii_end();
        // RFC 5322 §2.2: printable ASCII without the colon.
        if name.is_empty() || !name.iter().all(u8::is_ascii_graphic) {
            return None;
        }
        let body = &lines[colon + 1..];
        let body = body.strip_suffix(b"\n").unwrap_or(body);
        Some(Field { name, body: body.strip_suffix(b"\r").unwrap_or(body) })
    }

    /// Whether it has this name, without regard to case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// The fields of a header: all up to the first empty line, or up to the end where there is none.
///
/// Lines that belong to no field are passed over, as most readers do. White space may stand between
/// a name and its colon (RFC 5322 §4.5).
pub fn fields(message: &[u8]) -> impl Iterator<Item = Field<'_>> {
    unfolded_lines(message).filter_map(Field::of)
}

/// The lines of a header, each with those that continue it and with its line ends: all up to the first
/// empty line, or up to the end where there is none.
pub fn unfolded_lines(message: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = message;
    std::iter::from_fn(move || {
        let (lines, after) = unfolded_line(rest);
        if matches!(lines, b"" | b"\n" | b"\r\n") {
            return None;
        }
        rest = after;
        Some(lines)
    })
}

/// Whether a message begins with a header. One whose first line is no field has none: then all of it
/// is body, although no empty line stands before it.
pub fn has_header(message: &[u8]) -> bool {
    let (line, _) = unfolded_line(message);
    matches!(line, b"" | b"\n" | b"\r\n") || Field::of(line).is_some()
}

/// The first line with those that continue it, and what follows them.
fn unfolded_line(text: &[u8]) -> (&[u8], &[u8]) {
    let mut end = 0;
    loop {
        match memchr(b'\n', &text[end..]) {
            None => return (text, b""),
            Some(at) => end += at + 1,
        }
        let continues = matches!(text.get(end), Some(b' ' | b'\t'));
        // An empty line has no continuation: it ends the header.
        if !continues || matches!(&text[..end], b"\n" | b"\r\n") {
            return text.split_at(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(message: &str) -> Vec<(&str, &str)> {
        let text = |octets| std::str::from_utf8(octets).unwrap();
        fields(message.as_bytes()).map(|field| (text(field.name), text(field.body))).collect()
    }

    #[test]
    fn fields_end_at_the_first_empty_line() {
        let message = "From: a\r\nsubject : b\r\n\tc\r\nX:\r\nno field\r\n of it\r\nTo:d:e\r\n\r\nCc: f\r\n";
        assert_eq!(read(message), [("From", " a"), ("subject", " b\r\n\tc"), ("X", ""), ("To", "d:e")]);
        assert_eq!(read("A: b"), [("A", " b")]);
        assert_eq!(read("\r\n A: b\r\nC: d\r\n"), []);
        assert_eq!(read(""), []);
    }

    #[test]
    fn a_line_of_blanks_is_a_continuation_and_not_the_end() {
        assert_eq!(read("A: b\r\n \r\nC: d\r\n"), [("A", " b\r\n "), ("C", " d")]);
    }

    #[test]
    fn a_message_whose_first_line_is_no_field_has_no_header() {
        for message in ["", "\r\n", "\r\nbody", "A: b", "A : b\r\n\r\n", "A:\r\n"] {
            assert!(has_header(message.as_bytes()), "{message:?}");
        }
        for message in ["hello", "hello\r\nA: b\r\n", " A: b\r\n", "From abc: d\r\n", ": a\r\n", "Ä: b\r\n"]
        {
            assert!(!has_header(message.as_bytes()), "{message:?}");
        }
    }

    proptest! {
        #[test]
        fn any_octets_have_fields_or_none(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            let total: usize = fields(&octets).map(|field| field.name.len() + field.body.len() + 1).sum();
            prop_assert!(total <= octets.len());
        }

        #[test]
        fn a_message_has_a_header_if_its_first_line_is_a_field(message in "[a:]{1,3}((From|a|:| |\t|\r\n|\n|b: c){0,12})") {
            let octets = message.as_bytes();
            let first = fields(octets).next();
            let at_the_top = first.is_some_and(|field| std::ptr::eq(field.name.as_ptr(), octets.as_ptr()));
            prop_assert_eq!(has_header(octets), at_the_top);
        }
    }
}
