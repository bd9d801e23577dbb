//! Style, script and pictures: in the binary, named by their content so that browsers keep them for good.
//!
//! They are compressed once, when somebody first asks for them. Pages are not compressed: they bear the form's
//! token beside what a visitor typed, and the length of what is compressed together tells of both (BREACH).

use std::io::Write;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use crate::routes::{Routes, Who};
use crate::trouble::Trouble;

/// One file.
pub(crate) struct Asset {
    name: String,
    kind: &'static str,
    content: &'static str,
    compressed: Bytes,
}

impl Asset {
    fn new(stem: &str, ending: &str, kind: &'static str, content: &'static str) -> Asset {
        let digest = Sha256::digest(content);
        let digest: String = digest.iter().take(4).map(|octet| format!("{octet:02x}")).collect();
        let name = format!("{stem}-{digest}.{ending}");
        Asset { name, kind, content, compressed: compressed(content).unwrap_or_default() }
    }

    /// Where it is found.
    pub(crate) fn path(&self) -> String {
        format!("/assets/{}", self.name)
    }
}

fn compressed(content: &str) -> std::io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content.as_bytes())?;
    Ok(encoder.finish()?.into())
}

/// The style sheet.
pub(crate) static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("style", "css", "text/css; charset=utf-8", include_str!("../assets/style.css"))
});
/// The courier: our mark, and the icon of the pages.
pub(crate) static MARK: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("mark", "svg", "image/svg+xml", include_str!("../assets/mark.svg")));

/// What only operators' pages have besides.
pub(crate) static OPERATOR_STYLE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("operator", "css", "text/css; charset=utf-8", include_str!("../assets/operator.css"))
});
/// The live chart of the queue.
pub(crate) static QUEUE_SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("queue", "js", "text/javascript; charset=utf-8", include_str!("../assets/queue.js"))
});

/// All of them.
const ASSETS: &[&LazyLock<Asset>] = &[&STYLE, &MARK, &OPERATOR_STYLE, &QUEUE_SCRIPT];

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.get(Who::Anybody, "/assets/{name}", asset)
}

async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Trouble> {
    let asset = ASSETS.iter().find(|asset| asset.name == name).ok_or(Trouble::NotFound)?;
    let compressed = takes_gzip(&headers) && !asset.compressed.is_empty();
    let body =
        if compressed { asset.compressed.clone() } else { Bytes::from_static(asset.content.as_bytes()) };
    let mut response = body.into_response();
    let answered = response.headers_mut();
    answered.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    answered.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    answered.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if compressed {
        answered.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}

/// Whether a browser understands gzip (RFC 9110 §12.5.3).
fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").map_or(1.0, |q| q.trim().parse().unwrap_or(0.0));
        name.trim().eq_ignore_ascii_case("gzip") && weight > 0.0
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn what_is_compressed_is_the_same() {
        for asset in ASSETS {
            let mut text = String::new();
            flate2::read::GzDecoder::new(&*asset.compressed).read_to_string(&mut text).unwrap();
            assert_eq!(text, asset.content, "{}", asset.name);
        }
        assert!(STYLE.content.len() < 20 << 10, "the style sheet is {} octets", STYLE.content.len());
    }

    #[test]
    fn gzip_is_only_for_who_says_that_he_takes_it() {
        for (said, expected) in [
            ("gzip, deflate, br", true),
            ("br;q=1.0, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("deflate", false),
            ("gzip;q=what", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(said));
            assert_eq!(takes_gzip(&headers), expected, "{said}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
