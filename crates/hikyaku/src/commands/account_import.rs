//! Accounts from a file: `name:hash[:language[:user]]`, or the lines of passwd, shadow and vpasswd.

use std::collections::HashMap;

use directory::PasswordHash;
use envelope::{AccountName, Language, PlanName};
use link::services::directory::{NewAccount, NewPassword, Secret};

use crate::local_users::LocalUid;

/// The longest file in octets.
pub const FILE_MAX: usize = 16 << 20;
/// The most accounts of one import: they travel and are made at once.
const ACCOUNTS_MAX: usize = 20_000;
/// After so many problems the rest is not looked for: nobody reads on.
const PROBLEMS_MAX: usize = 50;

/// The accounts of a file, each with its line. `language` is that of lines that say none.
///
/// # Errors
/// All problems (the first 50), each a sentence that begins with its line.
pub fn parse(
    text: &[u8],
    language: Language,
    plan: Option<&PlanName>,
) -> Result<Vec<(u32, NewAccount)>, Vec<String>> {
    let mut problems = Vec::new();
    let mut accounts = Vec::new();
    let mut lines_of: HashMap<AccountName, u32> = HashMap::new();
    for (number, line) in (1_u32..).zip(text.split(|octet| *octet == b'\n')) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        match account(line, language, plan) {
            Ok(new) => match lines_of.insert(new.name.clone(), number) {
                Some(first) => {
                    problems.push(format!("line {number}: {} stands in line {first} already", new.name));
                }
                None => accounts.push((number, new)),
            },
            Err(problem) => problems.push(format!("line {number}: {problem}")),
        }
        if problems.len() >= PROBLEMS_MAX {
            break;
        }
    }
    if accounts.len() > ACCOUNTS_MAX {
        problems.push(format!(
            "there are {} accounts; import at most {ACCOUNTS_MAX} at a time, from several files (split -l \
             {ACCOUNTS_MAX})",
            accounts.len()
        ));
    }
    if problems.is_empty() { Ok(accounts) } else { Err(problems) }
}

fn account(line: &[u8], language: Language, plan: Option<&PlanName>) -> Result<NewAccount, String> {
    let line = str::from_utf8(line).map_err(|_| "the line is not UTF-8; save the file in UTF-8")?;
    let fields: Vec<&str> = line.split(':').collect();
    let [name, hash, ref rest @ ..] = fields[..] else {
        return Err("write name:hash, with nothing after the colon for an account without a password".into());
    };
    let name: AccountName = name.parse().map_err(|error| format!("{name:?}: {error}"))?;
    let password = match hash {
        "" => None,
        // A password that is locked: nobody can log in by it, here neither.
        locked if locked.starts_with(['*', '!']) => None,
        "x" => {
            return Err(format!(
                "the hash of {name} is not here but in /etc/shadow; import the lines from there"
            ));
        }
        hash => {
            PasswordHash::parse(hash).map_err(|error| format!("{name}: {error}"))?;
            Some(NewPassword::Hash(Secret(hash.into())))
        }
    };
    // With more fields it is a line of another system, which knows no languages.
    let (said, user) = match rest {
        [] | [_, _, _, ..] => ("", ""),
        [said] => (*said, ""),
        [said, user] => (*said, *user),
    };
    let language = match said {
        "ja" => Language::Ja,
        "en" => Language::En,
        "" => language,
        other => return Err(format!("{other:?} is no language; write ja or en, or leave it out")),
    };
    let uids = match user {
        "" => Vec::new(),
        user => vec![user.parse::<LocalUid>().map_err(|error| format!("{name}: {error}"))?.0],
    };
    Ok(NewAccount { name, password, language, operator: false, plan: plan.cloned(), uids })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HASH: &str = "$1$saltsalt$hvuf8zlFXCii1v88PlX3N1";

    fn read(text: &str) -> Result<Vec<(u32, NewAccount)>, Vec<String>> {
        parse(text.as_bytes(), Language::Ja, None)
    }

    #[test]
    fn lines_of_our_own_and_of_older_systems_are_read() {
        let text = format!(
            "# customers\n\na1:{HASH}:en\r\na2:{HASH}\na3::ja\na4:\n\
             a5:{HASH}:1001:1001:Taro:/home/a5:/bin/sh\na6:!{HASH}:19000:0:99999:7:::\na7:*:\n\
             a8:{HASH}:1:0:Hanako:/home/vpopmail/domains/x/a8:NOQUOTA\n\
             a9::en:1009\nb1:::root\nb2:::"
        );
        let read = read(&text).unwrap();
        let found: Vec<_> = read
            .iter()
            .map(|(line, new)| (*line, new.name.as_str(), new.password.is_some(), new.language))
            .collect();
        assert_eq!(
            found,
            [
                (3, "a1", true, Language::En),
                (4, "a2", true, Language::Ja),
                (5, "a3", false, Language::Ja),
                (6, "a4", false, Language::Ja),
                (7, "a5", true, Language::Ja),
                (8, "a6", false, Language::Ja),
                (9, "a7", false, Language::Ja),
                (10, "a8", true, Language::Ja),
                (11, "a9", false, Language::En),
                (12, "b1", false, Language::Ja),
                (13, "b2", false, Language::Ja),
            ]
        );
        let uids: Vec<u32> = read.iter().flat_map(|(_, new)| new.uids.clone()).collect();
        assert_eq!(uids, [1009, 0]);
    }

    #[test]
    fn each_problem_is_told_with_its_line() {
        let text = format!(
            "a1:{HASH}\nA1:{HASH}\na b:\nnobody\na2:abGvwuLczWt7M\na3:x:1:1::/:/\na4::de\n-x:\na5:::no-such-user\n"
        );
        let problems = read(&text).unwrap_err();
        let beginnings = [
            "line 2: a1 stands in line 1 already",
            "line 3: \"a b\": an account name",
            "line 4: write name:hash",
            "line 5: a2: this is no password hash",
            "line 6: the hash of a3 is not here but in /etc/shadow",
            "line 7: \"de\" is no language",
            "line 8: \"-x\"",
            "line 9: a5: this machine has no user no-such-user",
        ];
        assert_eq!(problems.len(), beginnings.len(), "{problems:#?}");
        for (problem, beginning) in problems.iter().zip(beginnings) {
            assert!(problem.starts_with(beginning), "{problem}");
        }
        let latin = parse(b"a1:\nj\xf6rg:\n", Language::Ja, None).unwrap_err();
        assert_eq!(latin, ["line 2: the line is not UTF-8; save the file in UTF-8"]);
        let many: String = (0..=ACCOUNTS_MAX).map(|number| format!("a{number}:\n")).collect();
        assert!(read(&many).unwrap_err()[0].contains("split -l"));
    }

    proptest! {
        #[test]
        fn any_octets_are_accounts_or_problems(text in prop::collection::vec(any::<u8>(), 0..200)) {
            match parse(&text, Language::Ja, None) {
                Ok(accounts) => prop_assert!(accounts.iter().all(|(line, _)| *line >= 1)),
                Err(problems) => prop_assert!(problems.iter().all(|problem| problem.starts_with("line "))),
            }
        }
    }
}
