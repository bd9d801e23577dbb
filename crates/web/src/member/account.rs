//! The settings of a member's account: the ways in, and what is his to take along.
//!
//! | file | what it does |
//! |---|---|
//! | `password.rs` | a new password |
//! | `app_passwords.rs` | passwords for one device each |
//! | `second_factor.rs` | an authenticator and recovery codes |
//! | `sessions.rs` | browsers that are signed in |
//! | `tokens.rs` | keys for programs |
//! | `windows.rs` | who may send without a password just now |
//! | `trail.rs` | what was changed |
//! | `take_along.rs` | all settings, as files |
//!
//! Each path that takes a form can be looked at too, so that who must sign in or prove himself in between comes back
//! to a page.

mod app_passwords;
mod browser_name;
mod password;
mod second_factor;
mod sessions;
mod take_along;
mod tokens;
mod trail;
mod windows;

use askama::Template;
use axum::response::Response;

use crate::frame::{self, Frame};
use crate::routes::{Routes, Who};
use crate::visitor::Member;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .get(Who::Member, "/account", account)
        .with(password::routes)
        .with(app_passwords::routes)
        .with(second_factor::routes)
        .with(sessions::routes)
        .with(tokens::routes)
        .with(windows::routes)
        .with(trail::routes)
        .with(take_along::routes)
}

#[derive(Template)]
#[template(path = "member/account/index.html")]
struct Index {
    frame: Frame,
    second_factor: bool,
}

async fn account(member: Member) -> Response {
    let frame = Frame::of(&member, "account-title");
    frame::page(&Index { frame, second_factor: member.standing().second_factor })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page_check::{LANGUAGES, checked, frame};

    #[test]
    fn the_settings_lead_to_each_of_their_pages() {
        for language in LANGUAGES {
            for second_factor in [false, true] {
                let html =
                    checked(&Index { frame: frame(language, "account-title", "/account"), second_factor });
                for path in
                    ["password", "app-passwords", "sessions", "tokens", "windows", "trail", "settings.json"]
                {
                    assert!(html.contains(&format!("href=\"/account/{path}\"")), "{path}");
                }
                assert!(html.contains("<a href=\"/account\" aria-current=\"page\">"));
            }
        }
    }
}
