//! What the DNS says, for operators who look what is published.

use std::time::Duration;

use envelope::dns::{DnsAnswer, DnsOutcome, DnsQuestion, QUESTIONS_MAX, RECORDS_MAX, RecordData, RecordType};
use envelope::event::Words;
use futures_util::{StreamExt, stream};
use hickory_resolver::proto::rr::{Name, RData, RecordType as Kind};
use tokio::time::{Instant, timeout_at};

use super::{Dns, DnsError};

/// How many questions are asked at the same time.
const AT_ONCE: usize = 8;

impl Dns {
    /// What the DNS says to each question, in their order; of more than [`QUESTIONS_MAX`] the rest is not asked. What
    /// it has not said when `patience` ends, it does not say.
    pub async fn look_up(&self, mut questions: Vec<DnsQuestion>, patience: Duration) -> Vec<DnsAnswer> {
        questions.truncate(QUESTIONS_MAX);
        let deadline = Instant::now() + patience;
        let looks = questions.into_iter().map(|question| async move {
            let outcome = match timeout_at(deadline, self.outcome(&question)).await {
                Ok(outcome) => outcome,
                Err(_) => DnsOutcome::Unanswered("no answer in time".into()),
            };
            DnsAnswer { question, outcome }
        });
        stream::iter(looks).buffered(AT_ONCE).collect().await
    }

    async fn outcome(&self, question: &DnsQuestion) -> DnsOutcome {
        let kind = kind(question.record_type);
        // Others may come along, such as the CNAMEs on the way.
        let read = |data: &RData| data_of(data).filter(|_| data.record_type() == kind);
        match self.records(&question.name, kind, read).await {
            Ok(mut records) => {
                records.truncate(RECORDS_MAX);
                DnsOutcome::Found(records)
            }
            Err(DnsError::NoSuchName) => DnsOutcome::NoSuchName,
            Err(DnsError::NoRecord) => DnsOutcome::NoRecord,
            Err(DnsError::Temporary(why)) => DnsOutcome::Unanswered(Words::new(&why)),
        }
    }
}

fn kind(record_type: RecordType) -> Kind {
    match record_type {
        RecordType::A => Kind::A,
        RecordType::Aaaa => Kind::AAAA,
        RecordType::Mx => Kind::MX,
        RecordType::Txt => Kind::TXT,
        RecordType::Cname => Kind::CNAME,
        RecordType::Srv => Kind::SRV,
        RecordType::Ptr => Kind::PTR,
    }
}

fn data_of(data: &RData) -> Option<RecordData> {
    Some(match data {
        RData::A(address) => RecordData::A(address.0),
        RData::AAAA(address) => RecordData::Aaaa(address.0),
        RData::MX(mx) => RecordData::Mx { preference: mx.preference, exchange: name(&mx.exchange) },
        RData::TXT(txt) => RecordData::Txt(Words::new(&String::from_utf8_lossy(&txt.txt_data.concat()))),
        RData::CNAME(target) => RecordData::Cname(name(&target.0)),
        RData::SRV(srv) => RecordData::Srv {
            priority: srv.priority,
            weight: srv.weight,
            port: srv.port,
            target: name(&srv.target),
        },
        RData::PTR(target) => RecordData::Ptr(name(&target.0)),
        _ => return None,
    })
}

fn name(name: &Name) -> String {
    let mut text = name.to_ascii().to_ascii_lowercase();
    if text.ends_with('.') {
        text.pop();
    }
    text
}
