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
