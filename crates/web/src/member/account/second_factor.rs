//! The second factor: an authenticator (RFC 6238) and recovery codes. For an operator who comes by a one-time link
//! these are the only pages until it is set up.
//!
//! The secret and the codes stand in pages that no browser keeps, and in no address; the picture of the secret is
//! part of the page for the same reason.

use askama::Template;
use axum::response::Response;
use link::services::directory::Secret;
use link::services::directory::visits::{Own, Visit};
use qrcode::{Color, EcLevel, QrCode};

use crate::form::Form;
use crate::frame::{self, Frame};
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Member;

/// Light modules round a QR code, which readers need (ISO/IEC 18004 §5.3.8).
const QUIET: usize = 4;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .get(Who::Member, "/second-factor", show)
        .post(Who::Member, "/second-factor", set_up)
        .get(Who::Member, "/second-factor/codes", ask_for_codes)
        .post(Who::Member, "/second-factor/codes", new_codes)
        .get(Who::Member, "/second-factor/remove", ask_to_remove)
        .post(Who::Member, "/second-factor/remove", remove)
}

/// There is none yet.
#[derive(Template)]
#[template(path = "member/account/second-factor-begin.html")]
struct Begin {
    frame: Frame,
    enrols: bool,
    /// In groups of four, for typing.
    secret: String,
    uri: String,
    picture: Option<Picture>,
    trouble: Option<String>,
}

/// There is one.
#[derive(Template)]
#[template(path = "member/account/second-factor.html")]
struct SetUp {
    frame: Frame,
    operator: bool,
}

/// The only time that they are seen.
#[derive(Template)]
#[template(path = "member/account/recovery-codes.html")]
struct RecoveryCodes {
    frame: Frame,
    codes: Vec<String>,
    /// Where to go on.
    then: &'static str,
}

/// Something that is asked about first.
#[derive(Template)]
#[template(path = "member/account/second-factor-ask.html")]
struct Sure {
    frame: Frame,
    action: &'static str,
    question: String,
    yes: String,
    danger: bool,
}

/// A QR code: how wide it is, in modules, and the path of its dark ones (SVG 2 §9.3).
struct Picture {
    width: usize,
    dark: String,
}

impl Picture {
    /// None: too long a text.
    fn of(text: &str) -> Option<Picture> {
        let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
        let width = code.width();
        let mut dark = String::new();
        for (row, modules) in code.to_colors().chunks(width).enumerate() {
            for (column, _) in modules.iter().enumerate().filter(|(_, module)| **module == Color::Dark) {
                dark += &format!("M{} {}h1v1h-1z", column + QUIET, row + QUIET);
            }
        }
        Some(Picture { width: width + 2 * QUIET, dark })
    }
}

async fn show(member: Member) -> Result<Response, Trouble> {
    if member.standing().second_factor {
        let frame = Frame::of(&member, "second-factor-title");
        return Ok(frame::page(&SetUp { frame, operator: member.standing().operator }));
    }
    Ok(frame::page(&begin(&member, None).await?))
}

/// The directory gives the same secret again until it is set up, so a page that is looked at twice misleads nobody.
async fn begin(member: &Member, trouble: Option<&Trouble>) -> Result<Begin, Trouble> {
    let Visit::SecondFactorBegun { secret, uri } = member.own(Own::BeginSecondFactor).await? else {
        return Err(Trouble::Unavailable);
    };
    Ok(Begin {
        frame: Frame::of(member, "second-factor-title"),
        enrols: member.standing().must_enrol,
        secret: in_groups(&secret),
        picture: Picture::of(&uri.0),
        uri: uri.0,
        trouble: trouble.map(|trouble| trouble.sentence(member.words).into_owned()),
    })
}

fn in_groups(secret: &Secret) -> String {
    let letters: Vec<char> = secret.0.chars().collect();
    let groups: Vec<String> = letters.chunks(4).map(|group| group.iter().collect()).collect();
    groups.join(" ")
}

async fn set_up(member: Member, form: Form) -> Result<Response, Trouble> {
    if member.standing().second_factor {
        return Ok(frame::see_other("/second-factor"));
    }
    match member.own(Own::SetSecondFactor(form.text("code").to_owned())).await {
        Ok(Visit::RecoveryCodes(codes)) => {
            let then = if member.standing().must_enrol { "/" } else { "/account" };
            // The navigation leads somewhere from now on.
            let mut frame = Frame::of(&member, "second-factor-codes-title");
            if let Some(account) = &mut frame.account {
                account.enrols = false;
            }
            Ok(frame::page(&RecoveryCodes { frame, codes: plain(codes), then }))
        }
        Ok(_) => Err(Trouble::Unavailable),
        Err(trouble @ Trouble::Denied(_)) => {
            Ok(frame::again(&begin(&member, Some(&trouble)).await?, trouble.status()))
        }
        Err(trouble) => Err(trouble),
    }
}

fn plain(codes: Vec<Secret>) -> Vec<String> {
    codes.into_iter().map(|code| code.0).collect()
}

async fn ask_for_codes(member: Member) -> Result<Response, Trouble> {
    member.must_be_fresh()?;
    Ok(frame::page(&Sure {
        frame: Frame::of(&member, "second-factor-codes-new"),
        action: "/second-factor/codes",
        question: member.words.say("second-factor-codes-ask").into_owned(),
        yes: member.words.say("second-factor-codes-yes").into_owned(),
        danger: false,
    }))
}

async fn new_codes(member: Member, _: Form) -> Result<Response, Trouble> {
    let Visit::RecoveryCodes(codes) = member.own(Own::NewRecoveryCodes).await? else {
        return Err(Trouble::Unavailable);
    };
    let frame = Frame::of(&member, "second-factor-codes-title");
    Ok(frame::page(&RecoveryCodes { frame, codes: plain(codes), then: "/second-factor" }))
}

async fn ask_to_remove(member: Member) -> Result<Response, Trouble> {
    member.must_be_fresh()?;
    Ok(frame::page(&Sure {
        frame: Frame::of(&member, "second-factor-remove"),
        action: "/second-factor/remove",
        question: member.words.say("second-factor-remove-ask").into_owned(),
        yes: member.words.say("second-factor-remove-yes").into_owned(),
        danger: true,
    }))
}

async fn remove(member: Member, _: Form) -> Result<Response, Trouble> {
    member.own(Own::RemoveSecondFactor).await?;
    Ok(frame::see_other("/account?done=second-factor-removed"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page_check::{HOSTILE, LANGUAGES, checked, frame};

    const URI: &str =
        "otpauth://totp/pobox.example:abc?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=pobox.example";

    #[test]
    fn the_secret_is_shown_for_the_eye_and_for_the_camera() {
        for language in LANGUAGES {
            let secret = in_groups(&Secret("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".into()));
            assert_eq!(secret, "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ");
            for enrols in [false, true] {
                let frame = frame(language, "second-factor-title", "/second-factor");
                let picture = Picture::of(URI);
                assert!(picture.is_some());
                let trouble = Some(HOSTILE.into());
                let (secret, uri) = (secret.clone(), URI.into());
                checked(&Begin { frame, enrols, secret, uri, picture, trouble });
            }
        }
    }

    #[test]
    fn a_picture_has_three_finders_in_a_quiet_frame() {
        let picture = Picture::of("A").unwrap();
        assert_eq!(picture.width, 21 + 8);
        for corner in ["M4 4h", "M24 4h", "M4 24h"] {
            assert!(picture.dark.contains(corner), "{corner}");
        }
        assert!(!picture.dark.contains("M3 ") && !picture.dark.contains("M25 "));
        assert!(Picture::of(&"x".repeat(5000)).is_none());
    }

    #[test]
    fn operators_cannot_do_without() {
        for language in LANGUAGES {
            for operator in [false, true] {
                let frame = frame(language, "second-factor-title", "/second-factor");
                let html = checked(&SetUp { frame, operator });
                assert_eq!(html.contains("/second-factor/remove"), !operator);
            }
        }
    }

    #[test]
    fn codes_and_questions_are_well_formed() {
        for language in LANGUAGES {
            let frame = || frame(language, "second-factor-codes-title", "/second-factor/codes");
            let codes: Vec<String> = (0..10).map(|n| format!("abcde-fghij-{n:05}")).collect();
            let html = checked(&RecoveryCodes { frame: frame(), codes, then: "/" });
            assert_eq!(html.matches("<li>abcde").count(), 10);
            let (action, question, yes) = ("/second-factor/remove", HOSTILE.to_owned(), "!".to_owned());
            checked(&Sure { frame: frame(), action, question, yes, danger: true });
        }
    }
}
