//! From where one may send without a password just now (POP before SMTP), and the end of that.

use askama::Template;
use axum::response::Response;
use link::services::directory::Window;
use link::services::directory::visits::{Own, Visit};

use crate::form::Form;
use crate::frame::{self, Frame};
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Member;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.get(Who::Member, "/account/windows", list).post(Who::Member, "/account/windows", close)
}

#[derive(Template)]
#[template(path = "member/account/windows.html")]
struct Windows {
    frame: Frame,
    all: Vec<Line>,
    minutes: u32,
    may: bool,
}

struct Line {
    client: String,
    opened: u64,
    expires: u64,
}

impl Line {
    fn of(window: &Window) -> Line {
        let client = window.client.to_canonical().to_string();
        Line { client, opened: window.opened, expires: window.expires }
    }
}

async fn list(member: Member) -> Result<Response, Trouble> {
    let Visit::Facts(facts) = member.own(Own::Facts).await? else { return Err(Trouble::Unavailable) };
    Ok(frame::page(&Windows {
        frame: Frame::of(&member, "windows-title"),
        all: facts.windows.iter().map(Line::of).collect(),
        minutes: member.house.site().pop_window_minutes,
        may: facts.allowances.pop_before_smtp,
    }))
}

async fn close(member: Member, _: Form) -> Result<Response, Trouble> {
    member.own(Own::CloseWindows).await?;
    Ok(frame::see_other("/account/windows?done=windows-closed"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page_check::{LANGUAGES, checked, frame};

    #[test]
    fn open_windows_can_be_closed() {
        let window =
            Window { client: "::ffff:192.0.2.1".parse().unwrap(), opened: 1, renewed: 2, expires: 3 };
        for language in LANGUAGES {
            for (all, may) in [(vec![Line::of(&window)], true), (Vec::new(), true), (Vec::new(), false)] {
                let open = !all.is_empty();
                let frame = frame(language, "windows-title", "/account/windows");
                let html = checked(&Windows { frame, all, minutes: 30, may });
                assert_eq!(html.contains("action=\"/account/windows\""), open);
                assert_eq!(html.contains(">192.0.2.1<"), open);
            }
        }
    }
}
