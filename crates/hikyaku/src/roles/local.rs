//! Role `local` (the MDA), user `hikyaku-local`. Hears `queue`, which brings messages, and
//! `directory`, which wants a mailbox for a new account. Touches mailboxes, and no network.

use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

use link::services::local::{Deliver, Delivered, Done, Local, Outcome, Request, Response};
use link::{Parcel, Responder, serve};
use local::{Content, Job, Pool};
use mailbox::Maildir;
use tracing::{error, warn};

use super::{Caller, Orders, Told, ended};
use crate::control::{Role, Start};

pub async fn run(mut orders: Orders, start: Start) -> anyhow::Result<()> {
    let pool = Arc::new(Pool::start(start.settings.queue.local_concurrency, &start.settings.hostname)?);
    orders.ready()?;
    loop {
        match orders.next().await {
            Told::Answer(role, stream) => {
                let pool = Arc::clone(&pool);
                let served = serve::<Local>(
                    stream,
                    |_| {},
                    move |request, responder| answer(&pool, role, request, responder),
                );
                tokio::spawn(async move { ended::<Local>(Caller::Role(role), served.await) });
            }
            // The queue has stopped by now, and nothing is in hand.
            Told::Stop => return Ok(()),
            _ => {}
        }
    }
}

fn answer(pool: &Pool, caller: Role, request: Parcel<Request>, responder: Responder<Local>) {
    let Parcel { value, raw, fds } = request;
    match (caller, value) {
        (Role::Queue, Request::Deliver(deliver)) => {
            let content = match (deliver.file_size, fds.into_iter().next()) {
                (None, _) => Content::Memory(raw),
                (Some(size), Some(fd)) => Content::File(Arc::new(File::from(fd)), size),
                (Some(_), None) => return error!(queue_id = %deliver.id, "a message came without its file"),
            };
            accept(pool, deliver, &content, responder);
        }
        (Role::Directory, Request::Create(mailbox)) => {
            tokio::task::spawn_blocking(move || {
                responder.send(match Maildir::create(&mailbox.maildir) {
                    Ok(_) => Response::Created,
                    Err(problem) => {
                        error!(event = "mailbox_not_made", account = %mailbox.account, %problem);
                        Response::NotCreated(problem.to_string())
                    }
                });
            });
        }
        // Dropping the responder tells the caller that it has no answer.
        (caller, _) => warn!(event = "refused", what = "call", ?caller, "a caller asked what it may not"),
    }
}

/// Outcomes of one message's deliveries as they come in; the last one answers.
struct Gathering {
    responder: Responder<Local>,
    outcomes: Vec<Delivered>,
}

fn accept(pool: &Pool, deliver: Deliver, content: &Content, responder: Responder<Local>) {
    let expected = deliver.recipients.len();
    if expected == 0 {
        return responder.send(Response::Delivered(Vec::new()));
    }
    let gathering =
        Arc::new(Mutex::new(Some(Gathering { responder, outcomes: Vec::with_capacity(expected) })));
    for recipient in deliver.recipients {
        let job = Job {
            id: deliver.id,
            arrived: deliver.arrived,
            reverse_path: deliver.reverse_path.clone(),
            recipient_number: recipient.number,
            delivered_to: recipient.address,
            mailbox: recipient.local.mailbox,
            content: content.clone(),
            repeat: deliver.repeat,
        };
        let gathering = Arc::clone(&gathering);
        pool.submit(job, move |outcome| {
            let mut gathering = gathering.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(so_far) = gathering.as_mut() else { return };
            so_far.outcomes.push(Delivered { number: recipient.number, outcome: said(outcome) });
            if so_far.outcomes.len() == expected
                && let Some(complete) = gathering.take()
            {
                complete.responder.send(Response::Delivered(complete.outcomes));
            }
        });
    }
}

fn said(outcome: local::Outcome) -> Outcome {
    match outcome {
        local::Outcome::Delivered { .. } => Outcome::Delivered(Done { in_mailbox: true, ..Done::default() }),
        local::Outcome::Failed { status, reason } => Outcome::Failed { status: status.into(), reason },
        local::Outcome::Deferred { reason } => Outcome::Deferred { reason },
    }
}
