//! Where is my mail? What came to a member's addresses and left from them, and the life of each message.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use envelope::QueueId;
use envelope::event::{Party, Summary, Tally};
use link::services::directory::visits::{MailLine, MailSearch, Own, Visit, Way};
use time::UtcOffset;

use crate::form::Form;
use crate::frame::{self, Frame};
use crate::life::{self, Life, Reader, Tone};
use crate::moment::Moment;
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Member;
use crate::words::Words;

/// Messages on one page.
const PAGE: u32 = 50;
/// Days that one can choose, as far as the record goes back.
const DAYS: [u32; 4] = [1, 3, 7, 30];
/// As far as pages go: the record is no archive.
const SKIP_MAX: u32 = 5_000;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.get(Who::Member, "/mail", search).get(Who::Member, "/mail/{id}", message)
}

/// The page with the search and what it found.
#[derive(Template)]
#[template(path = "member/mail.html")]
pub(crate) struct MailPage {
    pub(crate) frame: Frame,
    pub(crate) asked: Asked,
    pub(crate) trouble: Option<String>,
    pub(crate) lines: Vec<Line>,
    /// The page before, and the next.
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
}

/// What somebody looks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) text: String,
    pub(crate) way: Way,
    pub(crate) days: u32,
    pub(crate) skip: u32,
    /// What `days` can be.
    pub(crate) choices: Vec<u32>,
}

/// One message.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) path: Option<String>,
    pub(crate) at: Moment,
    pub(crate) incoming: bool,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) tone: Tone,
    pub(crate) fate: String,
}

/// The life of one message.
#[derive(Template)]
#[template(path = "member/message.html")]
pub(crate) struct MessagePage {
    pub(crate) frame: Frame,
    pub(crate) life: Life,
    pub(crate) back: &'static str,
}

async fn search(member: Member) -> Result<Response, Trouble> {
    let site = member.house.site();
    let asked = Asked::of(&member.query(), site.trace_days);
    let mut page = MailPage::new(Frame::of(&member, "mail-title"), asked);
    let with = match page.asked.party() {
        Ok(with) => with,
        Err(sentence) => {
            page.trouble = Some(member.words.say(sentence).into_owned());
            return Ok(frame::page(&page));
        }
    };
    let search = page.asked.search(with);
    match member.own(Own::Mail(search)).await {
        Ok(Visit::Mail(lines, more)) => page.show(&lines, more, site.zone),
        Ok(_) => return Err(Trouble::Unavailable),
        Err(trouble @ Trouble::Denied(_)) => page.trouble = Some(trouble.sentence(member.words).into_owned()),
        Err(trouble) => return Err(trouble),
    }
    Ok(frame::page(&page))
}

async fn message(member: Member, Path(id): Path<String>) -> Result<Response, Trouble> {
    let id: QueueId = id.parse().map_err(|_| Trouble::NotFound)?;
    let Visit::Life(events) = member.own(Own::Life(id)).await? else { return Err(Trouble::Unavailable) };
    if events.is_empty() {
        return Err(Trouble::NotFound);
    }
    let life = Life::of(&events, Reader::Member, member.house.site().zone, member.words);
    Ok(frame::page(&MessagePage { frame: Frame::of(&member, "mail-message-title"), life, back: "/mail" }))
}

impl MailPage {
    pub(crate) fn new(frame: Frame, asked: Asked) -> MailPage {
        MailPage { frame, asked, trouble: None, lines: Vec::new(), before: None, after: None }
    }

    /// Shows what was found.
    pub(crate) fn show(&mut self, lines: &[MailLine], more: bool, zone: UtcOffset) {
        let words = self.frame.words;
        self.lines = lines.iter().map(|line| Line::of(line, zone, words)).collect();
        let skip = self.asked.skip;
        self.before = (skip > 0).then(|| self.asked.path(skip.saturating_sub(PAGE)));
        self.after = (more && skip + PAGE <= SKIP_MAX).then(|| self.asked.path(skip + PAGE));
    }
}

impl Asked {
    pub(crate) fn of(query: &Form, trace_days: u32) -> Asked {
        let mut choices: Vec<u32> = DAYS.into_iter().filter(|days| *days < trace_days).collect();
        choices.push(trace_days.clamp(1, 366));
        let days = query.text("days").parse().ok().filter(|days| choices.contains(days));
        let way = match query.text("way") {
            "in" => Way::In,
            "out" => Way::Out,
            _ => Way::Both,
        };
        let skip = query.text("skip").parse().unwrap_or(0).min(SKIP_MAX);
        let text = query.text("q").chars().take(320).collect();
        let usual = choices.iter().copied().filter(|days| *days <= 7).max().or(choices.first().copied());
        Asked { text, way, days: days.or(usual).unwrap_or(1), skip, choices }
    }

    /// Whose mail is asked for: an address or a domain; none: everybody's. Else the key of a sentence.
    fn party(&self) -> Result<Option<Party>, &'static str> {
        // What people copy: `<u@peer.example>`, `@peer.example`.
        let text = self.text.trim_matches(['<', '>']).trim_start_matches('@');
        if text.is_empty() {
            return Ok(None);
        }
        match text.parse() {
            Ok(party @ (Party::Address(_) | Party::Domain(_))) => Ok(Some(party)),
            Ok(Party::Account(_)) | Err(_) => Err("mail-not-a-party"),
        }
    }

    fn search(&self, with: Option<Party>) -> MailSearch {
        MailSearch { with, way: self.way, days: self.days, skip: self.skip, limit: PAGE }
    }

    fn path(&self, skip: u32) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("q", &self.text).append_pair("way", self.way_name());
        query.append_pair("days", &self.days.to_string());
        if skip > 0 {
            query.append_pair("skip", &skip.to_string());
        }
        format!("/mail?{}", query.finish())
    }

    pub(crate) fn way_name(&self) -> &'static str {
        match self.way {
            Way::In => "in",
            Way::Out => "out",
            Way::Both => "both",
        }
    }
}

impl Line {
    pub(crate) fn of(line: &MailLine, zone: UtcOffset, words: Words) -> Line {
        let summary = &line.summary;
        let more = (summary.tally.total() as usize).saturating_sub(summary.recipients.len());
        let (tone, fate) = fate(summary, words);
        Line {
            path: summary.queue_id.map(|id| format!("/mail/{id}")),
            at: Moment::of_micros(summary.at, zone, words),
            incoming: line.way != Way::Out,
            from: life::sender(summary.reverse_path.as_ref(), words),
            to: life::names(&summary.recipients, more, words),
            tone,
            fate,
        }
    }
}

/// What became of a message, in a few words.
pub(crate) fn fate(summary: &Summary, words: Words) -> (Tone, String) {
    if summary.refused.is_some() {
        return (Tone::Bad, words.say("mail-refused").into_owned());
    }
    if summary.held {
        return (Tone::Wait, words.say("fate-held").into_owned());
    }
    let Tally { untried, waiting, delivered, forwarded, failed, removed } = summary.tally;
    let tone = match () {
        () if failed + removed > 0 => Tone::Bad,
        () if waiting + untried > 0 => Tone::Wait,
        () if delivered > 0 => Tone::Good,
        () => Tone::Plain,
    };
    let counts = [
        (delivered, "delivered"),
        (forwarded, "forwarded"),
        (waiting, "waiting"),
        (untried, "untried"),
        (failed, "failed"),
        (removed, "removed"),
    ];
    let present: Vec<_> = counts.into_iter().filter(|(count, _)| *count > 0).collect();
    let told: Vec<String> = match present[..] {
        [(_, fate)] => vec![words.say(&format!("fate-{fate}")).into_owned()],
        _ => present
            .iter()
            .map(|(count, fate)| words.with(&format!("tally-{fate}"), "count", *count).into_owned())
            .collect(),
    };
    (tone, told.join(&words.say("life-comma")))
}

#[cfg(test)]
mod tests {
    use envelope::Language;

    use super::*;
    use crate::life::tests::{every_kind, forwarded};
    use crate::page_check::{HOSTILE, LANGUAGES, checked, frame};

    fn asked(query: &str) -> Asked {
        Asked::of(&Form::read(query), 14)
    }

    fn lines() -> Vec<MailLine> {
        let address = |at: usize| format!("{}{at}@mail.peer.example", "x".repeat(30)).parse().unwrap();
        let tally = Tally { delivered: 2, waiting: 1, failed: 1, ..Tally::default() };
        let summary = |at: usize| Summary {
            at: 1_795_523_405_000_000,
            queue_id: (!at.is_multiple_of(7))
                .then(|| QueueId::from_u64(7_354_102_579_200_000_000 + at as u64)),
            reverse_path: Some(envelope::ReversePath::Address(address(at))),
            recipients: (0..3).map(address).collect(),
            tally,
            held: at.is_multiple_of(9),
            refused: at.is_multiple_of(7).then(|| HOSTILE.into()),
        };
        (0..50)
            .map(|at| MailLine {
                summary: summary(at),
                way: if at.is_multiple_of(2) { Way::In } else { Way::Out },
            })
            .collect()
    }

    #[test]
    fn fifty_messages_are_a_small_page_in_both_languages() {
        for language in LANGUAGES {
            let asked = asked(&format!("q={HOSTILE}&days=3&way=in&skip=50"));
            let mut page = MailPage::new(frame(language, "mail-title", "/mail"), asked);
            page.trouble = Some(HOSTILE.into());
            page.show(&lines(), true, UtcOffset::UTC);
            let html = checked(&page);
            assert_eq!(html.matches("<tr>").count(), 51);
            assert!(
                html.contains("<option value=\"3\" selected>")
                    && html.contains("<option value=\"in\" selected>")
            );
            page.lines.clear();
            page.trouble = None;
            assert!(checked(&page).contains("class=\"empty\""));
        }
    }

    #[test]
    fn the_life_of_a_message_is_a_page_in_both_languages() {
        for language in LANGUAGES {
            for events in [every_kind(), forwarded()] {
                let life = Life::of(&events, Reader::Member, UtcOffset::UTC, Words(language));
                let frame = frame(language, "mail-message-title", "/mail/0123456789abc");
                checked(&MessagePage { frame, life, back: "/mail" });
            }
        }
    }

    #[test]
    fn a_fate_is_told_in_a_word_or_counted() {
        let told = |tally| {
            let mut summary = lines()[1].summary.clone();
            summary.tally = tally;
            fate(&summary, Words(Language::En))
        };
        let tally = Tally::default();
        assert_eq!(told(Tally { delivered: 3, ..tally }), (Tone::Good, "delivered".into()));
        assert_eq!(told(Tally { forwarded: 1, ..tally }), (Tone::Plain, "forwarded".into()));
        let both = told(Tally { delivered: 2, failed: 1, ..tally });
        assert_eq!(both, (Tone::Bad, "2 delivered, 1 not delivered".into()));
        let waits = told(Tally { delivered: 2, waiting: 1, ..tally });
        assert_eq!(waits, (Tone::Wait, "2 delivered, 1 waiting".into()));
    }

    #[test]
    fn days_are_those_that_the_record_keeps() {
        for (trace_days, choices, usual) in
            [(14, vec![1, 3, 7, 14], 7), (3, vec![1, 3], 3), (0, vec![1], 1), (90, vec![1, 3, 7, 30, 90], 7)]
        {
            let asked = Asked::of(&Form::read("days=8"), trace_days);
            assert_eq!((asked.choices, asked.days), (choices, usual), "{trace_days}");
        }
        assert_eq!(
            (asked("days=3").days, asked("days=x").days, asked("skip=99999999").skip),
            (3, 7, SKIP_MAX)
        );
    }

    #[test]
    fn an_address_or_a_domain_is_searched_however_it_was_copied() {
        for (text, found) in [
            ("", Ok(None)),
            ("u@peer.example", Ok(Some("u@peer.example"))),
            ("<u@peer.example>", Ok(Some("u@peer.example"))),
            ("@peer.example", Ok(Some("peer.example"))),
            ("taro", Err("mail-not-a-party")),
            ("a b", Err("mail-not-a-party")),
        ] {
            let asked = Asked { text: text.into(), ..asked("") };
            assert_eq!(asked.party(), found.map(|party| party.map(|party| party.parse().unwrap())), "{text}");
        }
        assert_eq!(asked("q=u%40x.example&way=out").path(50), "/mail?q=u%40x.example&way=out&days=7&skip=50");
    }
}
