//! Rules for accounts, their passwords and mailboxes.

use std::sync::Arc;

use bytes::Bytes;
use directory::{Actor, ChangeError, Password, PasswordHash};
use envelope::{Account, AccountName, DomainKind, Limit, LocalAddress, Mailbox};
use link::services::directory::{
    AccountChanges, AccountFacts, AppPassword, NewAccount, NewPassword, Secret, Sent, Window,
};
use link::services::local;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::Refused;
use crate::roles::directory::Desk;
use crate::roles::unix_now;

/// Mailboxes that are made at the same time.
const MADE_AT_ONCE: usize = 32;

impl Desk {
    pub(super) fn account(&self, name: &AccountName) -> Result<Account, Refused> {
        Ok(self.store.account(name)?.ok_or_else(|| ChangeError::NoSuchAccount(name.clone()))?)
    }

    pub(in crate::roles::directory) fn account_facts(
        &self,
        name: &AccountName,
        runtime: &Handle,
    ) -> Result<AccountFacts, Refused> {
        let (store, now) = (&self.store, unix_now());
        let account = self.account(name)?;
        let allowances = store.effective_plan(name)?.unwrap_or_default();
        let sent = store.sent_so_far(name, now)?;
        let windows = store.windows_of(name, now)?.into_iter();
        let domains = store
            .domains()?
            .into_iter()
            .filter(|domain| matches!(&domain.kind, DomainKind::Virtual { owner, .. } if owner == name));
        let usage = match allowances.quota_bytes {
            Limit::Unlimited => None,
            quota => {
                let mailbox = Mailbox { account: name.clone(), maildir: account.maildir.clone() };
                let standard = LocalAddress { mailbox, extension: None, quota };
                runtime.block_on(self.mailboxes.usage(&standard))
            }
        };
        Ok(AccountFacts {
            plan: store.plan_of(name)?,
            own: store.overrides(name)?,
            sent: sent.map_or_else(Sent::default, |sent| Sent {
                messages_this_hour: sent.messages_this_hour,
                recipients_this_hour: sent.recipients_this_hour,
                messages_this_day: sent.messages_this_day,
                recipients_this_day: sent.recipients_this_day,
                new_recipients_this_day: sent.new_recipients_this_day,
            }),
            windows: windows
                .map(|window| Window {
                    client: window.client,
                    opened: window.opened,
                    renewed: window.renewed,
                    expires: window.expires,
                })
                .collect(),
            app_passwords: store.app_passwords(name)?.len() as u64,
            domains: domains.map(|domain| domain.name).collect(),
            uids: store.local_users_of(name)?,
            mailbox: usage,
            account,
            allowances,
        })
    }

    pub(super) fn add_account(
        self: &Arc<Self>,
        new: NewAccount,
        who: &Actor,
        runtime: &Handle,
    ) -> Result<Account, Refused> {
        let made = self.store.add_account_after(new_account(new)?, who, |account| {
            let all = std::slice::from_ref(account);
            runtime.block_on(self.make_mailboxes(all)).map_err(|(_, reason)| reason)
        });
        Ok(made?)
    }

    pub(super) fn import_accounts(
        self: &Arc<Self>,
        all: Vec<(u32, NewAccount)>,
        who: &Actor,
        runtime: &Handle,
    ) -> Result<u64, Refused> {
        let all = all
            .into_iter()
            .map(|(line, new)| match new_account(new) {
                Ok(new) => Ok((line, new)),
                Err(Refused(sentence)) => Err(Refused(format!("line {line}: {sentence}"))),
            })
            .collect::<Result<_, _>>()?;
        let made = self
            .store
            .import_accounts(all, who, |accounts| runtime.block_on(self.make_mailboxes(accounts)))?;
        Ok(made as u64)
    }

    /// Has `local` make the mailboxes of new accounts. The first that cannot be made is named.
    async fn make_mailboxes(self: &Arc<Self>, accounts: &[Account]) -> Result<(), (AccountName, String)> {
        for some in accounts.chunks(MADE_AT_ONCE) {
            let mut making = JoinSet::new();
            for account in some {
                let mailbox = Mailbox { account: account.name.clone(), maildir: account.maildir.clone() };
                let desk = Arc::clone(self);
                making.spawn(async move {
                    let account = mailbox.account.clone();
                    desk.make_mailbox(mailbox).await.map_err(|reason| (account, reason))
                });
            }
            for made in making.join_all().await {
                made?;
            }
        }
        Ok(())
    }

    /// Has `local` make the mailbox of a new account, or says why it cannot.
    pub(in crate::roles::directory) async fn make_mailbox(&self, mailbox: Mailbox) -> Result<(), String> {
        let made = self.local.call_until_answered(local::Request::Create(mailbox), Bytes::new()).await;
        match made.map(|answer| answer.value) {
            Ok(local::Response::Created) => Ok(()),
            Ok(local::Response::NotCreated(problem)) => Err(problem),
            Ok(_) => Err("the local role answered something else".into()),
            Err(error) => Err(error.to_string()),
        }
    }

    pub(super) fn app_passwords(&self, name: &AccountName) -> Result<Vec<AppPassword>, Refused> {
        let all = self.store.app_passwords(name)?.into_iter();
        Ok(all
            .map(|one| AppPassword {
                label: one.label.into(),
                created: one.created,
                last_used: one.last_used,
            })
            .collect())
    }

    pub(super) fn add_app_password(
        &self,
        name: &AccountName,
        label: &str,
        who: &Actor,
    ) -> Result<Secret, Refused> {
        let made = self.store.add_app_password(name, &label.parse()?, who)?;
        Ok(Secret(made.as_str().to_owned()))
    }
}

pub(super) fn password(secret: Secret) -> Result<Password, Refused> {
    Ok(Password::new(secret.0)?)
}

pub(super) fn changes(changes: AccountChanges) -> directory::AccountChanges {
    let AccountChanges { plan, language, allowances, uids_added, uids_removed } = changes;
    directory::AccountChanges { plan, language, allowances, uids_added, uids_removed }
}

fn new_account(new: NewAccount) -> Result<directory::NewAccount, Refused> {
    let password = match new.password {
        None => None,
        Some(NewPassword::Password(secret)) => Some(directory::NewPassword::Password(password(secret)?)),
        Some(NewPassword::Hash(hash)) => Some(directory::NewPassword::Hash(PasswordHash::parse(&hash.0)?)),
    };
    let NewAccount { name, language, operator, plan, uids, .. } = new;
    Ok(directory::NewAccount { name, password, language, operator, plan, uids })
}
