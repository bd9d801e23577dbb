//! The door for this machine's programs: `sendmail -bs`. Who calls is known before he says a word, by his
//! user id as the kernel says it, so there is no AUTH, and nothing to encrypt. He sends as his account and
//! as nobody else: `script_author` is for messages that are composed here, and these are not.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use link::services::directory::{LocalUser, LoginRefused};
use smtp::{Mode, Peer, Reply, Session, replies};
use tracing::info;

use super::{House, Program, Visit, limits};
use crate::control::Settings;
use crate::roles::connections;

/// As which client a program appears.
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A program's connection, from greeting to close.
pub(super) async fn converse(house: Arc<House>, program: connections::Program) -> std::io::Result<()> {
    let connections::Program { stream, peer: uid, settings, stopping } = program;
    let mut stream = connections::Stream::Local(stream);
    let LocalUser { grant, address, .. } = match local_user(&house, uid).await {
        Ok(user) => user,
        Err(reply) => {
            info!(
                event = "refused",
                service = "smtp",
                uid,
                status = format!("{} {}", reply.code(), reply.text())
            );
            let mut octets = BytesMut::new();
            reply.write(false, &mut octets);
            stream.send(&octets, Duration::from_secs(settings.limits.idle)).await?;
            stream.close().await;
            return Ok(());
        }
    };
    let peer = Peer { address: LOOPBACK, name: Some("localhost".into()), user: Some(uid) };
    let sender = grant.sender().clone();
    let session = Session::with_sender(Arc::new(manners(&settings)), peer, sender, Instant::now());
    let visit = Visit {
        house: &house,
        settings: &settings,
        client: LOOPBACK,
        program: Some(Program { uid, address }),
        grants: vec![grant],
    };
    visit.hold(stream, session, stopping).await
}

/// Who it is, or what he is told instead of a greeting.
async fn local_user(house: &House, uid: u32) -> Result<LocalUser, Reply> {
    house.addresses.local_user(uid).await.map_err(|refused| match refused {
        LoginRefused::UnknownUser => replies::unknown_user(uid),
        LoginRefused::Suspended | LoginRefused::ReceiveOnly => replies::user_may_not_send(uid),
        _ => replies::no_directory(),
    })
}

fn manners(settings: &Settings) -> smtp::Settings {
    smtp::Settings { mode: Mode::Submission, ..limits(settings) }
}
