//! What a form sends: `application/x-www-form-urlencoded`, as browsers send it.

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};

use crate::trouble::Trouble;

/// The most fields of a form. The largest of ours has some sixty.
const FIELDS_MAX: usize = 1000;

/// The first value of a field.
pub(crate) fn field(body: &[u8], name: &str) -> Option<String> {
    form_urlencoded::parse(body).find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
}

/// A form's fields, in their order. Missing ones are empty; what is not expected is ignored.
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// What stands in an encoded text, such as the query of a path.
    pub(crate) fn read(encoded: &str) -> Form {
        Form(form_urlencoded::parse(encoded.as_bytes()).into_owned().collect())
    }

    /// The first value of a field, without space round it.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    /// The first value of a field as it was typed: for passwords and texts.
    pub(crate) fn raw(&self, name: &str) -> &str {
        self.0.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    /// Whether a box is ticked.
    pub(crate) fn ticked(&self, name: &str) -> bool {
        self.0.iter().any(|(found, _)| found == name)
    }
}

impl<S: Sync> FromRequest<S> for Form {
    type Rejection = Trouble;
    async fn from_request(request: Request, _: &S) -> Result<Form, Trouble> {
        // The guard has measured it.
        let body = to_bytes(request.into_body(), usize::MAX).await.map_err(|_| Trouble::TooLarge)?;
        Form::parse(&body)
    }
}

impl Form {
    /// Reads a form as our own pages make browsers send it: in UTF-8 (HTML standard, `application/x-www-form-urlencoded`).
    ///
    /// # Errors
    /// If it is not UTF-8, where one would read what nobody has typed, or has more fields than any of ours.
    fn parse(body: &[u8]) -> Result<Form, Trouble> {
        if percent_encoding::percent_decode(body).decode_utf8().is_err() {
            return Err(Trouble::Unreadable("the form is not UTF-8".into()));
        }
        let fields: Vec<_> = form_urlencoded::parse(body).into_owned().take(FIELDS_MAX + 1).collect();
        if fields.len() > FIELDS_MAX { Err(Trouble::TooLarge) } else { Ok(Form(fields)) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(fields: &[(String, String)]) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
    }

    #[test]
    fn fields_come_in_their_order_and_what_is_missing_is_empty() {
        let form = Form::parse(b"d=a%40x.example&d=+b%40x.example+&keep=on&text=%0D%0A%00+").unwrap();
        assert!(form.ticked("keep") && !form.ticked("kee") && !form.ticked("keep\0"));
        assert_eq!((form.text("d"), form.text("none"), form.raw("text")), ("a@x.example", "", "\r\n\0 "));
    }

    #[test]
    fn what_is_not_utf_8_or_has_too_many_fields_is_refused() {
        for body in [&b"name=%ff"[..], b"name=\xe3\x81", b"%c3=&x=1", b"a=%ed%a0%80"] {
            assert!(matches!(Form::parse(body), Err(Trouble::Unreadable(_))), "{body:?}");
        }
        assert!(Form::parse("a&".repeat(FIELDS_MAX).as_bytes()).is_ok());
        assert_eq!(Form::parse("a&".repeat(FIELDS_MAX + 1).as_bytes()).err(), Some(Trouble::TooLarge));
        assert_eq!(Form::parse(b"").unwrap().text(""), "");
    }

    proptest! {
        #[test]
        fn any_octets_are_a_form_or_an_error(body: Vec<u8>, name in "[a-z&=%+]{0,3}") {
            let first = field(&body, &name);
            if let Ok(form) = Form::parse(&body) {
                prop_assert_eq!(first.unwrap_or_default(), form.raw(&name));
                prop_assert_eq!(form.ticked(&name), field(&body, &name).is_some());
            }
        }

        #[test]
        fn what_a_browser_sends_is_what_was_typed(fields: Vec<(String, String)>) {
            let form = Form::parse(encoded(&fields).as_bytes()).unwrap();
            prop_assert_eq!(form.0, fields);
        }
    }
}
