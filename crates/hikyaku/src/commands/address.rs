//! `hikyaku address`: what becomes of the mail to single addresses.

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{ArgGroup, Args, Subcommand};
use directory::INSTRUCTIONS_MAX;
use envelope::{AccountName, Address as MailAddress};
use link::services::directory::{AddressChange, AddressEntry, AddressFacts, Answer, Many, Rule, Text};
use local::dot_qmail::{Forwarding, Instructions};
use serde_json::json;

use super::desk::{Desk, SOMETHING_ELSE, ask};
use super::output::{self, say};
use super::text_file::TextFile;
use super::{address_files, address_words, welcome};
use crate::config::Config;

/// How many instructions are asked for at a time.
const PAGE: u32 = 500;

#[derive(Subcommand)]
pub enum Address {
    /// Say what is to be done with the mail to an address: any address of ours, or default@ for all the rest, as in
    /// default@abc.pobox.example.
    Set(Set),
    /// One address: which instructions count for it, in words and as text.
    Show {
        /// The address.
        address: MailAddress,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// The addresses of an account that have instructions of their own; all others go by default, or into the
    /// mailbox.
    #[command(group = ArgGroup::new("whose").args(["account", "all"]).required(true))]
    List {
        /// Whose.
        account: Option<AccountName>,
        /// Those of all accounts.
        #[arg(long, conflicts_with = "prefix")]
        all: bool,
        /// Only those that begin so.
        #[arg(long, value_name = "P", default_value = "", hide_default_value = true)]
        prefix: String,
        /// Print JSON, one a line.
        #[arg(long)]
        json: bool,
    },
    /// Forget the instructions of an address: then those of default count, or else it goes into the mailbox.
    Remove {
        /// The address.
        address: MailAddress,
    },
    /// Keep the instructions of an address, and do not obey them.
    Suspend {
        /// The address.
        address: MailAddress,
    },
    /// Obey them again.
    Resume {
        /// The address.
        address: MailAddress,
    },
    /// The instructions of an address, or of all of an account, as text of qmail.
    Export {
        /// An address, or the name of an account.
        #[arg(value_name = "ACCOUNT|ADDRESS")]
        whose: String,
        /// Write .qmail files into this directory instead. No file is overwritten.
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    /// Take over qmail's files .qmail* of a directory for an account, all or none.
    Import {
        /// Whose they will be.
        account: AccountName,
        /// The directory.
        dir: PathBuf,
    },
    /// Say what is wrong with a text of instructions, line by line. Nothing is changed.
    Check {
        /// The file; `-` is standard input.
        file: TextFile,
        /// Judge it as this account's. [default: one with the plan `default`]
        #[arg(long, value_name = "ACCOUNT")]
        account: Option<AccountName>,
    },
}

#[derive(Args)]
#[command(group = ArgGroup::new("what").args(["to", "keep", "discard", "text", "label"]).required(true).multiple(true))]
pub struct Set {
    /// The address.
    address: MailAddress,
    /// Forward it to this address. May be said several times.
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["discard", "text"])]
    to: Vec<MailAddress>,
    /// Keep a copy in the mailbox.
    #[arg(long, conflicts_with_all = ["discard", "text"])]
    keep: bool,
    /// Accept it and throw it away.
    #[arg(long, conflicts_with = "text")]
    discard: bool,
    /// Instructions in the language of .qmail, from a file; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    text: Option<TextFile>,
    /// What its owner calls it.
    #[arg(long, value_name = "WORDS")]
    label: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Does it.
pub fn run(config: &Config, command: Address) -> anyhow::Result<ExitCode> {
    let mut desk = Desk::open(config)?;
    match command {
        Address::Set(arguments) => set(&mut desk, arguments)?,
        Address::Show { address, json } => {
            let facts = ask!(desk, Rule::Address(address.clone()) => Address);
            if json { show_json(&address, &facts)? } else { show(&address, &facts)? }
        }
        Address::List { account, prefix, json, .. } => each(&mut desk, account.as_ref(), &prefix, |entry| {
            if json { output::json(&entry) } else { line(&entry) }
        })?,
        Address::Remove { address } => {
            desk.change(Rule::RemoveAddress(address.clone()))?;
            say!("{address} has no instructions of its own any more");
        }
        Address::Suspend { address } => {
            desk.change(Rule::SetAddressActive(address.clone(), false))?;
            say!("the instructions of {address} are kept, and not obeyed");
        }
        Address::Resume { address } => {
            desk.change(Rule::SetAddressActive(address.clone(), true))?;
            say!("the instructions of {address} are obeyed again");
        }
        Address::Export { whose, dir } => export(&mut desk, &whose, dir)?,
        Address::Import { account, dir } => {
            let files = address_files::read(&dir)?;
            let count = ask!(desk, Rule::ImportAddresses(account.clone(), Many(files)) => Imported);
            say!("{count} addresses of {account} have the instructions from {}", dir.display());
            say!("{}", welcome::LENDING);
        }
        Address::Check { file, account } => {
            desk.change(Rule::CheckInstructions(account, Text(file.read(INSTRUCTIONS_MAX)?)))?;
            say!("nothing is wrong with it");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn set(desk: &mut Desk, arguments: Set) -> anyhow::Result<()> {
    let Set { address, to, keep, discard, text, label, json } = arguments;
    let text = match text {
        Some(file) => Some(file.read(INSTRUCTIONS_MAX)?),
        None if !to.is_empty() || keep || discard => {
            let forwarding = Forwarding { to: each_once(to), keep_a_copy: keep };
            Some(Instructions::from(forwarding).to_text())
        }
        None => None,
    };
    let change = AddressChange { address: address.clone(), text: text.map(Text), label };
    let Answer::AddressSet { new } = desk.answer(Rule::SetAddress(change))? else { bail!(SOMETHING_ELSE) };
    let facts = ask!(desk, Rule::Address(address.clone()) => Address);
    if json {
        return show_json(&address, &facts);
    }
    let Some(own) = facts.own else { bail!("the instructions of {address} have just been removed") };
    say!("mail to {address} {}", address_words::of_text(&own.text).join(", "));
    if !own.active {
        say!(
            "but not now: its instructions are suspended; `hikyaku address resume {address}` has them obeyed"
        );
    }
    if new {
        say!("{}", welcome::LENDING);
    }
    Ok(())
}

/// Of destinations that differ in case only, one is enough.
fn each_once(to: Vec<MailAddress>) -> Vec<MailAddress> {
    let mut seen = HashSet::new();
    let mut once = to;
    once.retain(|address| seen.insert((address.local_part.folded(), address.host.clone())));
    once
}

fn show(address: &MailAddress, facts: &AddressFacts) -> anyhow::Result<()> {
    say!("address   {address}");
    say!("account   {}", facts.account);
    if let Some(label) = facts.own.as_ref().and_then(|own| own.label.as_ref()) {
        say!("label     {label}");
    }
    let suspended = facts.own.as_ref().is_some_and(|own| !own.active);
    let why = if suspended { "its own are suspended" } else { "it has none of its own" };
    match &facts.in_force {
        Some(in_force) if in_force.file == facts.file => {
            say!("by        its own instructions, {}", in_force.file)
        }
        Some(in_force) => say!("by        the instructions {}, as {why}", in_force.file),
        None => say!("by        no instructions, as {why}"),
    }
    let words = facts.in_force.as_ref().map(|in_force| address_words::of_text(&in_force.text));
    for words in words.unwrap_or_else(|| vec![address_words::MAILBOX.into()]) {
        say!("mail      {words}");
    }
    for (what, text) in [
        ("text", facts.in_force.as_ref().map(|in_force| &in_force.text)),
        ("not obeyed", facts.own.as_ref().filter(|_| suspended).map(|own| &own.text)),
    ] {
        if let Some(text) = text {
            say!("{what}:");
            for line in text.lines() {
                say!("    {line}");
            }
        }
    }
    Ok(())
}

fn show_json(address: &MailAddress, facts: &AddressFacts) -> anyhow::Result<()> {
    let words = facts.in_force.as_ref().map(|in_force| address_words::of_text(&in_force.text));
    output::json(&json!({
        "address": address,
        "account": facts.account,
        "file": facts.file,
        "own": facts.own,
        "in_force": facts.in_force,
        "mail": words.unwrap_or_else(|| vec![address_words::MAILBOX.into()]),
    }))
}

fn line(entry: &AddressEntry) -> anyhow::Result<()> {
    let words = address_words::of_text(&entry.text).join(", ");
    let suspended = if entry.active { "" } else { "(suspended) " };
    let label = entry.label.as_ref().map(|label| format!("  \"{label}\"")).unwrap_or_default();
    say!("{:<40}{suspended}{words}{label}", entry.address);
    Ok(())
}

/// All instructions of an account, or of everybody, a page at a time.
fn each(
    desk: &mut Desk,
    account: Option<&AccountName>,
    prefix: &str,
    mut see: impl FnMut(AddressEntry) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut after = None;
    loop {
        let (account, prefix) = (account.cloned(), prefix.to_owned());
        let page = ask!(desk, Rule::Addresses { account, prefix, after, limit: PAGE } => Addresses);
        let Some(last) = page.last() else { return Ok(()) };
        after = Some((last.account.clone(), last.file.clone()));
        page.into_iter().try_for_each(&mut see)?;
    }
}

fn export(desk: &mut Desk, whose: &str, dir: Option<PathBuf>) -> anyhow::Result<()> {
    let entries = if whose.contains('@') {
        let address: MailAddress = whose.parse().with_context(|| format!("{whose:?} is no address"))?;
        let facts = ask!(desk, Rule::Address(address.clone()) => Address);
        let own = facts.own.with_context(|| {
            format!(
                "{address} has no instructions of its own; `hikyaku address show {address}` shows which count for it"
            )
        })?;
        if dir.is_none() {
            // Exactly as it is stored, so that it can be edited and set again.
            return output::text(&own.text);
        }
        vec![own]
    } else {
        let account: AccountName = whose.parse().with_context(|| format!("{whose:?} is no account"))?;
        let mut all = Vec::new();
        each(desk, Some(&account), "", |entry| {
            all.push(entry);
            Ok(())
        })?;
        all
    };
    match dir {
        Some(dir) => {
            let (active, suspended): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| entry.active);
            address_files::write(&dir, &active)?;
            say!("{} files are in {}", active.len(), dir.display());
            // qmail would obey them.
            for entry in suspended {
                say!("{} is suspended, and is not written", entry.file);
            }
        }
        None => {
            for entry in entries {
                let suspended = if entry.active { "" } else { " (suspended)" };
                say!("==> {} <== {}{suspended}", entry.file, entry.address);
                output::text(&entry.text)?;
                say!("");
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_destinations_that_differ_in_case_only_the_first_is_kept() {
        let to = ["A@x.example", "a@X.example", "b@x.example", "a@y.example"];
        let once = each_once(to.iter().map(|text| text.parse().unwrap()).collect());
        let once: Vec<String> = once.iter().map(ToString::to_string).collect();
        assert_eq!(once, ["A@x.example", "b@x.example", "a@y.example"]);
    }
}
