//! What is answered while a member is away (RFC 3834). The form has whole days, in the zone of the house: from
//! the beginning of the first to the end of the last.

use std::borrow::Cow;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use link::services::directory::visits::{Absence, Denied, Own, Visit};
use time::macros::format_description;
use time::{Date, OffsetDateTime, UtcOffset};

use crate::form::Form;
use crate::frame::{self, Frame};
use crate::routes::{Routes, Who};
use crate::shown;
use crate::trouble::Trouble;
use crate::visitor::Member;
use crate::words::Words;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.get(Who::Member, "/absence", show).post(Who::Member, "/absence", save)
}

#[derive(Template)]
#[template(path = "member/absence.html")]
struct AbsencePage {
    frame: Frame,
    typed: Typed,
    /// How it stands with what is saved, if it was asked for.
    state: Option<String>,
    /// What a sender would see.
    preview: Option<Preview>,
    trouble: Option<String>,
}

struct Preview {
    subject: String,
    text: String,
}

/// The form's fields as they were typed.
struct Typed {
    active: bool,
    from: String,
    until: String,
    subject: String,
    text: String,
}

impl Typed {
    fn of(absence: &Absence, zone: UtcOffset) -> Typed {
        Typed {
            active: absence.active,
            from: absence.from.map(|from| date(from, zone)).unwrap_or_default(),
            // It ends with the last day, so the moment is already in the next one.
            until: absence.until.map(|until| date(until.saturating_sub(1), zone)).unwrap_or_default(),
            subject: absence.subject.clone(),
            text: absence.text.clone(),
        }
    }

    fn read(form: &Form) -> Typed {
        Typed {
            active: form.ticked("active"),
            from: form.text("from").chars().take(40).collect(),
            until: form.text("until").chars().take(40).collect(),
            subject: form.text("subject").to_owned(),
            text: form.raw("text").to_owned(),
        }
    }

    /// What is meant; or the field that cannot be read.
    fn meant(&self, zone: UtcOffset) -> Result<Absence, &'static str> {
        let from = day(&self.from, zone).ok_or("from")?;
        let until = day(&self.until, zone).ok_or("until")?;
        Ok(Absence {
            active: self.active,
            from: from.map(|(begins, _)| begins),
            until: until.map(|(_, ends)| ends),
            subject: self.subject.clone(),
            text: self.text.clone(),
        })
    }
}

/// When a day begins and ends, in seconds since 1970; none: no day is said. As date fields have it, or typed by
/// hand where a browser has none.
#[expect(clippy::option_option, reason = "nothing typed is not the same as nothing understood")]
fn day(typed: &str, zone: UtcOffset) -> Option<Option<(u64, u64)>> {
    if typed.is_empty() {
        return Some(None);
    }
    let typed = typed.replace(['/', '.'], "-");
    let form = format_description!("[year]-[month padding:none]-[day padding:none]");
    let date = Date::parse(&typed, form).ok()?;
    let begins = date.midnight().assume_offset(zone).unix_timestamp();
    let begins = u64::try_from(begins).ok()?;
    Some(Some((begins, begins + 86_400)))
}

fn date(seconds: u64, zone: UtcOffset) -> String {
    let at = i64::try_from(seconds).ok().and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
    let form = format_description!("[year]-[month]-[day]");
    at.and_then(|at| at.to_offset(zone).date().format(form).ok()).unwrap_or_default()
}

/// What is set, as a sentence.
pub(super) fn in_words(absence: &Absence, frame: &Frame) -> String {
    let words = frame.words;
    let day = |seconds| shown::day(seconds, frame.zone, words);
    let until = absence.until.map(|until| day(until.saturating_sub(1)));
    let sentence = match (absence.active, absence.from.map(day), until) {
        (false, ..) => words.say("absence-is-off"),
        (true, None, None) => words.say("absence-is-on"),
        (true, Some(from), None) => words.with("absence-from-on", "from", from),
        (true, None, Some(until)) => words.with("absence-until-then", "until", until),
        (true, Some(from), Some(until)) => words.with2("absence-between", ("from", from), ("until", until)),
    };
    sentence.into_owned()
}

async fn show(member: Member) -> Result<Response, Trouble> {
    let Visit::Absence(absence) = member.own(Own::Absence).await? else { return Err(Trouble::Unavailable) };
    Ok(frame::page(&page(Frame::of(&member, "absence-title"), &absence)))
}

fn page(frame: Frame, absence: &Absence) -> AbsencePage {
    let subject: Cow<'_, str> = match absence.subject.as_str() {
        "" => frame.words.say("absence-our-subject"),
        own => own.into(),
    };
    let preview = Preview { subject: subject.into_owned(), text: absence.text.clone() };
    AbsencePage {
        typed: Typed::of(absence, frame.zone),
        state: Some(in_words(absence, &frame)),
        preview: (!absence.text.trim().is_empty()).then_some(preview),
        trouble: None,
        frame,
    }
}

async fn save(member: Member, form: Form) -> Result<Response, Trouble> {
    let typed = Typed::read(&form);
    let zone = member.house.site().zone;
    let absence = match typed.meant(zone) {
        Ok(absence) => absence,
        Err(field) => {
            let sentence = not_sensible(member.words, field);
            return Ok(refused(&member, typed, sentence, StatusCode::UNPROCESSABLE_ENTITY));
        }
    };
    match member.own(Own::SetAbsence(absence)).await {
        Ok(_) => Ok(frame::see_other("/absence?done=saved")),
        Err(trouble @ Trouble::Denied(_)) => {
            let sentence = match &trouble {
                Trouble::Denied(Denied::NotSensible(field)) => not_sensible(member.words, field),
                trouble => trouble.sentence(member.words).into_owned(),
            };
            Ok(refused(&member, typed, sentence, trouble.status()))
        }
        Err(trouble) => Err(trouble),
    }
}

/// What is wrong with a field, by the field that the directory names.
fn not_sensible(words: Words, field: &str) -> String {
    match field {
        "from" | "until" | "subject" | "text" => words.say(&format!("absence-wrong-{field}")).into_owned(),
        other => Trouble::Denied(Denied::NotSensible(other.into())).sentence(words).into_owned(),
    }
}

fn refused(member: &Member, typed: Typed, sentence: String, status: StatusCode) -> Response {
    let frame = Frame::of(member, "absence-title");
    let page = AbsencePage { frame, typed, state: None, preview: None, trouble: Some(sentence) };
    frame::again(&page, status)
}

#[cfg(test)]
mod tests {
    use envelope::Language;
    use proptest::prelude::*;

    use super::*;
    use crate::page_check::{HOSTILE, LANGUAGES, checked, frame};

    const JAPAN: UtcOffset = match UtcOffset::from_hms(9, 0, 0) {
        Ok(zone) => zone,
        Err(_) => panic!("nine hours are a zone"),
    };

    fn typed(from: &str, until: &str) -> Typed {
        Typed {
            active: true,
            from: from.into(),
            until: until.into(),
            subject: HOSTILE.into(),
            text: format!("</textarea>{HOSTILE}"),
        }
    }

    #[test]
    fn days_are_whole_and_read_back() {
        let absence = typed("2026-11-24", "2026/11/4").meant(JAPAN).unwrap();
        assert_eq!(absence.from, Some(1_795_446_000));
        assert_eq!(absence.until, Some(1_795_446_000 - 19 * 86_400));
        let again = Typed::of(&absence, JAPAN);
        assert_eq!((again.from.as_str(), again.until.as_str()), ("2026-11-24", "2026-11-04"));
        assert_eq!(typed("", "").meant(JAPAN).map(|absence| (absence.from, absence.until)), Ok((None, None)));
        assert_eq!(typed("soon", "").meant(JAPAN), Err("from"));
        assert_eq!(typed("", "2026-02-30").meant(JAPAN), Err("until"));
    }

    #[test]
    fn the_page_shows_what_is_set_and_what_was_typed() {
        for language in LANGUAGES {
            for (from, until) in
                [("", ""), ("2026-11-24", ""), ("", "2026-11-30"), ("2026-11-24", "2026-11-30")]
            {
                let absence = typed(from, until).meant(JAPAN).unwrap();
                let html = checked(&page(frame(language, "absence-title", "/absence"), &absence));
                assert_eq!(html.contains("value=\"2026-11-30\""), !until.is_empty());
            }
            let refused = AbsencePage {
                frame: frame(language, "absence-title", "/absence"),
                typed: typed(HOSTILE, HOSTILE),
                state: None,
                preview: None,
                trouble: Some(not_sensible(Words(language), "until")),
            };
            checked(&refused);
        }
        let off = in_words(&Absence::default(), &frame(Language::En, "", "/"));
        assert_eq!(off, "Nobody is answered.");
    }

    proptest! {
        #[test]
        fn any_text_is_a_day_or_none(typed in "\\PC{0,20}|[0-9]{1,5}[-/.][0-9]{1,3}[-/.][0-9]{1,3}") {
            if let Some(Some((begins, ends))) = day(&typed, JAPAN) {
                prop_assert_eq!(ends - begins, 86_400);
                prop_assert_eq!(day(&date(begins, JAPAN), JAPAN), Some(Some((begins, ends))));
            }
        }
    }
}
