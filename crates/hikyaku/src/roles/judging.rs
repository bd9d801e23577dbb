//! Who may send, as whom and to whom, by what the directory says: for all who take mail from customers.

use envelope::{
    Address, Client, Destination, Limit, LocalAddress, Recipient, Refusal, ReversePath, Sender, SenderRule,
    authorise, authorise_author,
};
use link::services::directory::{Request, Response, Room};

use super::known_addresses::KnownAddresses;

/// Asks the directory, and goes by the rules of `envelope`.
#[derive(Clone, Copy)]
pub struct Judge<'a> {
    /// What the directory says.
    pub addresses: &'a KnownAddresses,
    /// As whom customers may send.
    pub rule: SenderRule,
}

impl Judge<'_> {
    /// Whether a customer may send at all: he may be suspended by now, or have sent as much as he may.
    pub async fn may_send(&self, sender: &Sender) -> Result<(), Refusal> {
        match self.addresses.ask(Request::MaySend(sender.account.clone())).await? {
            Response::Done => Ok(()),
            Response::LoginRefused(_) => Err(Refusal::SenderDenied),
            Response::LimitReached(reached) => Err(reached.into()),
            _ => Err(Refusal::DirectoryUnavailable),
        }
    }

    /// Whether a customer may send under this reverse-path, and may send still.
    pub async fn sender(&self, reverse_path: &ReversePath, sender: &Sender) -> Result<(), Refusal> {
        self.may_send(sender).await?;
        match reverse_path {
            ReversePath::Null => Ok(()),
            ReversePath::Address(address) => self.author(address, sender).await,
        }
    }

    /// Whether a customer may send as this.
    pub async fn author(&self, author: &Address, sender: &Sender) -> Result<(), Refusal> {
        let leads_to = self.addresses.resolve(author).await?;
        authorise_author(sender, self.rule, &leads_to)
    }

    /// Whether a customer may write as each of these.
    pub async fn authors(&self, authors: &[Address], sender: &Sender) -> Result<(), Refusal> {
        for author in authors {
            self.author(author, sender).await?;
        }
        Ok(())
    }

    /// Whether this client may send to an address, which `leads_to` where the directory says, and whether
    /// there is room for so many octets, as far as they are known.
    pub async fn recipient(
        &self,
        client: &Client,
        recipient: Address,
        leads_to: &Destination,
        size: u64,
    ) -> Result<Recipient, Refusal> {
        let recipient = authorise(client, recipient, leads_to)?;
        if let Destination::Local(LocalAddress { quota: Limit::AtMost(_), .. }) = leads_to {
            self.find_room(recipient.address(), size).await?;
        }
        Ok(recipient)
    }

    /// Whether a mailbox that has a quota has room for a message of this size.
    async fn find_room(&self, recipient: &Address, size: u64) -> Result<(), Refusal> {
        let question = Request::Room { address: recipient.clone(), size };
        match self.addresses.ask(question).await? {
            Response::Room(Room::Enough) => Ok(()),
            Response::Room(Room::Full) => Err(Refusal::MailboxFull { for_good: false }),
            Response::Room(Room::FullForLong) => Err(Refusal::MailboxFull { for_good: true }),
            _ => Err(Refusal::DirectoryUnavailable),
        }
    }
}
