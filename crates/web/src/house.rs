//! What the pages stand on.

use std::sync::RwLock;

use envelope::{Domain, Network};
use link::Client;
use link::services::directory::Directory;
use link::services::directory::visits::Token;
use link::services::queue::Queue;
use time::UtcOffset;

/// The services that pages ask, and the site that they are of.
pub struct House {
    /// Accounts, addresses, sessions.
    pub directory: Client<Directory>,
    /// Mail that waits.
    pub queue: Client<Queue>,
    site: RwLock<std::sync::Arc<Site>>,
}

/// What is to be known of this server.
#[derive(Debug, Clone)]
pub struct Site {
    /// This host's name: what stands in mail programs.
    pub hostname: Domain,
    /// The provider's domain.
    pub domain: Domain,
    /// Where members reach the page; ends in a slash.
    pub url: String,
    /// Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed.
    pub trusted_proxies: Vec<Network>,
    /// For how many minutes one may send after a mailbox check.
    pub pop_window_minutes: u32,
    /// Ports of submission by STARTTLS, and by TLS from the first octet.
    pub submission: Option<u16>,
    /// See [`Site::submission`].
    pub submissions: Option<u16>,
    /// Port of SMTP (25), by which members may send after a mailbox check.
    pub smtp: Option<u16>,
    /// Ports of POP3 by STLS, and by TLS from the first octet.
    pub pop3: Option<u16>,
    /// See [`Site::pop3`].
    pub pop3s: Option<u16>,
    /// For how many days it is known what became of a message.
    pub trace_days: u32,
    /// The largest message, in octets.
    pub message_size_max: u64,
    /// The zone in which times are shown.
    pub zone: UtcOffset,
    /// The certificate that is shown to clients.
    pub certificate: Option<Certificate>,
}

/// The link by which who is invited sets his password, at the page of this address (which ends in a slash).
pub fn welcome(page: &str, invitation: &Token) -> String {
    format!("{page}welcome?link={}", invitation.reveal())
}

/// The server's certificate.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The chain, DER, the server's own first.
    pub chain: Vec<Vec<u8>>,
}

impl House {
    /// A house of these services.
    pub fn new(directory: Client<Directory>, queue: Client<Queue>, site: Site) -> House {
        House { directory, queue, site: RwLock::new(std::sync::Arc::new(site)) }
    }

    /// The site as it is now.
    pub fn site(&self) -> std::sync::Arc<Site> {
        std::sync::Arc::clone(&self.site.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Goes by a changed site from now on. The certificate stays as it was shown last.
    pub fn change_site(&self, site: Site) {
        self.change(|present| Site { certificate: present.certificate.clone(), ..site });
    }

    /// This certificate is shown to clients from now on.
    pub fn show_certificate(&self, certificate: Certificate) {
        self.change(|present| Site { certificate: Some(certificate), ..present.clone() });
    }

    fn change(&self, changed: impl FnOnce(&Site) -> Site) {
        let mut site = self.site.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        *site = std::sync::Arc::new(changed(&site));
    }
}
