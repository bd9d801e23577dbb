//! iPhone, iPad and Mac: a configuration profile with one mail account (Apple's `com.apple.mail.managed`). There is
//! no password in it: the device asks for one.

use askama::Template;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use sha2::{Digest, Sha256};

use super::servers::{Server, Servers};
use crate::house::Site;
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Member;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get(Who::Member, "/sheet/hikyaku.mobileconfig", profile)
}

#[derive(Template)]
#[template(path = "programs/mobileconfig.xml")]
struct Profile {
    domain: String,
    account: String,
    address: String,
    host: String,
    incoming: Server,
    outgoing: Server,
    /// The names of the profile and of what is in it: the same each time, so that a new one replaces the old.
    profile_uuid: String,
    mail_uuid: String,
}

impl Profile {
    /// None: members can neither fetch nor send by a password here.
    fn of(site: &Site, account: &str, address: &str) -> Option<Profile> {
        let servers = Servers::of(site);
        Some(Profile {
            domain: site.domain.to_ascii(),
            incoming: *servers.incoming.first()?,
            outgoing: *servers.outgoing.first()?,
            host: servers.host,
            profile_uuid: uuid("profile", address),
            mail_uuid: uuid("mail", address),
            account: account.to_owned(),
            address: address.to_owned(),
        })
    }
}

/// A UUID made of a name (RFC 9562 §5.8).
fn uuid(what: &str, address: &str) -> String {
    let digest: [u8; 32] =
        Sha256::new().chain_update(what).chain_update([0]).chain_update(address).finalize().into();
    let mut octets = [0; 16];
    octets.copy_from_slice(&digest[..16]);
    octets[6] = 0x80 | (octets[6] & 0x0f);
    octets[8] = 0x80 | (octets[8] & 0x3f);
    let hex: String = octets.iter().map(|octet| format!("{octet:02X}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

async fn profile(member: Member) -> Result<Response, Trouble> {
    let standing = member.standing();
    let (account, address) = (standing.account.as_str(), standing.address.to_string());
    let profile = Profile::of(&member.house.site(), account, &address).ok_or(Trouble::NotFound)?;
    let mut response = super::xml(&profile, "application/x-apple-aspen-config; charset=utf-8");
    let name = HeaderValue::from_static("attachment; filename=\"hikyaku.mobileconfig\"");
    response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page_check::{HOSTILE, site};
    use crate::programs::tests::parsed;

    #[test]
    fn a_profile_has_the_servers_and_no_password() {
        let found = parsed(&Profile::of(&site(), "abc", "abc@pobox.example").unwrap().render().unwrap());
        for told in
            ["string='abc@pobox.example'", "string='mail.pobox.example'", "integer='995'", "integer='465'"]
        {
            assert!(found.iter().any(|line| line == told), "{told} in {found:?}");
        }
        assert!(
            !found
                .iter()
                .any(|line| line.contains("Password'") && !line.contains("SameAs") && !line.contains("Auth"))
        );
        assert_ne!(uuid("mail", "a"), uuid("profile", "a"));
        assert_eq!(uuid("mail", "a").as_bytes()[14], b'8');
    }

    #[test]
    fn a_hostile_name_is_only_text() {
        let found = parsed(&Profile::of(&site(), HOSTILE, HOSTILE).unwrap().render().unwrap());
        assert!(found.iter().any(|line| line.contains("<script>alert(1)")), "{found:?}");
    }

    #[test]
    fn there_is_none_where_nobody_can_send() {
        let site = Site { submission: None, submissions: None, ..site() };
        assert!(Profile::of(&site, "abc", "abc@pobox.example").is_none());
    }
}
