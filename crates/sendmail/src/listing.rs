//! How mail that waits is listed: as `mailq` does everywhere, and as qmail's commands do.

use std::fmt::Write;

use time::{OffsetDateTime, UtcOffset};

use crate::visible::visible;

/// A message that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub id: String,
    /// When it came, in seconds since 1970.
    pub arrived: u64,
    /// Octets.
    pub size: u64,
    /// From whom, without brackets; empty for the null reverse-path.
    pub sender: String,
    /// To whom.
    pub recipients: Vec<ListedRecipient>,
}

/// One of those to whom a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedRecipient {
    /// The address.
    pub address: String,
    /// Where it goes.
    pub channel: Channel,
    /// Whether the address has it, or was given up.
    pub done: bool,
    /// What the last attempt said.
    pub last_reply: Option<String>,
}

/// Where mail for an address goes, in qmail's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// To a mailbox of ours, or its instructions.
    Local,
    /// To another host.
    Remote,
}

impl Channel {
    fn name(self) -> &'static str {
        match self {
            Channel::Local => "local",
            Channel::Remote => "remote",
        }
    }
}

/// One message as `qmail-qread` prints it: a line with the time in GMT, and one for each recipient.
pub fn qread(message: &Listed) -> String {
    let at = time_of(message.arrived, UtcOffset::UTC);
    let (date, time) = (at.date(), at.time());
    let mut text = format!(
        "{} {} {} {:02}:{:02}:{:02} GMT  #{}  {}  <{}> \n",
        date.day(),
        month(date.month()),
        date.year(),
        time.hour(),
        time.minute(),
        time.second(),
        visible(message.id.as_bytes()),
        message.size,
        visible(message.sender.as_bytes()),
    );
    for recipient in &message.recipients {
        let done = if recipient.done { "  done" } else { "" };
        let address = visible(recipient.address.as_bytes());
        let _ = writeln!(text, "{done}\t{}\t{address}", recipient.channel.name());
    }
    text
}

/// The two lines of `qmail-qstat`. `fresh` are those that nobody has looked at yet.
pub fn qstat(messages: u64, fresh: u64) -> String {
    format!("messages in queue: {messages}\nmessages in queue but not yet preprocessed: {fresh}\n")
}

/// A list as `mailq` prints it, a message at a time: as scripts know it from Postfix.
///
/// ```
/// let list = sendmail::listing::Mailq::new(time::UtcOffset::UTC);
/// assert_eq!(list.end(), "Mail queue is empty\n");
/// ```
#[derive(Debug)]
pub struct Mailq {
    zone: UtcOffset,
    messages: u64,
    octets: u64,
}

/// Where the columns of recipients begin.
const INDENT: usize = 48;
/// Reasons end here, unless they are longer.
const REASON_END: usize = 78;

impl Mailq {
    /// An empty list, with times in this zone.
    pub fn new(zone: UtcOffset) -> Mailq {
        Mailq { zone, messages: 0, octets: 0 }
    }

    /// The lines for the next message; the first has the head of the list before it.
    pub fn message(&mut self, message: &Listed) -> String {
        let mut text = String::new();
        if self.messages == 0 {
            let (size, arrived) = ("--Size--", "----Arrival Time----");
            let _ = writeln!(text, "{:<17} {size} {arrived} -Sender/Recipient-------", "-Queue ID-");
        }
        self.messages += 1;
        self.octets = self.octets.saturating_add(message.size);
        let at = time_of(message.arrived, self.zone);
        let sender = match message.sender.as_str() {
            "" => "MAILER-DAEMON".into(),
            address => visible(address.as_bytes()),
        };
        let _ = writeln!(
            text,
            "{:<17} {:>8} {} {} {:>2} {:02}:{:02}:{:02}  {sender}",
            visible(message.id.as_bytes()),
            message.size,
            &at.weekday().to_string()[..3],
            month(at.month()),
            at.day(),
            at.hour(),
            at.minute(),
            at.second(),
        );
        for recipient in message.recipients.iter().filter(|recipient| !recipient.done) {
            if let Some(reply) = &recipient.last_reply {
                let reason = format!("({})", visible(reply.as_bytes()));
                let _ = writeln!(text, "{reason:>REASON_END$}");
            }
            let _ = writeln!(text, "{:INDENT$}{}", "", visible(recipient.address.as_bytes()));
        }
        text.push('\n');
        text
    }

    /// The last line.
    pub fn end(self) -> String {
        let Mailq { messages, octets, .. } = self;
        match messages {
            0 => "Mail queue is empty\n".into(),
            1 => format!("-- {} Kbytes in 1 Request.\n", octets.div_ceil(1024)),
            _ => format!("-- {} Kbytes in {messages} Requests.\n", octets.div_ceil(1024)),
        }
    }
}

/// Far times, which no message has, become the first of 1970.
fn time_of(unix_seconds: u64, zone: UtcOffset) -> OffsetDateTime {
    let seconds = i64::try_from(unix_seconds).unwrap_or_default();
    let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    at.checked_to_offset(zone).unwrap_or(at)
}

fn month(month: time::Month) -> &'static str {
    const NAMES: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    NAMES[usize::from(u8::from(month)) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 20 Nov 2026 10:00:00 GMT.
    const ARRIVED: u64 = 1_795_168_800;

    fn recipient(address: &str, done: bool, last_reply: Option<&str>) -> ListedRecipient {
        let address = address.into();
        ListedRecipient { address, channel: Channel::Remote, done, last_reply: last_reply.map(String::from) }
    }

    fn message() -> Listed {
        Listed {
            id: "06db0wg3k8rmv".into(),
            arrived: ARRIVED,
            size: 1234,
            sender: "s@x.example".into(),
            recipients: vec![
                ListedRecipient { channel: Channel::Local, ..recipient("a@x.example", true, None) },
                recipient("b@y.example", false, Some("connection refused")),
            ],
        }
    }

    #[test]
    fn qread_prints_as_qmail_does() {
        assert_eq!(
            qread(&message()),
            "20 Nov 2026 10:00:00 GMT  #06db0wg3k8rmv  1234  <s@x.example> \n  \
             done\tlocal\ta@x.example\n\tremote\tb@y.example\n"
        );
    }

    #[test]
    fn qstat_prints_as_qmail_does() {
        assert_eq!(qstat(12, 3), "messages in queue: 12\nmessages in queue but not yet preprocessed: 3\n");
    }

    #[test]
    fn mailq_prints_columns_and_what_keeps_a_message() {
        let mut list = Mailq::new(UtcOffset::from_hms(9, 0, 0).unwrap());
        let text = list.message(&message());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "-Queue ID-        --Size-- ----Arrival Time---- -Sender/Recipient-------",
                "06db0wg3k8rmv         1234 Fri Nov 20 19:00:00  s@x.example",
                "                                                          (connection refused)",
                "                                                b@y.example",
                "",
            ]
        );
        assert_eq!(lines[0].find("-Sender"), lines[3].find('b'));
        let bounce = Listed { sender: String::new(), size: 900, ..message() };
        let text = list.message(&bounce);
        assert!(
            text.starts_with("06db0wg3k8rmv          900 Fri Nov 20 19:00:00  MAILER-DAEMON\n"),
            "{text}"
        );
        assert_eq!(list.end(), "-- 3 Kbytes in 2 Requests.\n");
    }

    proptest! {
        #[test]
        fn an_address_adds_no_line(address: String, reply: String, arrived: u64, size: u64) {
            let listed = Listed {
                arrived,
                size,
                sender: address.clone(),
                recipients: vec![recipient(&address, false, Some(&reply))],
                ..message()
            };
            prop_assert_eq!(qread(&listed).lines().count(), 2);
            let mut list = Mailq::new(UtcOffset::UTC);
            prop_assert_eq!(list.message(&listed).lines().count(), 5);
            prop_assert_eq!(list.message(&listed).lines().count(), 4);
        }
    }
}
