//! What was changed of one's account, and by whom.

use askama::Template;
use axum::response::Response;
use link::services::directory::AuditEntry;
use link::services::directory::visits::{Own, Visit};

use crate::frame::{self, Frame};
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Member;

/// Changes on the page.
const CHANGES: u32 = 100;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.get(Who::Member, "/account/trail", trail)
}

#[derive(Template)]
#[template(path = "member/account/trail.html")]
struct Trail {
    frame: Frame,
    all: Vec<AuditEntry>,
    most: u32,
}

async fn trail(member: Member) -> Result<Response, Trouble> {
    let Visit::Trail(all) = member.own(Own::Trail { limit: CHANGES }).await? else {
        return Err(Trouble::Unavailable);
    };
    Ok(frame::page(&Trail { frame: Frame::of(&member, "trail-title"), all, most: CHANGES }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page_check::{HOSTILE, LANGUAGES, checked, frame};

    #[test]
    fn changes_are_only_text_and_a_full_page_is_small() {
        for language in LANGUAGES {
            let entry = AuditEntry { at: 1_795_478_640, who: "account abc".into(), what: HOSTILE.into() };
            let all = vec![entry; CHANGES as usize];
            let frame = || frame(language, "trail-title", "/account/trail");
            checked(&Trail { frame: frame(), all, most: CHANGES });
            checked(&Trail { frame: frame(), all: Vec::new(), most: CHANGES });
        }
    }
}
