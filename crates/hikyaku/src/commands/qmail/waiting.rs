//! All mail that waits, as the operators' socket of the queue tells it.

use anyhow::bail;
use envelope::{Address, DomainKind, Filter, Host, HostedDomain, ReversePath, Walk};
use link::services::directory::Rule;
use link::services::queue::operators::{Answer, Details, Question, RecipientState};
use sendmail::listing::{Channel, Listed, ListedRecipient};

use crate::commands::desk::{Desk, ask};
use crate::commands::queue::{OTHER_VERSION, Office};
use crate::config::Config;

/// Has each message looked at, oldest first.
///
/// # Errors
/// If no server runs, or not for this user; and whatever looking says.
pub fn each(config: &Config, mut look: impl FnMut(&Listed) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut office = Office::open(config)?;
    let domains = ask!(Desk::open(config)?, Rule::Domains => Domains);
    let mut walk = Walk::default();
    loop {
        let question = Question::Find { filter: Filter::default(), walk };
        let Answer::Found { messages, progress } = office.ask(question)?.value else { bail!(OTHER_VERSION) };
        for message in messages {
            match office.ask(Question::Show(message.id))?.value {
                Answer::Shown(Some(details)) => look(&listed(*details, &domains))?,
                // It has left meanwhile.
                Answer::Shown(None) => {}
                _ => bail!(OTHER_VERSION),
            }
        }
        match progress.rest {
            Some(rest) => walk = rest,
            None => return Ok(()),
        }
    }
}

fn listed(details: Details, domains: &[HostedDomain]) -> Listed {
    let Details { summary, recipients, .. } = details;
    let recipients = recipients.into_iter().map(|recipient| ListedRecipient {
        channel: channel(&recipient.address, domains),
        done: recipient.state != RecipientState::Waiting,
        last_reply: Some(recipient.last_reply).filter(|reply| !reply.is_empty()),
        address: recipient.address,
    });
    Listed {
        id: summary.id.to_string(),
        arrived: summary.arrived,
        size: summary.size,
        sender: summary
            .reverse_path
            .as_ref()
            .and_then(ReversePath::address)
            .map(Address::to_string)
            .unwrap_or_default(),
        recipients: recipients.collect(),
    }
}

/// Where an address leads, as far as its domain tells.
fn channel(address: &str, domains: &[HostedDomain]) -> Channel {
    let Ok(Address { host: Host::Domain(host), .. }) = address.parse::<Address>() else {
        return Channel::Remote;
    };
    let is_ours = domains.iter().any(|domain| match domain.kind {
        DomainKind::Relay => false,
        _ if domain.name == host => true,
        // Each account has its sub-domain.
        DomainKind::Provider => {
            host.as_str().strip_suffix(domain.name.as_str()).is_some_and(|account| account.ends_with('.'))
        }
        DomainKind::Virtual { .. } | DomainKind::Alias { .. } => false,
    });
    if is_ours { Channel::Local } else { Channel::Remote }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_local_if_its_domain_is_served_here() {
        let domain = |name: &str, kind| HostedDomain { name: name.parse().unwrap(), kind };
        let domains = [
            domain("pobox.example", DomainKind::Provider),
            domain("shop.example", DomainKind::Virtual { owner: "xyz".parse().unwrap(), prefix: None }),
            domain("backup.example", DomainKind::Relay),
        ];
        for (address, expected) in [
            ("xyz@pobox.example", Channel::Local),
            ("foo@abc.pobox.example", Channel::Local),
            ("u@shop.example", Channel::Local),
            ("u@www.shop.example", Channel::Remote),
            ("u@notpobox.example", Channel::Remote),
            ("u@backup.example", Channel::Remote),
            ("u@[192.0.2.1]", Channel::Remote),
            ("(unreadable)", Channel::Remote),
        ] {
            assert_eq!(channel(address, &domains), expected, "{address}");
        }
    }
}
