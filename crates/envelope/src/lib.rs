//! The words that every part of Hikyaku shares: addresses, paths, accounts, the envelope.
//!
//! Nothing here touches a socket, a file or a clock. A byte string from outside becomes one of
//! these types at one door ([`path`]); after that, types travel.
#![forbid(unsafe_code)]

pub mod account;
pub mod address;
pub mod carriers;
pub mod dns;
pub mod dsn;
pub mod event;
pub mod filter;
pub mod hosted;
pub mod network;
pub mod octets;
pub mod path;
pub mod plan;
pub mod policy;
pub mod provenance;
pub mod publish;
pub mod queue_id;
pub mod sending_limit;

mod envelope;

pub use account::{Account, AccountName, AccountState, Language, Mailbox};
pub use address::{Address, Domain, Host, LocalPart};
pub use carriers::Carrier;
pub use dsn::{EnvelopeId, MessageWishes, Notify, RecipientWishes, Return, TypedAddress};
pub use envelope::{BodyType, Envelope};
pub use filter::{AddressPattern, Filter, Walk};
pub use hosted::{Destination, DomainKind, HostedDomain, LocalAddress, Prefix};
pub use network::Network;
pub use path::{ForwardPath, ReversePath};
pub use plan::{Limit, NamedPlan, Overrides, Plan, PlanName};
pub use policy::{
    Client, Entitlement, NotAScriptAuthor, Recipient, Refusal, ScriptAuthor, Sender, SenderRule, authorise,
    authorise_author,
};
pub use provenance::{Lineage, Provenance, Reached};
pub use queue_id::{QueueId, QueueIds};
pub use sending_limit::{LimitReached, SendingLimit};
