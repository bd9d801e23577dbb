//! A visitor as handlers see him: anybody, a member, an operator. That somebody is a member or an operator is a
//! type, which only `guard.rs` hands out.

use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use envelope::AccountName;
use link::Parcel;
use link::services::directory::visits::{
    Ask, Denied, Entry, Key, Operate, Origin, Own, Standing, Token, Visit,
};
use link::services::directory::{Answer, Request, Response, Rule};
use link::services::queue::{self, operators};
use subtle::ConstantTimeEq;

use crate::api;
use crate::form::Form;
use crate::house::House;
use crate::trouble::Trouble;
use crate::words::Words;

/// Somebody who comes.
#[derive(Clone)]
pub(crate) struct Visitor {
    pub(crate) house: Arc<House>,
    /// From where.
    pub(crate) origin: Origin,
    /// What he brings.
    pub(crate) key: Option<Key>,
    /// Who he is, if his key is good.
    pub(crate) standing: Option<Standing>,
    /// The texts in his language.
    pub(crate) words: Words,
    /// The path and query that he asked for.
    pub(crate) path: String,
    /// The token of his browser's cookie, by which forms are known to be ours.
    pub(crate) bound_to: Token,
}

impl Visitor {
    /// What stands in each form, so that no other site can send it.
    pub(crate) fn csrf(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.bound_to.derived("csrf"))
    }

    /// Whether that stands in a form.
    pub(crate) fn sent_by_us(&self, csrf: &str) -> bool {
        self.csrf().as_bytes().ct_eq(csrf.as_bytes()).into()
    }

    /// Whether it is a program, which comes by the API: no browser's cookie counts, and troubles are told in JSON.
    pub(crate) fn is_program(&self) -> bool {
        api::is_below(&self.path)
    }

    /// The fields of the query that he asked for.
    pub(crate) fn query(&self) -> Form {
        Form::read(self.path.split_once('?').map_or("", |(_, query)| query))
    }

    /// Asks the directory without a key.
    pub(crate) async fn enter(&self, entry: Entry) -> Result<Visit, Trouble> {
        visited(self.directory(Request::Enter(entry, self.origin.clone())).await?)
    }

    /// Asks the directory by his key.
    pub(crate) async fn visit(&self, ask: Ask) -> Result<Visit, Trouble> {
        visited(self.ask(ask).await?)
    }

    async fn ask(&self, ask: Ask) -> Result<Response, Trouble> {
        let key = self.key.clone().ok_or(Trouble::SignIn)?;
        self.directory(Request::Visit { key, from: self.origin.clone(), ask }).await
    }

    async fn directory(&self, request: Request) -> Result<Response, Trouble> {
        // Who he is may be asked twice. It is asked first of all, so if the directory has just gone, this finds its
        // successor, and the rest goes there.
        let may_repeat = matches!(request, Request::Visit { ask: Ask::Standing, .. });
        let asked = match may_repeat {
            true => self.house.directory.call_until_answered(request, Bytes::new()).await,
            false => self.house.directory.call(request).await,
        };
        let answer = asked.map_err(|error| {
            tracing::warn!(event = "directory_silent", %error);
            Trouble::Unavailable
        })?;
        Ok(answer.value)
    }
}

fn visited(response: Response) -> Result<Visit, Trouble> {
    match response {
        Response::Visit(visit) => match *visit {
            Visit::Denied(denied) => Err(Trouble::from(denied)),
            visit => Ok(visit),
        },
        Response::Refused(sentence) => Err(Trouble::from(Denied::Refused(sentence))),
        Response::Done => Ok(Visit::Done),
        _ => Err(Trouble::Unavailable),
    }
}

/// What was answered, if it is a standing.
pub(crate) fn standing(visit: Visit) -> Result<Standing, Trouble> {
    match visit {
        Visit::Standing(standing) => Ok(*standing),
        _ => Err(Trouble::Unavailable),
    }
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Trouble;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Visitor, Trouble> {
        // Every route is guarded, and the guard puts it there.
        parts.extensions.get::<Visitor>().cloned().ok_or(Trouble::Unavailable)
    }
}

/// Somebody who has signed in.
#[derive(Clone)]
pub(crate) struct Member {
    visitor: Visitor,
    standing: Standing,
}

impl Member {
    /// Who he is.
    pub(crate) fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Asks or does something of his own account.
    pub(crate) async fn own(&self, own: Own) -> Result<Visit, Trouble> {
        self.visitor.visit(Ask::Own(own)).await
    }

    /// For pages on which something dangerous is begun: he proves who he is before he fills in a form.
    pub(crate) fn must_be_fresh(&self) -> Result<(), Trouble> {
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        // A minute to fill it in.
        let fresh = i64::try_from(self.standing.fresh_until).is_ok_and(|until| until > now + 60);
        if fresh || self.standing.scope.is_some() { Ok(()) } else { Err(Trouble::Prove) }
    }
}

impl Deref for Member {
    type Target = Visitor;
    fn deref(&self) -> &Visitor {
        &self.visitor
    }
}

impl<S: Sync> FromRequestParts<S> for Member {
    type Rejection = Trouble;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Member, Trouble> {
        let visitor = Visitor::from_request_parts(parts, state).await?;
        let standing = visitor.standing.clone().ok_or(Trouble::SignIn)?;
        Ok(Member { visitor, standing })
    }
}

/// An operator who has proved it by a second factor.
#[derive(Clone)]
pub(crate) struct Operator(Member);

impl Operator {
    /// Asks or does something that operators may.
    pub(crate) async fn operate(&self, operate: Operate) -> Result<Visit, Trouble> {
        self.visit(Ask::Operate(operate)).await
    }

    /// What a member is answered who asks this of his own account.
    pub(crate) async fn as_member(&self, account: &AccountName, own: Own) -> Result<Visit, Trouble> {
        self.operate(Operate::As(account.clone(), own)).await
    }

    /// Asks the directory by a rule that has an answer.
    pub(crate) async fn rule(&self, rule: Rule) -> Result<Answer, Trouble> {
        match self.ask(Ask::Operate(Operate::Rule(rule))).await? {
            Response::Answer(answer) => Ok(answer),
            other => Err(visited(other).err().unwrap_or(Trouble::Unavailable)),
        }
    }

    /// Has the directory do something by a rule, whether or not it has an answer.
    pub(crate) async fn ruled(&self, rule: Rule) -> Result<(), Trouble> {
        match self.ask(Ask::Operate(Operate::Rule(rule))).await? {
            Response::Answer(_) => Ok(()),
            other => visited(other).map(drop),
        }
    }

    /// Asks what became of messages.
    pub(crate) async fn trace(&self, trace: link::services::directory::Trace) -> Result<Response, Trouble> {
        match self.ask(Ask::Operate(Operate::Trace(trace))).await? {
            answer @ (Response::Life(_) | Response::Mail(_)) => Ok(answer),
            other => Err(visited(other).err().unwrap_or(Trouble::Unavailable)),
        }
    }

    /// Asks the queue, or has it act.
    pub(crate) async fn queue(
        &self,
        question: operators::Question,
    ) -> Result<(operators::Answer, Bytes), Trouble> {
        let answer = self.ask_queue(question).await?;
        Ok((answer.value, answer.raw))
    }

    /// The same, with the descriptors that come along.
    pub(crate) async fn ask_queue(
        &self,
        question: operators::Question,
    ) -> Result<Parcel<operators::Answer>, Trouble> {
        use operators::Question;
        let act = matches!(question, Question::Act { .. } | Question::Resume(_));
        let Visit::QueueGrant(grant) = self.operate(Operate::QueueGrant { act }).await? else {
            return Err(Trouble::Unavailable);
        };
        let answer = self.house.queue.call(queue::Request::AsOperator(grant, question)).await;
        let answer = answer.map_err(|error| {
            tracing::warn!(event = "queue_silent", %error);
            Trouble::Unavailable
        })?;
        match answer.value {
            queue::Response::Operator(operators::Answer::Unavailable(sentence)) => {
                Err(Trouble::from(Denied::Refused(sentence)))
            }
            queue::Response::Operator(value) => Ok(Parcel { value, raw: answer.raw, fds: answer.fds }),
            _ => Err(Trouble::Unavailable),
        }
    }
}

impl Deref for Operator {
    type Target = Member;
    fn deref(&self) -> &Member {
        &self.0
    }
}

impl<S: Sync> FromRequestParts<S> for Operator {
    type Rejection = Trouble;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Operator, Trouble> {
        let member = Member::from_request_parts(parts, state).await?;
        if !member.standing.operates {
            return Err(Trouble::Forbidden);
        }
        Ok(Operator(member))
    }
}
