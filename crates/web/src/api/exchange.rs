//! How requests are read and answers written.

use std::str::FromStr;

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use link::services::directory::visits::Denied;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::trouble::Trouble;

/// The body of a request, in JSON (RFC 8259). A field that is not known is refused, so that a misspelt one is not
/// lost in silence; the types see to that.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Body<T> {
    type Rejection = Trouble;
    async fn from_request(request: Request, _: &S) -> Result<Body<T>, Trouble> {
        // What changes a part is a merge patch (RFC 7396), whatever it is called.
        const WANTED: [&str; 2] = ["application/json", "application/merge-patch+json"];
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let essence = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !WANTED.iter().any(|wanted| essence.eq_ignore_ascii_case(wanted)) {
            return Err(Trouble::OtherMedia("application/json"));
        }
        // The guard has measured it.
        let body = to_bytes(request.into_body(), usize::MAX).await.map_err(|_| Trouble::TooLarge)?;
        read(&body).map(Body)
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Trouble> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let what = error.into_inner().to_string();
        Trouble::Unreadable(if path == "." { what } else { format!("{path}: {what}") })
    })?;
    json.end().map_err(|error| Trouble::Unreadable(error.to_string()))?;
    Ok(value)
}

/// The query of a request. A parameter that is not known is refused.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Trouble;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Query<T>, Trouble> {
        let query = axum::extract::Query::try_from_uri(&parts.uri);
        let axum::extract::Query(query) = query.map_err(|error| Trouble::Unreadable(error.body_text()))?;
        Ok(Query(query))
    }
}

/// What is filled in in the path. What cannot be the name of anything is the name of nothing.
pub(crate) struct Named<T>(pub(crate) T);

impl<T: FromStr, S: Send + Sync> FromRequestParts<S> for Named<T> {
    type Rejection = Trouble;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Named<T>, Trouble> {
        let name = Path::<String>::from_request_parts(parts, state).await;
        let Path(name) = name.map_err(|_| Trouble::NotFound)?;
        name.parse().map(Named).map_err(|_| Trouble::NotFound)
    }
}

/// An answer in JSON.
pub(crate) fn json(value: impl Serialize) -> Response {
    axum::Json(value).into_response()
}

/// Done, and there is no more to say.
pub(crate) fn done() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// How many of a list are wanted.
///
/// # Errors
/// If it is none, or more than are told at once.
pub(crate) fn at_most(limit: Option<u32>, usual: u32, most: u32) -> Result<u32, Trouble> {
    match limit.unwrap_or(usual) {
        limit if (1..=most).contains(&limit) => Ok(limit),
        _ => Err(Trouble::Denied(Denied::NotSensible("limit".into()))),
    }
}

/// A text from outside as what it should be.
///
/// # Errors
/// If it is none, in the words of its type.
pub(crate) fn parsed<T: FromStr>(field: &str, text: &str) -> Result<T, Trouble>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| Trouble::Unreadable(format!("{field}: {error}")))
}

/// Whether whoever asks takes JSON (RFC 9110 §12.5.1); who does not say takes anything.
pub(crate) fn takes_json(headers: &HeaderMap) -> bool {
    let mut said = false;
    for ranges in headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()) {
        for range in ranges.split(',') {
            let (range, parameters) = range.split_once(';').unwrap_or((range, ""));
            let range = range.trim().to_ascii_lowercase();
            if range.is_empty() {
                continue;
            }
            said = true;
            let refused = parameters.split(';').any(|parameter| {
                let weight = parameter.trim().strip_prefix("q=").map(str::parse::<f32>);
                matches!(weight, Some(Ok(0.0)))
            });
            if !refused && matches!(&*range, "*/*" | "application/*" | "application/json") {
                return true;
            }
        }
    }
    !said
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Example {
        keep: bool,
        list: Vec<u8>,
    }

    #[test]
    fn a_body_that_cannot_be_read_says_where() {
        assert_eq!(read(br#"{"keep": true, "list": [1]}"#), Ok(Example { keep: true, list: vec![1] }));
        for (body, beginning) in [
            (&br#"{"keep": 1, "list": []}"#[..], "keep: invalid type"),
            (br#"{"keep": true, "list": [1, 256]}"#, "list[1]: invalid value"),
            (br#"{"keep": true, "list": [], "kepe": 1}"#, "kepe: unknown field"),
            (br#"{"keep": true}"#, "missing field `list`"),
            (br#"{"keep": true, "list": []} 1"#, "trailing characters"),
            (br#"{"keep": true, "keep": false, "list": []}"#, "duplicate field"),
            (b"\xff", "expected value"),
            (b"", "EOF"),
        ] {
            let Err(Trouble::Unreadable(what)) = read::<Example>(body) else { panic!("{body:?}") };
            assert!(what.starts_with(beginning), "{what}");
        }
        let deep = "[".repeat(100_000);
        assert!(matches!(read::<serde_json::Value>(deep.as_bytes()), Err(Trouble::Unreadable(_))));
    }

    fn accepting(value: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_str(value).unwrap());
        takes_json(&headers)
    }

    #[test]
    fn who_takes_no_json_is_known() {
        for takes in
            ["*/*", "application/json", "text/html, application/*;q=0.1", "Application/JSON; q=1", ""]
        {
            assert!(accepting(takes), "{takes}");
        }
        for does_not in ["text/html", "application/json;q=0", "application/xml, */*;q=0.0", "x"] {
            assert!(!accepting(does_not), "{does_not}");
        }
        assert!(takes_json(&HeaderMap::new()));
    }

    #[test]
    fn a_list_has_one_item_at_least_and_not_too_many() {
        assert_eq!(at_most(None, 50, 100), Ok(50));
        assert_eq!(at_most(Some(100), 50, 100), Ok(100));
        for wrong in [0, 101, u32::MAX] {
            assert!(at_most(Some(wrong), 50, 100).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_octets_are_a_body_or_an_error(body: Vec<u8>) {
            let _ = read::<Example>(&body);
            let _ = read::<serde_json::Value>(&body);
        }

        #[test]
        fn any_header_says_whether_json_is_taken(value in "[ -~]{0,40}") {
            let _ = accepting(&value);
        }
    }
}
