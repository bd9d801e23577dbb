//! Signing in, and who comes again.

use directory::{Browser, LoginService, NewSession, OpenSession, SecondStep, TakenUp};
use envelope::{Account, Address, Domain};
use link::services::directory::visits::{
    Denied, Entry, FRESH_FOR, Key, Origin, Scope, Standing, Token, Visit,
};
use link::services::directory::{LoginRefused, Secret};
use tracing::info;

use super::{Visitor, refused, unavailable};
use crate::roles::directory::Desk;
use crate::roles::directory::logins::{Checked, TooManyFailures, refused_by};
use crate::roles::unix_now;

impl Desk {
    /// Lets somebody in to the page, or a step further in. Blocks for the time of an argon2.
    pub(super) fn let_in_to_page(&self, entry: Entry, from: &Origin) -> Result<Visit, Denied> {
        match entry {
            Entry::SignIn { name, password } => self.sign_in(&name, &password, from),
            Entry::Code { half, code } => self.show_second_factor(&half, &code, from),
            Entry::Look(invitation) => self.look_at_invitation(&invitation),
            Entry::TakeUp { invitation, password } => self.take_up(&invitation, password, from),
            Entry::LookAtDestination(link) => self.look_at_destination(&link),
            Entry::Destination { link, wanted } => self.answer_of_destination(&link, wanted),
        }
    }

    fn sign_in(&self, name: &str, password: &Secret, from: &Origin) -> Result<Visit, Denied> {
        let judged = self.judge(name, from.client, || {
            let account = match self.store.login_to_page(name, &password.0) {
                Ok(login) => login.account,
                Err(refused) => return refused_by(refused, |refused| Err(Denied::Login(refused))),
            };
            match self.store.has_second_factor(&account.name) {
                // He is not in yet: else each right password would allow three more guesses of a code.
                Ok(true) => Checked::Open(self.ask_for_code(&account)),
                Ok(false) => Checked::In(self.begin_session(&account, from)),
                Err(error) => Checked::Open(Err(unavailable(&error))),
            }
        });
        judged.unwrap_or_else(too_many)
    }

    fn ask_for_code(&self, account: &Account) -> Result<Visit, Denied> {
        let half = Token::new(rand::random());
        self.store.begin_half_session(&account.name, &half.digest(), unix_now()).map_err(refused)?;
        Ok(Visit::CodeWanted(half))
    }

    fn begin_session(&self, account: &Account, from: &Origin) -> Result<Visit, Denied> {
        let (token, now) = (Token::new(rand::random()), unix_now());
        let open = self.store.begin_session(&account.name, &new_session(&token, from, now), now);
        Ok(self.signed_in(token, open.map_err(refused)?, from))
    }

    fn show_second_factor(&self, half: &Token, code: &str, from: &Origin) -> Result<Visit, Denied> {
        let (token, now) = (Token::new(rand::random()), unix_now());
        let account = self.store.half_session(&half.digest(), now).map_err(|error| unavailable(&error))?;
        let Some(account) = account else { return Err(Denied::SignIn) };
        let judged = self.judge(account.as_str(), from.client, || {
            let new = new_session(&token, from, now);
            match self.store.show_second_factor(&half.digest(), code, &new, now) {
                Ok(SecondStep::In(open)) => Checked::In(Ok(self.signed_in(token, *open, from))),
                Ok(SecondStep::WrongCode) => Checked::Wrong(Err(Denied::WrongCode)),
                Ok(SecondStep::Over) => Checked::Open(Err(Denied::SignIn)),
                Err(error) => Checked::Open(Err(refused(error))),
            }
        });
        judged.unwrap_or_else(too_many)
    }

    fn take_up(&self, invitation: &Token, password: Secret, from: &Origin) -> Result<Visit, Denied> {
        let password = super::ways_in::new_password(password)?;
        let (token, now) = (Token::new(rand::random()), unix_now());
        let new = new_session(&token, from, now);
        let taken = self.store.take_up(&invitation.digest(), &password, &new, now).map_err(refused)?;
        match taken {
            TakenUp::In(open) => Ok(self.signed_in(token, *open, from)),
            TakenUp::CodeWanted => Ok(Visit::CodeWanted(token)),
            TakenUp::Invalid => Err(Denied::LinkInvalid),
        }
    }

    fn signed_in(&self, token: Token, open: OpenSession, from: &Origin) -> Visit {
        let account = &open.account.name;
        self.note_login(account, LoginService::Web, from.client, None);
        info!(event = "signed_in", %account, client = %from.client, second_factor = open.second_factor_shown);
        match self.standing_in(&open) {
            Ok(standing) => Visit::SignedIn(token, Box::new(standing)),
            Err(denied) => Visit::Denied(denied),
        }
    }

    /// Proves anew who has this session: by the password, and by a code if there is a second factor.
    pub(super) fn prove(
        &self,
        visitor: &Visitor,
        password: &Secret,
        code: Option<&str>,
    ) -> Result<Visit, Denied> {
        let session = visitor.session.ok_or(Denied::Forbidden)?;
        let (account, client, now) = (&visitor.standing.account, visitor.from.client, unix_now());
        let judged = self.judge(account.as_str(), client, || {
            if let Err(refused) = self.store.login_to_page(account.as_str(), &password.0) {
                return refused_by(refused, |refused| Err(Denied::Login(refused)));
            }
            match self.store.prove(account, session, code, now + FRESH_FOR, now) {
                Ok(true) => Checked::In(Ok(())),
                Ok(false) => Checked::Wrong(Err(Denied::WrongCode)),
                Err(error) => Checked::Open(Err(refused(error))),
            }
        });
        judged.unwrap_or_else(too_many)?;
        let (standing, _) = self.standing(&visitor.key, &visitor.from)?;
        Ok(Visit::Standing(Box::new(standing)))
    }

    /// Whose this key is, and what it allows; and the number of the session, if it is one. It counts as used
    /// now, from there.
    pub(super) fn standing(&self, key: &Key, from: &Origin) -> Result<(Standing, Option<u64>), Denied> {
        let now = unix_now();
        match key {
            Key::Session(token) => {
                let open = self.store.session(&token.digest(), now).map_err(|error| unavailable(&error))?;
                let open = open.ok_or(Denied::SignIn)?;
                self.store.session_used(open.number, &browser(from), now);
                Ok((self.standing_in(&open)?, Some(open.number)))
            }
            Key::Api(token) => {
                let open = self.store.api_token(&token.digest(), now).map_err(|error| unavailable(&error))?;
                let open = open.ok_or(Denied::SignIn)?;
                let scope = scope(open.scope);
                let standing = self.standing_of(&open.account, open.sub_domain)?;
                let operates = scope == Scope::Operate && open.account.operator;
                let second_factor = open.has_second_factor;
                Ok((Standing { operates, second_factor, scope: Some(scope), ..standing }, None))
            }
        }
    }

    fn standing_in(&self, open: &OpenSession) -> Result<Standing, Denied> {
        Ok(Standing {
            operates: open.account.operator && open.second_factor_shown,
            second_factor: open.has_second_factor,
            must_enrol: open.must_enrol,
            fresh_until: open.fresh_until,
            ..self.standing_of(&open.account, open.sub_domain)?
        })
    }

    /// Who somebody is, by whatever he came: as a mere member.
    pub(super) fn standing_of(&self, account: &Account, sub_domain: bool) -> Result<Standing, Denied> {
        let Account { name, language, operator, .. } = account;
        let address = Address::parse(&format!("{name}@{}", self.domain));
        let address = address.map_err(|error| Denied::Refused(error.to_string()))?;
        let domain = || Domain::parse(&format!("{name}.{}", self.domain)).ok();
        Ok(Standing {
            account: name.clone(),
            address,
            sub_domain: if sub_domain { domain() } else { None },
            language: *language,
            operates: false,
            operator: *operator,
            second_factor: false,
            must_enrol: false,
            fresh_until: 0,
            scope: None,
        })
    }

    /// Ends the session.
    pub(super) fn sign_out(&self, visitor: &Visitor) -> Result<Visit, Denied> {
        let Key::Session(token) = &visitor.key else { return Err(Denied::Forbidden) };
        let account = &visitor.standing.account;
        self.store.sign_out(account, &token.digest()).map_err(refused)?;
        info!(event = "signed_out", %account, client = %visitor.from.client);
        Ok(Visit::Done)
    }
}

pub(super) fn too_many<T>(_: TooManyFailures) -> Result<T, Denied> {
    Err(Denied::Login(LoginRefused::TooManyFailures))
}

fn new_session(token: &Token, from: &Origin, now: u64) -> NewSession {
    NewSession { digest: token.digest(), browser: browser(from), fresh_until: now + FRESH_FOR }
}

fn browser(from: &Origin) -> Browser {
    // `web` cuts it off too; but its word counts for nothing.
    let agent = from.agent.chars().filter(|c| !c.is_control()).take(200).collect();
    Browser { client: from.client.to_canonical(), agent }
}

pub(super) fn scope(scope: directory::TokenScope) -> Scope {
    match scope {
        directory::TokenScope::Read => Scope::Read,
        directory::TokenScope::Write => Scope::Write,
        directory::TokenScope::Operate => Scope::Operate,
    }
}
