//! Role `remote`, user `hikyaku-remote`. Hears `queue`, which brings messages; connects to other hosts
//! and to name servers. Touches no file, and listens nowhere.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use link::services::remote::{self as service, Deliver, Outcome, Peer, Request, Response};
use link::{Parcel, Responder, serve};
use remote::{Body, Direct, Dns, Memory, Message, OwnAddresses, Pace, Remote, Routes, Settings, Tls, dns};
use tracing::{error, warn};

use super::{Caller, Orders, Told, ended};
use crate::control::{Outward, Role, Start};

/// How long the name servers may take for an answer, and how often they are asked.
const DNS_PATIENCE: (Duration, usize) = (Duration::from_secs(5), 3);
/// The same for an operator who looks what is published, and for all his questions together: he waits for it.
const LOOK_PATIENCE: (Duration, usize) = (Duration::from_secs(2), 2);
const LOOK_PATIENCE_IN_ALL: Duration = Duration::from_secs(8);
/// How long a message may wait here for its turn at a destination. The queue keeps more than that back.
const TURN: Duration = Duration::from_secs(600);

/// So many octets of what a host says are passed on.
const WORDS_MAX: usize = 1000;

struct House {
    remote: Remote<Dns, Direct>,
    /// For operators, who look whether what they published just now is there.
    dns: Dns,
}

pub async fn run(mut orders: Orders, start: Start) -> anyhow::Result<()> {
    let outward = start.outward.context("the remote role was not told of the ways out")?;
    let name = start.settings.hostname.to_ascii();
    let remote = Remote::new(
        settings(name, &outward),
        resolver(&outward, DNS_PATIENCE, Memory::OneHour)?,
        Direct,
        Tls::with_mozilla_authorities()?,
        routes(&outward)?,
    );
    let house = Arc::new(House { remote, dns: resolver(&outward, LOOK_PATIENCE, Memory::None)? });
    orders.ready()?;
    loop {
        match orders.next().await {
            Told::Answer(role, stream) => {
                let house = Arc::clone(&house);
                let served = serve::<service::Remote>(
                    stream,
                    |_| {},
                    move |request, responder| answer(&house, role, request, responder),
                );
                tokio::spawn(async move { ended::<service::Remote>(Caller::Role(role), served.await) });
            }
            Told::ReloadOutward(outward) => match routes(&outward) {
                Ok(routes) => house.remote.set_routes(routes, outward.tls),
                Err(problem) => error!(event = "routes_refused", problem = format!("{problem:#}")),
            },
            // The queue has stopped by now, and nothing is in hand.
            Told::Stop => return Ok(()),
            _ => {}
        }
    }
}

fn settings(name: String, outward: &Outward) -> Settings {
    let concurrency_max = outward.destination_concurrency;
    let pace = Pace::default();
    Settings {
        port: outward.port,
        tls: outward.tls,
        own: OwnAddresses::new(outward.own.iter().copied()),
        messages_per_connection: outward.messages_per_connection,
        pace: Pace {
            concurrency_max,
            concurrency_first: pace.concurrency_first.min(concurrency_max),
            turn: TURN,
            interval: match outward.destination_rate {
                0 => Duration::ZERO,
                rate => Duration::from_secs(60) / rate,
            },
            ..pace
        },
        ..Settings::new(name)
    }
}

fn resolver(
    outward: &Outward,
    (timeout, attempts): (Duration, usize),
    memory: Memory,
) -> anyhow::Result<Dns> {
    let servers = match outward.name_servers.as_slice() {
        [] => dns::name_servers(&outward.resolv_conf),
        servers => servers.to_vec(),
    };
    Dns::new(&servers, timeout, attempts, memory)
        .context("no name servers: [remote] name_servers or /etc/resolv.conf must name one")
}

fn routes(outward: &Outward) -> anyhow::Result<Routes> {
    toml::from_str(&outward.routes).context("in [remote.routes]")
}

fn answer(house: &Arc<House>, caller: Role, request: Parcel<Request>, responder: Responder<service::Remote>) {
    if caller != Role::Queue {
        // Dropping the responder tells the caller that it has no answer.
        return warn!(event = "refused", what = "call", ?caller, "a caller asked what it may not");
    }
    let Parcel { value, raw, fds } = request;
    match value {
        Request::Deliver(deliver) => {
            let body = match (deliver.file_size, fds.into_iter().next()) {
                // The frame's octets share a buffer with those of other frames, and this may take long.
                (None, _) => Body::Memory([bytes::Bytes::copy_from_slice(&raw)].into()),
                (Some(size), Some(fd)) => Body::File { file: Arc::new(File::from(fd)), size },
                (Some(_), None) => {
                    return error!(queue_id = %deliver.id, "a message came without its file");
                }
            };
            let house = Arc::clone(house);
            tokio::spawn(
                async move { responder.send(Response::Tried(try_all(&house, deliver, body).await)) },
            );
        }
        Request::Health => {
            responder.send(Response::Health(house.remote.health().into_iter().map(health).collect()))
        }
        Request::Resume(destination) => {
            house.remote.resume(&destination);
            responder.send(Response::Done);
        }
        Request::LookUp(questions) => {
            let dns = house.dns.clone();
            tokio::spawn(async move {
                responder.send(Response::LookedUp(dns.look_up(questions, LOOK_PATIENCE_IN_ALL).await));
            });
        }
    }
}

async fn try_all(house: &House, deliver: Deliver, body: Body) -> Vec<Outcome> {
    let message = Message {
        reverse_path: deliver.reverse_path,
        body,
        body_type: deliver.body,
        smtputf8: deliver.smtputf8,
        wishes: deliver.wishes,
    };
    let recipient = |service::Recipient { address, wishes }| smtp::client::Recipient { address, wishes };
    let recipients = deliver.recipients.into_iter().map(recipient).collect();
    house.remote.deliver(&message, &deliver.to, recipients).await.into_iter().map(said).collect()
}

fn said(outcome: remote::Outcome) -> Outcome {
    match outcome {
        remote::Outcome::Delivered { host, reply, under_tls, dsn } => {
            Outcome::Delivered { peer: peer(&host), reply: cut(reply.to_string()), under_tls, dsn }
        }
        remote::Outcome::Failed(diagnosis) => Outcome::Failed(diagnosed(diagnosis)),
        remote::Outcome::Deferred(diagnosis) => Outcome::Deferred(diagnosed(diagnosis)),
    }
}

/// Replies can be long, and answers for a thousand recipients have to fit a frame.
fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(WORDS_MAX));
    text
}

fn peer(host: &remote::MailHost) -> Peer {
    Peer { host: host.name.to_string(), address: host.address.ip() }
}

fn diagnosed(diagnosis: remote::Diagnosis) -> service::Diagnosis {
    service::Diagnosis {
        status: diagnosis.status.to_string(),
        peer: diagnosis.host.as_ref().map(peer),
        reply: diagnosis.reply.map(|reply| cut(reply.to_string())),
        text: cut(diagnosis.text),
        possibly_delivered: diagnosis.possibly_delivered,
    }
}

fn health(health: remote::Health) -> service::Destination {
    service::Destination {
        name: health.destination,
        active: health.active as u64,
        limit: health.limit as u64,
        failures: health.failures,
        pause: health.pause.map(|pause| pause.as_secs()),
        last_trouble: health.last_trouble,
    }
}
