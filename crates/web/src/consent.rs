//! The owner of a destination is asked by mail whether he wants what is forwarded to him: the directory says whom
//! to ask, the queue writes the mail. Page and API ask here.

mod page;

use envelope::Address;
use link::grant::RelayGrant;
use link::services::directory::visits::Consent;
use link::services::queue::{Request, Response};

use crate::visitor::Visitor;

pub(crate) use page::routes;

/// The page on which the owner answers; what opens it stands after it.
pub(crate) const PATH: &str = "consent?link=";

/// What came of asking one owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Who was to be asked.
    pub(crate) destination: Address,
    /// Whether the mail is on its way; if not, he can be asked again later.
    pub(crate) sent: bool,
}

/// Asks each owner of whom `Visit::AddressSaved` says that he is to be asked, about mail for `address`.
pub(crate) async fn ask(
    visitor: &Visitor,
    address: &str,
    consents: Vec<Consent>,
    grant: Option<RelayGrant>,
) -> Vec<Asked> {
    let site = visitor.house.site();
    let mut all = Vec::with_capacity(consents.len());
    for Consent { destination, link } in consents {
        let sent = match &grant {
            Some(grant) => {
                let request = Request::AskConsent {
                    of: grant.clone(),
                    address: address.to_owned(),
                    destination: destination.clone(),
                    link: format!("{}{PATH}{}", site.url, link.reveal()),
                    language: visitor.words.0,
                };
                match visitor.house.queue.call(request).await.map(|answer| answer.value) {
                    Ok(Response::Accepted(_)) => true,
                    Ok(refused) => {
                        tracing::warn!(event = "consent_not_asked", %destination, ?refused);
                        false
                    }
                    Err(error) => {
                        tracing::warn!(event = "queue_silent", %error);
                        false
                    }
                }
            }
            None => false,
        };
        all.push(Asked { destination, sent });
    }
    all
}
