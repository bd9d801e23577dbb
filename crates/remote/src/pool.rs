//! Connections that wait for another message.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, interval};

use crate::connection::Connection;
use crate::routes::TlsPolicy;

/// For whom a connection is good: what was asked of it when it was opened is asked again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) address: SocketAddr,
    /// The name in the certificate.
    pub(crate) name: Arc<str>,
    pub(crate) policy: TlsPolicy,
    /// As whom we logged in.
    pub(crate) login: Option<Box<str>>,
}

#[derive(Default)]
pub(crate) struct Pool {
    idle: Arc<Mutex<Idle>>,
}

#[derive(Default)]
struct Idle {
    connections: HashMap<Key, Vec<(Connection, Instant)>>,
    count: usize,
    /// Whether somebody looks after those that wait too long.
    watched: bool,
}

impl Pool {
    /// The connection that was used last and is still there.
    pub(crate) async fn take(&self, key: &Key) -> Option<Connection> {
        loop {
            let mut connection = {
                let mut idle = lock(&self.idle);
                let waiting = idle.connections.get_mut(key)?;
                let last = waiting.pop();
                if waiting.is_empty() {
                    idle.connections.remove(key);
                }
                let (connection, _) = last?;
                idle.count -= 1;
                connection
            };
            if connection.is_quiet().await {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection for so long, or takes leave of it if so many are kept already.
    pub(crate) fn put(&self, key: Key, connection: Connection, patience: Duration, most: usize) {
        let mut idle = lock(&self.idle);
        if idle.count >= most {
            tokio::spawn(connection.quit());
            return;
        }
        idle.count += 1;
        idle.connections.entry(key).or_default().push((connection, Instant::now() + patience));
        if !std::mem::replace(&mut idle.watched, true) {
            tokio::spawn(watch(Arc::clone(&self.idle), patience));
        }
    }
}

/// Takes leave of servers that were not needed again, until none is left.
async fn watch(idle: Arc<Mutex<Idle>>, patience: Duration) {
    let mut tick = interval((patience / 4).max(Duration::from_millis(10)));
    loop {
        tick.tick().await;
        let mut late = Vec::new();
        let watched = {
            let mut idle = lock(&idle);
            let now = Instant::now();
            idle.connections.retain(|_, waiting| {
                late.extend(waiting.extract_if(.., |(_, until)| *until <= now));
                !waiting.is_empty()
            });
            idle.count -= late.len();
            idle.watched = !idle.connections.is_empty();
            idle.watched
        };
        for (connection, _) in late {
            tokio::spawn(connection.quit());
        }
        if !watched {
            return;
        }
    }
}

fn lock(idle: &Mutex<Idle>) -> MutexGuard<'_, Idle> {
    // Nothing in here is left half done by a panic.
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}
