//! Mail that programs in delivery instructions left: they reach no socket, so the role that ran one brings
//! what it left once it has succeeded. All its messages are judged before the first is handed over, since a
//! refusal has the program run again, or the delivery fail.

use std::fs::File;
use std::os::fd::OwnedFd;

use envelope::{AccountName, QueueId};
use link::services::directory::{self, LoginRefused};
use link::services::submit::{LEFT_MAX, Left, Request, Response, Submit};
use link::{Parcel, Responder};
use sendmail::Refusal;
use tracing::warn;

use super::caller::{Caller, directory_away};
use super::{House, drop, noted};

/// Answers the role `programs`.
pub async fn answer(house: &House, request: Parcel<Request>, responder: Responder<Submit>) {
    let Parcel { value, fds, .. } = request;
    let Request::TakeLeft { account, files } = value else {
        // Dropping the responder tells the caller that it has no answer.
        return warn!(event = "refused", what = "call", "the role programs asked what it may not");
    };
    responder.send(match take(house, account, files, fds).await {
        Ok(id) => Response::Accepted(id),
        Err(refusal) => Response::Refused(refusal),
    });
}

async fn take(
    house: &House,
    account: AccountName,
    files: Vec<Left>,
    fds: Vec<OwnedFd>,
) -> Result<QueueId, Refusal> {
    if files.len() > LEFT_MAX {
        return Err(Refusal::TooManyMessages(LEFT_MAX));
    }
    if files.is_empty() || files.len() != fds.len() {
        return Err(Refusal::Fault("not as many files came as were told".into()));
    }
    let user = standing(house, account).await?;
    let callers: Vec<Caller> = files.into_iter().map(|left| Caller::of_program(left, user.clone())).collect();
    let settings = house.settings.load_full();
    let mut all = Vec::with_capacity(callers.len());
    for (caller, fd) in callers.iter().zip(fds) {
        let refused = |refusal| {
            house.notes.note(noted::refused(caller.uid, Some(caller), &refusal));
            refusal
        };
        let file = File::from(fd);
        let size = file.metadata().map_err(|error| Refusal::ServerAway(error.to_string()))?.len();
        let arriving = drop::read(house, &settings, caller, house.next_id(), (file, size))
            .await
            .map_err(drop::Hitch::into_refusal);
        let mut arriving = arriving.map_err(refused)?;
        arriving.complete().await.map_err(refused)?;
        all.push((caller, arriving));
    }
    let (count, mut first) = (all.len(), None);
    for (sent, (caller, arriving)) in all.into_iter().enumerate() {
        match arriving.commit().await {
            Ok(id) => first = first.or(Some(id)),
            Err(why) => {
                house.notes.note(noted::refused(caller.uid, Some(caller), &why));
                if sent > 0 {
                    warn!(event = "partly_accepted", account = %caller.account(), sent, all = count, %why);
                }
                return Err(why);
            }
        }
    }
    first.ok_or_else(|| Refusal::Fault("no message came".into()))
}

/// As whom a program in this account's instructions sends.
async fn standing(house: &House, account: AccountName) -> Result<directory::LocalUser, Refusal> {
    match house.addresses.ask(directory::Request::ProgramOf(account.clone())).await {
        Ok(directory::Response::LocalUser(user)) => Ok(*user),
        Ok(directory::Response::LoginRefused(LoginRefused::NoPrograms)) => {
            Err(Refusal::NotAllowed(format!("the plan of account {account} has no programs")))
        }
        Ok(directory::Response::LoginRefused(LoginRefused::Suspended | LoginRefused::ReceiveOnly)) => {
            Err(Refusal::NotAllowed(format!("account {account} may not send")))
        }
        _ => Err(directory_away()),
    }
}
