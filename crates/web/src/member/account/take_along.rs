//! All that a member has set, as files that he can take along: one for programs, and a `.qmail` for each address.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use link::services::directory::AccountFacts;
use link::services::directory::visits::{Absence, AddressSheet, Own, Standing, Visit};
use serde_json::{Value, json};

use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Member;

/// Addresses that are asked for at once.
const AT_ONCE: u32 = 200;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.get(Who::Member, "/account/settings.json", as_json).get(
        Who::Member,
        "/account/settings.tar",
        as_tar,
    )
}

/// All of it.
struct Settings {
    standing: Standing,
    facts: AccountFacts,
    addresses: Vec<AddressSheet>,
    absence: Absence,
    app_passwords: Vec<String>,
}

impl Settings {
    async fn of(member: &Member) -> Result<Settings, Trouble> {
        let (Visit::Facts(facts), Visit::Absence(absence), Visit::AppPasswords(app_passwords)) = (
            member.own(Own::Facts).await?,
            member.own(Own::Absence).await?,
            member.own(Own::AppPasswords).await?,
        ) else {
            return Err(Trouble::Unavailable);
        };
        let mut addresses: Vec<AddressSheet> = Vec::new();
        loop {
            let after = addresses.last().map(|sheet| sheet.file.clone());
            let ask = Own::Addresses { search: String::new(), after, limit: AT_ONCE };
            let Visit::Addresses { sheets, more } = member.own(ask).await? else {
                return Err(Trouble::Unavailable);
            };
            let none = sheets.is_empty();
            addresses.extend(sheets);
            if none || !more {
                break;
            }
        }
        Ok(Settings {
            standing: member.standing().clone(),
            facts: *facts,
            addresses,
            absence,
            app_passwords: app_passwords.into_iter().map(|one| one.label).collect(),
        })
    }

    fn json(&self) -> Value {
        let addresses: Vec<Value> = self.addresses.iter().map(address).collect();
        let Absence { active, from, until, subject, text } = &self.absence;
        json!({
            "account": self.standing.account.as_str(),
            "address": self.standing.address.to_string(),
            "sub_domain": self.standing.sub_domain.as_ref().map(ToString::to_string),
            "language": self.standing.language.as_str(),
            "second_factor": self.standing.second_factor,
            "plan": self.facts.plan.as_str(),
            "domains": self.facts.domains.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "addresses": addresses,
            "auto_reply": { "active": active, "from": from, "until": until, "subject": subject, "text": text },
            "app_passwords": self.app_passwords,
        })
    }

    /// The files, each by its name.
    fn files(&self) -> Result<Vec<(String, u64, Vec<u8>)>, Trouble> {
        let all = serde_json::to_vec_pretty(&self.json()).map_err(|_| Trouble::Unavailable)?;
        let latest = self.addresses.iter().map(|sheet| sheet.updated).max().unwrap_or_default();
        let mut files = vec![("settings.json".to_owned(), latest, all)];
        for sheet in self.addresses.iter().filter(|sheet| sheet.exists) {
            files.push((sheet.file.clone(), sheet.updated, sheet.text.clone().into_bytes()));
        }
        Ok(files)
    }
}

fn address(sheet: &AddressSheet) -> Value {
    let to = |to: &link::services::directory::visits::Destination| json!({ "address": to.address.to_string(), "state": to.state });
    json!({
        "address": sheet.address,
        "file": sheet.file,
        "label": sheet.label,
        "active": sheet.active,
        "keep": sheet.keep,
        "destinations": sheet.destinations.iter().map(to).collect::<Vec<_>>(),
        "text": sheet.text,
        "updated": sheet.updated,
    })
}

fn archive(files: Vec<(String, u64, Vec<u8>)>) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, changed, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        // As qmail wants them: nobody else may write them.
        header.set_mode(0o600);
        header.set_mtime(changed);
        archive.append_data(&mut header, name, content.as_slice())?;
    }
    archive.into_inner()
}

async fn as_json(member: Member) -> Result<Response, Trouble> {
    let all = Settings::of(&member).await?.json();
    let text = serde_json::to_vec_pretty(&all).map_err(|_| Trouble::Unavailable)?;
    Ok(file(text.into(), "application/json", "attachment; filename=\"settings.json\""))
}

async fn as_tar(member: Member) -> Result<Response, Trouble> {
    let archive = archive(Settings::of(&member).await?.files()?).map_err(|error| {
        tracing::error!(%error, "settings cannot be put into an archive");
        Trouble::Unavailable
    })?;
    Ok(file(archive.into(), "application/x-tar", "attachment; filename=\"settings.tar\""))
}

fn file(content: Bytes, kind: &'static str, disposition: &'static str) -> Response {
    let mut response = content.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(disposition));
    response
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn an_archive_gives_back_every_file() {
        let long = format!(".qmail-{}", "長".repeat(35));
        let files = vec![
            ("settings.json".to_owned(), 1, b"{}".to_vec()),
            (".qmail".to_owned(), 2, Vec::new()),
            (long.clone(), 3, b"&a@example.net\n".to_vec()),
        ];
        let archive = archive(files.clone()).unwrap();
        let mut read = Vec::new();
        for entry in tar::Archive::new(&*archive).entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().to_str().unwrap().to_owned();
            let changed = entry.header().mtime().unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            read.push((name, changed, content));
        }
        assert_eq!(read, files);
    }
}
