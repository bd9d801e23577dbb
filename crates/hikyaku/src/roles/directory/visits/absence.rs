//! A member's answer while he is away.

use directory::{Actor, ChangeError};
use link::services::directory::Event;
use link::services::directory::visits::{Absence, Denied, Own, Visit};

use super::Visitor;
use crate::roles::directory::Desk;

impl Desk {
    pub(super) fn own_absence(&self, visitor: &Visitor, own: Own) -> Result<Visit, Denied> {
        let account = &visitor.standing.account;
        if let Own::SetAbsence(absence) = own {
            let who = Actor::Account(account.clone());
            self.store.set_absence(account, &stored(absence), &who).map_err(denied)?;
            // The next message is to know of it.
            self.callers.send(&Event::Changed);
        }
        self.store.absence(account).map(|absence| Visit::Absence(shown(absence))).map_err(denied)
    }
}

fn denied(error: ChangeError) -> Denied {
    match error {
        ChangeError::Absence(wrong) => Denied::NotSensible(wrong.field().into()),
        ChangeError::NoSuchAccount(_) => Denied::NotFound,
        _ => Denied::Unavailable,
    }
}

/// As the directory keeps it. Browsers end lines by CRLF.
pub(in crate::roles::directory) fn stored(absence: Absence) -> directory::Absence {
    let Absence { active, from, until, subject, text } = absence;
    let text = if text.contains('\r') { text.replace("\r\n", "\n") } else { text };
    directory::Absence { active, from, until, subject: subject.trim().into(), text }
}

/// As its owner sees it.
pub(in crate::roles::directory) fn shown(absence: directory::Absence) -> Absence {
    let directory::Absence { active, from, until, subject, text } = absence;
    Absence { active, from, until, subject, text }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use envelope::Language;
    use link::services::directory::visits::{Key, Origin, Standing, Token};

    use super::*;
    use crate::roles::directory::example::{desk, name};

    fn visitor(account: &str) -> Visitor {
        let standing = Standing {
            account: name(account),
            address: format!("{account}@pobox.example").parse().unwrap(),
            sub_domain: None,
            language: Language::Ja,
            operates: false,
            operator: false,
            second_factor: false,
            must_enrol: false,
            fresh_until: 0,
            scope: None,
        };
        let from = Origin { client: Ipv4Addr::LOCALHOST.into(), agent: String::new() };
        Visitor { standing, key: Key::Session(Token::new([7; 32])), from, session: None }
    }

    #[test]
    fn a_member_sets_his_own_and_sees_what_he_set() {
        let (_folder, desk) = desk(false);
        let own = |account, own| match desk.own_absence(&visitor(account), own) {
            Ok(Visit::Absence(absence)) => Ok(absence),
            Ok(other) => panic!("{other:?}"),
            Err(denied) => Err(format!("{denied:?}")),
        };
        let typed =
            Absence { active: true, subject: " 不在 ".into(), text: "a\r\nb".into(), ..Absence::default() };
        let kept = Absence { subject: "不在".into(), text: "a\nb".into(), ..typed.clone() };
        assert_eq!(own("abc", Own::SetAbsence(typed.clone())), Ok(kept.clone()));
        assert_eq!(own("abc", Own::Absence), Ok(kept.clone()));
        assert_eq!(own("xyz", Own::Absence), Ok(Absence::default()));
        let trail = desk.store.audit_trail_of(&name("abc"), 1).unwrap();
        assert_eq!((&*trail[0].who, &*trail[0].what), ("account abc", "automatic reply of abc set"));
        let wrong = Absence { until: Some(1), ..typed };
        assert_eq!(own("abc", Own::SetAbsence(wrong)), Err("NotSensible(\"until\")".into()));
        assert_eq!(own("abc", Own::Absence), Ok(kept));
        assert_eq!(own("nobody", Own::Absence), Err("NotFound".into()));
    }
}
