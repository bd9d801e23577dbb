//! Rules for addresses: what is to be done with their mail.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use directory::{Actor, Extension, INSTRUCTIONS_MAX, Label, NotAnExtension, StoreError};
use envelope::{AccountName, Address, Destination, Plan, PlanName};
use link::services::directory::{AddressChange, AddressEntry, AddressFacts, InForce, Text};
use local::dot_qmail::{self, Form, ForwardTo, Instruction, Instructions, Limits, Problem};

use super::Refused;
use crate::roles::directory::Desk;

/// The most instructions that are told at once, and about how many octets of them.
const PAGE_MAX: u32 = 500;
const PAGE_OCTETS: usize = 1 << 20;
/// After so many problems of many files the rest is not told: nobody reads on.
const PROBLEMS_MAX: usize = 50;

/// Whose an address is, and under which name its own instructions stand.
pub(super) struct Own {
    pub(super) account: AccountName,
    pub(super) extension: Extension,
}

impl Desk {
    /// Where the instructions of an address stand, or would.
    pub(super) fn own_instructions(&self, address: &Address) -> Result<Own, Refused> {
        match self.resolve(address)? {
            Destination::Local(local) => Ok(Own {
                account: local.mailbox.account,
                extension: Extension::parse(local.extension.as_deref())?,
            }),
            Destination::NoSuchMailbox => Err(Refused(format!(
                "nobody has the address {address}; `hikyaku account list` shows who has some, and an account's plan \
                 must have sub_domain_addresses for any but its standard one"
            ))),
            Destination::Relayed => Err(Refused(format!(
                "the mail of {address} is passed on to the domain's own servers; what becomes of it is said there"
            ))),
            Destination::Elsewhere => Err(Refused(format!(
                "{address} is no address of ours; `hikyaku domain list` shows the domains that are"
            ))),
        }
    }

    pub(super) fn address_facts(&self, address: &Address) -> Result<AddressFacts, Refused> {
        let Destination::Local(local) = self.resolve(address)? else {
            self.own_instructions(address)?;
            return Err(Refused(format!("the address {address} has just changed; try again")));
        };
        let account = local.mailbox.account;
        let extension = local.extension.as_deref();
        let in_force = self.store.snapshot(|snapshot| {
            for candidate in dot_qmail::candidates(extension) {
                if let Some(text) = snapshot.instructions(&account, candidate.name.as_str())? {
                    return Ok(Some(InForce { file: candidate.name.to_string(), text }));
                }
            }
            Ok(None)
        })?;
        // An address that can have none of its own may have those of a default.
        let own = match Extension::parse(extension) {
            Ok(extension) => Some((extension.clone(), self.store.instructions(&account, &extension)?)),
            Err(NotAnExtension) => None,
        };
        Ok(AddressFacts {
            file: own.as_ref().map_or_else(String::new, |(extension, _)| extension.file_name()),
            own: own.and_then(|(_, own)| own).map(|own| self.entry(&account, own)),
            account,
            in_force,
        })
    }

    pub(super) fn addresses(
        &self,
        account: Option<&AccountName>,
        prefix: &str,
        after: Option<(AccountName, String)>,
        limit: u32,
    ) -> Result<Vec<AddressEntry>, Refused> {
        let after = after.map(|(of, file)| Ok::<_, NotAnExtension>((of, Extension::of_file(&file)?)));
        let after = after.transpose()?;
        let limit = limit.min(PAGE_MAX);
        let mut entries: Vec<AddressEntry> = match account {
            Some(account) => {
                let after = after.as_ref().map(|(_, extension)| extension);
                let page = self.store.instructions_of(account, prefix, after, limit)?;
                page.into_iter().map(|one| self.entry(account, one)).collect()
            }
            None => {
                let after = after.as_ref().map(|(account, extension)| (account, extension));
                let page = self.store.instructions_of_all(after, limit)?;
                page.into_iter().map(|one| self.entry(&one.account, one.instructions)).collect()
            }
        };
        let mut octets = 0;
        let fit = entries.iter().take_while(|entry| {
            octets += entry.text.len();
            octets <= PAGE_OCTETS
        });
        let fit = fit.count().max(1);
        entries.truncate(fit);
        Ok(entries)
    }

    /// Gives whether there were no instructions before.
    pub(in crate::roles::directory) fn set_address(
        &self,
        change: AddressChange,
        who: &Actor,
    ) -> Result<bool, Refused> {
        let AddressChange { address, text, label } = change;
        let label: Option<Label> = label.map(|label| label.parse()).transpose()?;
        let Own { account, extension } = self.own_instructions(&address)?;
        let mut new = false;
        if let Some(Text(text)) = text {
            let home = self.home(&account)?;
            let also = HashSet::from([extension.file_name()]);
            let text = utf8(text).map_err(|problems| {
                Refused(format!("the instructions of {address} are not changed: {}", sentences(&problems)))
            })?;
            let check = |text: &str, plan: &Plan| {
                let checked =
                    self.check(text.as_bytes(), plan, Some(&home)).map_err(|all| sentences(&all))?;
                self.check_for_circle(&account, &extension, &checked, &also)
            };
            new = self.store.set_instructions(&account, &extension, &text, check, who)?;
            // An operator has the last word: whom he lets it forward to may be asked again.
            let form = Form::read(text.as_bytes());
            let on = form.destinations.iter().filter_map(|(address, on)| on.then_some(address));
            self.store.forget_declined(&account, on, who)?;
        }
        if let Some(label) = label {
            self.store.set_instructions_label(&account, &extension, Some(&label), who)?;
        }
        Ok(new)
    }

    pub(super) fn import_addresses(
        &self,
        account: &AccountName,
        files: Vec<(String, Text)>,
        who: &Actor,
    ) -> Result<u64, Refused> {
        let home = self.home(account)?;
        let plan = self.store.effective_plan(account)?.unwrap_or_default();
        let mut problems = Vec::new();
        let mut all: BTreeMap<Extension, (String, String)> = BTreeMap::new();
        for (file, Text(text)) in files {
            let extension = match Extension::of_file(&file) {
                Ok(extension) => extension,
                Err(problem) => {
                    problems.push(format!("{file}: {problem}"));
                    continue;
                }
            };
            let text = match self.check(&text, &plan, Some(&home)).and_then(|_| utf8(text)) {
                Ok(text) => text,
                Err(found) => {
                    problems.extend(found.iter().map(|problem| format!("{file}, {problem}")));
                    continue;
                }
            };
            if let Some((other, _)) = all.insert(extension, (file.clone(), text)) {
                problems.push(format!("{file} and {other} are of one address: case makes no difference"));
            }
        }
        let also: HashSet<String> = all.keys().map(Extension::file_name).collect();
        let circle = |extension: &Extension, text: &str, plan: &Plan| {
            let checked = self.check(text.as_bytes(), plan, Some(&home)).map_err(|all| sentences(&all))?;
            self.check_for_circle(account, extension, &checked, &also)
        };
        for (extension, (file, text)) in &all {
            if let Err(problem) = circle(extension, text, &plan) {
                problems.push(format!("{file}: {problem}"));
            }
        }
        if !problems.is_empty() {
            problems.truncate(PROBLEMS_MAX);
            return Err(Refused(format!("nothing is imported:\n  {}", problems.join("\n  "))));
        }
        let texts = all.iter().map(|(extension, (_, text))| (extension, text.as_str()));
        let check = |text: &str, plan: &Plan| match self.check(text.as_bytes(), plan, Some(&home)) {
            Ok(_) => Ok(()),
            Err(all) => Err(sentences(&all)),
        };
        Ok(self.store.import_instructions(account, texts, check, who)?)
    }

    /// What is wrong with a text, if this account, or one with the default plan, were to write it.
    pub(super) fn check_text(&self, account: Option<&AccountName>, text: &[u8]) -> Result<(), Refused> {
        let (plan, home) = match account {
            Some(account) => {
                let home = self.home(account)?;
                (self.store.effective_plan(account)?, Some(home))
            }
            None => {
                let mut plans = self.store.plans()?.into_iter();
                let default = plans.find(|plan| plan.name.as_str() == PlanName::DEFAULT);
                (default.map(|default| default.plan), None)
            }
        };
        let checked = self.check(text, &plan.unwrap_or_default(), home.as_deref());
        checked.map(drop).map_err(|all| Refused(sentences(&all)))
    }

    /// Reads a text that is to be stored, and refuses what its writer cannot have meant or may not do.
    fn check(&self, text: &[u8], plan: &Plan, home: Option<&Path>) -> Result<Instructions, Vec<Problem>> {
        let limits = Limits {
            forward_limit: plan.forward_limit as usize,
            size_max: INSTRUCTIONS_MAX,
            programs: self.programs && plan.programs,
            files: plan.files,
            home,
        };
        Instructions::check_for_writing(text, &limits)
    }

    /// Refuses instructions by which mail goes back to them, and nowhere else. `also` are the files of
    /// instructions that will be there too.
    fn check_for_circle(
        &self,
        account: &AccountName,
        extension: &Extension,
        instructions: &Instructions,
        also: &HashSet<String>,
    ) -> Result<(), String> {
        match self.goes_in_a_circle(account, extension, instructions, also) {
            Ok(false) => Ok(()),
            Ok(true) => Err(
                "the address forwards to itself and nowhere else, so its mail would go round in a circle and come \
                 back to its senders; name another destination, or keep the mail in the mailbox (--keep, or a line \
                 ./Maildir/)"
                    .into(),
            ),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Whether by these instructions mail goes back to them, and nowhere else. `also` are the files of
    /// instructions that will be there too.
    pub(in crate::roles::directory) fn goes_in_a_circle(
        &self,
        account: &AccountName,
        extension: &Extension,
        instructions: &Instructions,
        also: &HashSet<String>,
    ) -> Result<bool, StoreError> {
        let file = extension.file_name();
        let mut forwards = 0;
        for instruction in instructions {
            match instruction {
                Instruction::ForwardOnly => {}
                Instruction::Forward(ForwardTo::Address(to)) => {
                    if self.file_in_force(account, to, also)?.as_ref() != Some(&file) {
                        return Ok(false);
                    }
                    forwards += 1;
                }
                _ => return Ok(false),
            }
        }
        Ok(forwards > 0)
    }

    /// The file of the instructions that would count for an address of this account; none if it is not his,
    /// or none do.
    fn file_in_force(
        &self,
        account: &AccountName,
        address: &Address,
        also: &HashSet<String>,
    ) -> Result<Option<String>, StoreError> {
        self.store.snapshot(|snapshot| {
            let Destination::Local(local) = self.resolve_at(snapshot, address)? else { return Ok(None) };
            if local.mailbox.account != *account {
                return Ok(None);
            }
            for candidate in dot_qmail::candidates(local.extension.as_deref()) {
                let name = candidate.name.as_str();
                if also.contains(name) || snapshot.has_instructions(account, name)? {
                    return Ok(Some(name.to_owned()));
                }
            }
            Ok(None)
        })
    }

    /// The account's home, in which all that its instructions name must lie.
    fn home(&self, account: &AccountName) -> Result<std::path::PathBuf, Refused> {
        let maildir = self.account(account)?.maildir;
        Ok(maildir.parent().unwrap_or(&maildir).to_path_buf())
    }

    fn entry(&self, account: &AccountName, one: directory::Instructions) -> AddressEntry {
        let file = one.extension.file_name();
        let address = match file.strip_prefix(".qmail") {
            None | Some("") => format!("{account}@{}", self.domain),
            // `abc-@`, whose part before the @ would be empty in the sub-domain.
            Some("-") => format!("{account}-@{}", self.domain),
            Some(extension) => format!("{}@{account}.{}", extension[1..].replace(':', "."), self.domain),
        };
        AddressEntry {
            account: account.clone(),
            address,
            file,
            text: one.text,
            active: one.active,
            label: one.label.map(Into::into),
            updated: one.updated,
        }
    }
}

/// The text, if it is UTF-8. What is not has been told by the check, with its line.
fn utf8(text: Vec<u8>) -> Result<String, Vec<Problem>> {
    String::from_utf8(text).map_err(|error| {
        let limits = Limits { size_max: INSTRUCTIONS_MAX, ..Limits::default() };
        Instructions::check_for_writing(error.as_bytes(), &limits).err().unwrap_or_default()
    })
}

fn sentences(problems: &[Problem]) -> String {
    match problems {
        [one] => one.to_string(),
        all => all.iter().map(|problem| format!("\n  {problem}")).collect(),
    }
}
