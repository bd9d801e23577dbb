//! The API's description: for programs by OpenAPI, for people as a page.

use std::sync::LazyLock;

use askama::Template;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use crate::frame::{self, Frame};
use crate::routes::{Routes, Who};
use crate::visitor::Visitor;

/// Written by the test in `document.rs`, in lines that people can compare.
pub(super) const DOCUMENT: &str = include_str!("../../api/openapi.json");

/// The same, as it is sent.
static COMPACT: LazyLock<String> = LazyLock::new(|| {
    let document: Result<serde_json::Value, _> = serde_json::from_str(DOCUMENT);
    document.map_or_else(|_| DOCUMENT.to_owned(), |document| document.to_string())
});

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.get(Who::Anybody, "/api/v1/openapi.json", document).get(Who::Anybody, "/api", page)
}

/// Troubles that a program meets, by their names: the page explains each at `#name`.
const TROUBLES: &[&str] = &[
    "sign-in",
    "forbidden",
    "not-operating",
    "not-found",
    "other-method",
    "other-media",
    "not-acceptable",
    "too-large",
    "too-slow",
    "unreadable",
    "unconditional",
    "condition-fails",
    "changed",
    "not-a-destination",
    "twice-the-same",
    "too-many-destinations",
    "circle",
    "nowhere",
    "not-a-label",
    "label-taken",
    "too-many",
    "not-a-password",
    "not-sensible",
    "refused",
    "unavailable",
];

#[derive(Template)]
#[template(path = "api.html")]
struct Page {
    frame: Frame,
    url: String,
    address: String,
    troubles: &'static [&'static str],
}

async fn document() -> Response {
    let mut response = COMPACT.as_str().into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    response
}

async fn page(visitor: Visitor) -> Response {
    let site = visitor.house.site();
    let address = match &visitor.standing {
        Some(standing) => standing.address.to_string(),
        None => format!("abc@{}", site.domain),
    };
    frame::page(&Page {
        frame: Frame::of(&visitor, "api-title"),
        url: format!("{}api/v1/", site.url),
        address,
        troubles: TROUBLES,
    })
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;

    use super::*;
    use crate::example;

    #[tokio::test]
    async fn the_page_explains_every_trouble_that_a_program_is_told() {
        let house = example::house();
        for language in ["ja", "en"] {
            let request =
                Request::get("/api").header("accept-language", language).body(Body::empty()).unwrap();
            let page = example::ask(&house, request).await;
            assert_eq!(page.status(), 200);
            assert!(
                page.body().contains(&format!("<html lang=\"{language}\"")) && page.body().len() < 60_000
            );
            for name in TROUBLES {
                assert!(page.body().contains(&format!("id=\"{name}\"")), "{name}");
            }
            assert!(page.body().contains("https://mail.pobox.example/api/v1/addresses"));
        }
        // Those that have a text and are not for programs: of signing in, of forms, of links and of second factors.
        let texts = include_str!("../../texts/en/trouble.ftl")
            .lines()
            .chain(include_str!("../../texts/en/api.ftl").lines());
        let known =
            texts.filter_map(|line| line.strip_prefix("trouble-")?.split_once(" =")).map(|(name, _)| name);
        let others = [
            "title",
            "back",
            "prove",
            "enrol",
            "foreign-form",
            "stale-form",
            "credentials",
            "suspended",
            "receive-only",
            "unknown-user",
            "no-programs",
            "too-many-failures",
            "wrong-code",
            "link-invalid",
        ];
        for name in known {
            assert!(TROUBLES.contains(&name) != others.contains(&name), "{name}: is it for programs?");
        }
    }

    #[tokio::test]
    async fn the_description_is_for_anybody_and_small() {
        let request = Request::get("/api/v1/openapi.json").body(Body::empty()).unwrap();
        let answer = example::ask(&example::house(), request).await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (200, &HeaderValue::from_static("application/json"))
        );
        assert!(answer.body().len() < 120_000, "{}", answer.body().len());
        let (sent, written): (serde_json::Value, serde_json::Value) =
            (serde_json::from_str(answer.body()).unwrap(), serde_json::from_str(DOCUMENT).unwrap());
        assert_eq!(sent, written);
    }
}
