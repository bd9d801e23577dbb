//! A change says which version of a thing it changes (RFC 9110 §13), so that of two who change it at once neither
//! undoes what the other did.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use link::services::directory::visits::{AddressSheet, Version};

use crate::trouble::Trouble;

/// What a change says of the thing as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    /// `If-Match: "…"`: it is one of these versions.
    Is(Vec<Version>),
    /// `If-Match: *`: it is there, in whatever version.
    Exists,
    /// `If-None-Match: *`: it is not there yet.
    IsNew,
}

impl Condition {
    /// Reads what a request says.
    ///
    /// # Errors
    /// If it says nothing (RFC 6585 §3), or what nothing can be.
    fn of(headers: &HeaderMap) -> Result<Condition, Trouble> {
        let said = |name: HeaderName| {
            let values: Vec<&str> =
                headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
            (!values.is_empty()).then(|| values.join(","))
        };
        match (said(header::IF_MATCH), said(header::IF_NONE_MATCH)) {
            (Some(tags), None) if tags.trim() == "*" => Ok(Condition::Exists),
            (Some(tags), None) => {
                // A weak one never matches (§13.1.1), nor one that is not ours.
                Ok(Condition::Is(tags.split(',').filter_map(|tag| version(tag.trim())).collect()))
            }
            (None, Some(tags)) if tags.trim() == "*" => Ok(Condition::IsNew),
            (None, None) => Err(Trouble::Unconditional),
            _ => Err(Trouble::ConditionFails),
        }
    }

    /// The version that is to be changed, if the condition holds of the thing as it is. The directory looks once
    /// more when it writes.
    ///
    /// # Errors
    /// If it does not hold.
    pub(crate) fn holds_of(&self, sheet: &AddressSheet) -> Result<Version, Trouble> {
        let holds = match self {
            Condition::Is(versions) => versions.contains(&sheet.version),
            Condition::Exists => sheet.exists,
            Condition::IsNew => !sheet.exists,
        };
        if holds { Ok(sheet.version) } else { Err(Trouble::ConditionFails) }
    }
}

impl<S: Sync> FromRequestParts<S> for Condition {
    type Rejection = Trouble;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Condition, Trouble> {
        Condition::of(&parts.headers)
    }
}

/// An answer, with the version of what it tells.
pub(crate) fn tagged(mut response: Response, version: Version) -> Response {
    if let Ok(tag) = HeaderValue::from_str(&tag(version)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

fn tag(version: Version) -> String {
    format!("\"{:016x}\"", version.0)
}

fn version(tag: &str) -> Option<Version> {
    let digits = tag.strip_prefix('"')?.strip_suffix('"')?;
    let ours = digits.len() == 16 && digits.bytes().all(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f'));
    ours.then(|| u64::from_str_radix(digits, 16).ok().map(Version))?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(lines: &[(HeaderName, &str)]) -> Result<Condition, Trouble> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        Condition::of(&headers)
    }

    #[test]
    fn a_change_says_what_it_changes() {
        use header::{IF_MATCH, IF_NONE_MATCH};
        assert_eq!(read(&[]), Err(Trouble::Unconditional));
        assert_eq!(read(&[(IF_MATCH, "*")]), Ok(Condition::Exists));
        assert_eq!(read(&[(IF_NONE_MATCH, "*")]), Ok(Condition::IsNew));
        let one = Condition::Is(vec![Version(1)]);
        assert_eq!(read(&[(IF_MATCH, "\"0000000000000001\"")]), Ok(one.clone()));
        assert_eq!(read(&[(IF_MATCH, "W/\"0000000000000002\", \"0000000000000001\"")]), Ok(one.clone()));
        assert_eq!(read(&[(IF_MATCH, "\"x\""), (IF_MATCH, "\"0000000000000001\"")]), Ok(one));
        for nothing in [
            "",
            "\"1\"",
            "0000000000000001",
            "\"000000000000000A\"",
            "\"+000000000000001\"",
            "W/\"0000000000000001\"",
        ] {
            assert_eq!(read(&[(IF_MATCH, nothing)]), Ok(Condition::Is(Vec::new())), "{nothing}");
        }
        for wrong in
            [[(IF_MATCH, "*"), (IF_NONE_MATCH, "*")], [(IF_NONE_MATCH, "\"x\""), (IF_NONE_MATCH, "*")]]
        {
            assert_eq!(read(&wrong), Err(Trouble::ConditionFails));
        }
    }

    proptest! {
        #[test]
        fn every_version_has_a_tag_that_reads_back(number: u64) {
            prop_assert_eq!(version(&tag(Version(number))), Some(Version(number)));
        }

        #[test]
        fn any_tag_is_a_version_or_none(text in "\\PC{0,20}|\"[0-9a-fA-F+-]{0,18}\"") {
            if let Some(version) = version(&text) {
                prop_assert_eq!(tag(version), text);
            }
        }
    }
}
