//! A waiting message's header and text, as text and nothing else; and all of it, as a file. Whoever reads is noted
//! in the log by the queue.

use std::fs::File;
use std::io::Read;

use askama::Template;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use envelope::QueueId;
use futures_util::stream;
use link::services::queue::operators::{Answer, Question};

use super::{message, named};
use crate::frame::{self, Frame};
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Operator;

/// Octets that are shown.
const SHOWN: usize = 16 << 10;
/// Octets that they may take in a page, where some characters take more than one.
const ROOM: usize = 50 << 10;
/// Octets that are read from a file at a time.
const PIECE: usize = 256 << 10;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get(Who::Operator, "/operator/queue/messages/{id}/text", text).get(
        Who::Operator,
        "/operator/queue/messages/{id}/eml",
        eml,
    )
}

/// Mail data as the queue has them.
enum Content {
    /// In memory.
    Octets(Bytes),
    /// A file that came along, and how many octets of it.
    File(File, u64),
}

async fn read(operator: &Operator, id: QueueId) -> Result<Option<Content>, Trouble> {
    let answer = operator.ask_queue(Question::Read(id)).await?;
    match answer.value {
        Answer::Text { file_size: None } => Ok(Some(Content::Octets(answer.raw))),
        Answer::Text { file_size: Some(size) } => {
            let file = answer.fds.into_iter().next().ok_or(Trouble::Unavailable)?;
            Ok(Some(Content::File(File::from(file), size)))
        }
        Answer::Shown(None) => Ok(None),
        _ => Err(Trouble::Unavailable),
    }
}

#[derive(Template)]
#[template(path = "operator/queue-text.html")]
struct Text {
    frame: Frame,
    id: String,
    header: String,
    body: String,
    /// Whether there is more than is shown.
    cut: bool,
}

async fn text(operator: Operator, Path(id): Path<String>) -> Result<Response, Trouble> {
    let id = named(&id)?;
    let (octets, cut) = match read(&operator, id).await? {
        None => return Ok(message::gone(&operator, id)),
        Some(Content::Octets(octets)) => {
            let cut = octets.len() > SHOWN;
            (octets.slice(..octets.len().min(SHOWN)), cut)
        }
        Some(Content::File(file, size)) => {
            let (octets, _) = piece(file, size.min(SHOWN as u64)).await.map_err(|_| Trouble::Unavailable)?;
            (octets, size > SHOWN as u64)
        }
    };
    let (header, body) = parts(&octets);
    let mut room = ROOM;
    let (header, body) = (readable(header, &mut room), readable(body, &mut room));
    Ok(frame::page(&Text {
        frame: Frame::of(&operator, "queue-text-title"),
        id: id.to_string(),
        header,
        body,
        cut: cut || room == 0,
    }))
}

/// The header ends at the first empty line (RFC 5322 §2.1).
fn parts(octets: &[u8]) -> (&[u8], &[u8]) {
    let mut at = 0;
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        let begin = at;
        at += line.len();
        if matches!(line, b"\r\n" | b"\n") {
            return (&octets[..begin], &octets[at..]);
        }
    }
    (octets, &[])
}

/// Octets as text that does nothing but be read: what is no UTF-8, controls, and what turns the direction of text
/// (UAX #9), is shown as a mark. It takes as much of `room` as it does in a page, and ends where that is used up.
fn readable(octets: &[u8], room: &mut usize) -> String {
    let text = String::from_utf8_lossy(octets);
    text.chars()
        .filter(|c| *c != '\r')
        .take_while(|c| {
            // What has a meaning in HTML is written as `&#60;` there.
            let length = if matches!(c, '<' | '>' | '&' | '"' | '\'') { 5 } else { c.len_utf8() };
            *room = room.saturating_sub(length);
            *room > 0
        })
        .map(|c| match c {
            '\n' | '\t' => c,
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

async fn eml(operator: Operator, Path(id): Path<String>) -> Result<Response, Trouble> {
    let id = named(&id)?;
    let (body, length) = match read(&operator, id).await? {
        None => return Ok(message::gone(&operator, id)),
        Some(Content::Octets(octets)) => (Body::from(octets.clone()), octets.len() as u64),
        Some(Content::File(file, size)) => (streamed(file, size), size),
    };
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("message/rfc822"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    // A name of letters and digits: a queue id has no others.
    let attachment = HeaderValue::try_from(format!("attachment; filename=\"{id}.eml\""));
    headers.insert(header::CONTENT_DISPOSITION, attachment.map_err(|_| Trouble::Unavailable)?);
    Ok(response)
}

/// A file as it is read, piece by piece, so that a large one never lies in memory whole.
fn streamed(file: File, size: u64) -> Body {
    Body::from_stream(stream::try_unfold((file, size), |(file, rest)| async move {
        if rest == 0 {
            return Ok::<_, std::io::Error>(None);
        }
        let (octets, file) = piece(file, rest.min(PIECE as u64)).await?;
        let rest = rest - octets.len() as u64;
        Ok(Some((octets, (file, rest))))
    }))
}

/// So many octets of a file, read away from the thread on which other pages wait.
async fn piece(file: File, length: u64) -> std::io::Result<(Bytes, File)> {
    let read = tokio::task::spawn_blocking(move || {
        let mut file = file;
        let mut octets = vec![0; usize::try_from(length).map_err(std::io::Error::other)?];
        file.read_exact(&mut octets)?;
        Ok((Bytes::from(octets), file))
    });
    read.await.map_err(std::io::Error::other)?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_header_ends_at_the_empty_line() {
        assert_eq!(parts(b"A: 1\r\nB: 2\r\n\r\nbody\r\n"), (&b"A: 1\r\nB: 2\r\n"[..], &b"body\r\n"[..]));
        assert_eq!(parts(b"A: 1\n\n\nb"), (&b"A: 1\n"[..], &b"\nb"[..]));
        assert_eq!(parts(b"A: 1"), (&b"A: 1"[..], &b""[..]));
        assert_eq!(parts(b"\nbody"), (&b""[..], &b"body"[..]));
    }

    #[test]
    fn what_would_do_more_than_be_read_is_a_mark() {
        assert_eq!(readable(b"a\r\n\tb\x1b[2J\xff\x00", &mut 100), "a\n\tb\u{fffd}[2J\u{fffd}\u{fffd}");
        assert_eq!(readable("件名\u{202e}cod.exe".as_bytes(), &mut 100), "件名\u{fffd}cod.exe");
    }

    #[test]
    fn a_message_that_would_make_a_large_page_is_cut() {
        let mut room = 30;
        assert_eq!(readable(b"<<<<<<<<<<", &mut room).len(), 5);
        assert_eq!(room, 0);
    }

    proptest! {
        #[test]
        fn any_octets_are_parted_without_loss_and_become_text(octets: Vec<u8>) {
            let (header, body) = parts(&octets);
            prop_assert!(octets.starts_with(header) && octets.ends_with(body));
            prop_assert!(octets.len() - header.len() - body.len() <= 2);
            prop_assert!(readable(&octets, &mut 100).chars().all(|c| c == '\n' || c == '\t' || !c.is_control()));
        }
    }
}
