//! Where a forward leads.

use envelope::address::AddressError;
use envelope::{Address, Host, LocalPart};

/// Where a forward leads, read as qmail reads it: everything before the last `@` is the local-part
/// itself, without quotes or comments, so `taro..@carrier.example` needs no quotes here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForwardTo {
    /// An address.
    Address(Address),
    /// A local-part without `@`, for the server's own name to be added: see
    /// [`complete`](Self::complete).
    LocalPart(LocalPart),
    /// No address. A message to it comes back to its sender; the other forwards go their way.
    Undeliverable {
        /// As it stands in the line.
        text: Box<[u8]>,
        /// Why it is none.
        reason: AddressError,
    },
}

impl ForwardTo {
    /// Reads what stands in the line, after the `&` if there is one.
    pub(super) fn read(text: &[u8]) -> ForwardTo {
        read(text).unwrap_or_else(|reason| ForwardTo::Undeliverable { text: text.into(), reason })
    }

    /// The full address, with `host` after a local-part that stands alone, as qmail does with its
    /// `envnoathost`.
    ///
    /// # Errors
    /// Says why it is no address.
    pub fn complete(&self, host: &Host) -> Result<Address, AddressError> {
        match self {
            ForwardTo::Address(address) => Ok(address.clone()),
            ForwardTo::LocalPart(local_part) => Ok(Address::new(local_part.clone(), host.clone())),
            ForwardTo::Undeliverable { reason, .. } => Err(*reason),
        }
    }

    /// As it stands in a line: without quotes.
    pub(crate) fn written(&self) -> Vec<u8> {
        match self {
            ForwardTo::Address(address) => bare(address).into_bytes(),
            ForwardTo::LocalPart(local_part) => local_part.as_str().into(),
            ForwardTo::Undeliverable { text, .. } => text.to_vec(),
        }
    }
}

/// An address as qmail's envelopes and environment have it: without the quotes of SMTP.
pub(super) fn bare(address: &Address) -> String {
    format!("{}@{}", address.local_part.as_str(), address.host)
}

fn read(text: &[u8]) -> Result<ForwardTo, AddressError> {
    if text.is_empty() {
        return Err(AddressError::Shape);
    }
    let text = str::from_utf8(text).map_err(|_| AddressError::Octets)?;
    let Some((local_part, host)) = text.rsplit_once('@') else {
        return LocalPart::new(text).map(ForwardTo::LocalPart);
    };
    if local_part.is_empty() || host.is_empty() {
        return Err(AddressError::Shape);
    }
    Ok(ForwardTo::Address(Address::new(LocalPart::new(local_part)?, Host::parse(host)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_before_the_last_at_sign_is_the_local_part() {
        for (text, wire) in [
            ("a@x.example", "a@x.example"),
            (" a@x.example", "\" a\"@x.example"),
            ("taro..@carrier.example", "\"taro..\"@carrier.example"),
            ("a@b@x.example", "\"a@b\"@x.example"),
            ("a@x.example, b@x.example", "\"a@x.example, b\"@x.example"),
            ("\"a\"@x.example", "\"\\\"a\\\"\"@x.example"),
            ("|sh@x.example", "|sh@x.example"),
            ("a@[192.0.2.1]", "a@[192.0.2.1]"),
            ("太郎@例え.テスト", "太郎@例え.テスト"),
        ] {
            let to = ForwardTo::read(text.as_bytes());
            assert!(matches!(&to, ForwardTo::Address(address) if address.to_string() == wire), "{to:?}");
            assert_eq!(to.written(), text.as_bytes());
        }
    }

    #[test]
    fn a_local_part_alone_is_completed_with_the_host() {
        let host = Host::parse("mail.pobox.example").unwrap();
        let to = ForwardTo::read(b"joe");
        assert!(matches!(to, ForwardTo::LocalPart(_)));
        assert_eq!(to.complete(&host).unwrap().to_string(), "joe@mail.pobox.example");
        assert_eq!(ForwardTo::read(b"a@x.example").complete(&host).unwrap().to_string(), "a@x.example");
    }

    #[test]
    fn what_is_no_address_is_kept_with_its_reason() {
        let long = "a".repeat(65);
        for text in ["", "<a@x.example>", "@x.example", "a@", "a@x.example, b", "a\tb", &long] {
            let to = ForwardTo::read(text.as_bytes());
            assert!(matches!(to, ForwardTo::Undeliverable { .. }), "{text:?} was taken");
            assert!(to.complete(&Host::parse("x.example").unwrap()).is_err());
            assert_eq!(to.written(), text.as_bytes());
        }
        assert!(matches!(
            ForwardTo::read(b"\xff@x.example"),
            ForwardTo::Undeliverable { reason: AddressError::Octets, .. }
        ));
    }
}
