//! Every line the server can say, in English and Japanese. Help pages quote them; keep them stable.
//!
//! Where qmail's pop3d had words for a thing, these are its words. English is plain ASCII, since a
//! client that sent no LANG may not expect anything else (RFC 6856 §3.2).

use std::fmt;

use envelope::Language;

use crate::action::{LoginFailure, NotTransmitted};

/// What follows `+OK`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Positive<'a> {
    Greeting {
        host: &'a str,
    },
    Capabilities,
    Languages,
    Language,
    Goodbye,
    SendPassword,
    Mechanisms,
    BeginTls,
    Utf8,
    /// The answer to STAT: a drop listing (RFC 1939 §5).
    DropListing {
        messages: usize,
        octets: u64,
    },
    /// The same for people: after a login, LIST and RSET.
    Maildrop {
        messages: usize,
        octets: u64,
    },
    ScanListing {
        number: u64,
        octets: u64,
    },
    UniqueIds,
    UniqueId {
        number: u64,
        uid: &'a str,
    },
    Message {
        octets: u64,
    },
    Top,
    Deleted {
        number: u64,
    },
    Nothing,
}

impl Positive<'_> {
    /// The text in this language, without the status indicator.
    pub(crate) fn text(&self, language: Language) -> impl fmt::Display + '_ {
        let ja = matches!(language, Language::Ja);
        fmt::from_fn(move |f| {
            let [english, japanese] = match self {
                Positive::Greeting { host } => return write!(f, "{host} Hikyaku POP3 server ready"),
                Positive::DropListing { messages, octets } => return write!(f, "{messages} {octets}"),
                Positive::Maildrop { messages, octets } if ja => {
                    return write!(f, "メール {messages} 通 ({octets} オクテット)");
                }
                Positive::Maildrop { messages, octets } => {
                    return write!(f, "{messages} messages ({octets} octets)");
                }
                Positive::ScanListing { number, octets } => return write!(f, "{number} {octets}"),
                Positive::UniqueId { number, uid } => return write!(f, "{number} {uid}"),
                Positive::Message { octets } if ja => return write!(f, "{octets} オクテット"),
                Positive::Message { octets } => return write!(f, "{octets} octets"),
                Positive::Deleted { number } if ja => {
                    return write!(f, "メール {number} に削除の印を付けました");
                }
                Positive::Deleted { number } => return write!(f, "message {number} marked as deleted"),
                Positive::Capabilities => ["capability list follows", "対応している機能の一覧です"],
                Positive::Languages => ["language listing follows", "使える言語の一覧です"],
                // RFC 6856 §3.2: the tag selected, a space, the text.
                Positive::Language => ["en responses are in English now", "ja 応答を日本語に切り替えました"],
                Positive::Goodbye => ["goodbye", "接続を終わります"],
                Positive::SendPassword => ["send PASS", "PASS を送ってください"],
                Positive::Mechanisms => ["SASL mechanisms follow", "使える認証方式の一覧です"],
                Positive::BeginTls => ["begin TLS negotiation", "TLS の折衝を始めてください"],
                Positive::Utf8 => ["UTF-8 mode is on", "UTF-8 モードに切り替えました"],
                Positive::UniqueIds => ["unique-id listing follows", "ユニーク ID の一覧です"],
                Positive::Top => ["top of message follows", "メールの先頭部分です"],
                Positive::Nothing => ["nothing done", "何もしていません"],
            };
            f.write_str(if ja { japanese } else { english })
        })
    }
}

/// What follows `-ERR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Negative {
    Unknown,
    Syntax,
    LineTooLong,
    NotUtf8,
    TooManyErrors,
    LanguageUnknown,
    AuthorizationFirst,
    AlreadyAuthorized,
    UserFirst,
    TlsFirst,
    LoginFailed,
    NotOwnIdentity,
    Suspended,
    InUse,
    Unavailable,
    MaildropDamaged,
    MechanismUnknown,
    AuthMalformed,
    AuthCancelled,
    TlsActive,
    TlsNotOffered,
    PlaintextAfterStls,
    CountedFromOne,
    NotThatMany,
    AlreadyDeleted,
    NotOpened,
    NeedsUtf8,
    NotRemoved,
}

impl Negative {
    /// The text in this language, with its response code and without the status indicator.
    pub(crate) fn text(self, language: Language) -> impl fmt::Display {
        let [english, japanese] = self.words();
        fmt::from_fn(move |f| {
            if let Some(code) = self.code() {
                write!(f, "[{code}] ")?;
            }
            f.write_str(match language {
                Language::En => english,
                Language::Ja => japanese,
            })
        })
    }

    /// The response code, by which programs tell failures apart (RFC 2449 §8).
    fn code(self) -> Option<&'static str> {
        match self {
            // RFC 3206 §5 counts an expired account and a breach of policy among these.
            Negative::LoginFailed | Negative::NotOwnIdentity | Negative::Suspended | Negative::TlsFirst => {
                Some("AUTH")
            }
            Negative::InUse => Some("IN-USE"),
            Negative::Unavailable | Negative::NotRemoved => Some("SYS/TEMP"),
            Negative::MaildropDamaged => Some("SYS/PERM"),
            // RFC 6856 §5.
            Negative::NeedsUtf8 => Some("UTF8"),
            Negative::Unknown
            | Negative::Syntax
            | Negative::LineTooLong
            | Negative::NotUtf8
            | Negative::TooManyErrors
            | Negative::LanguageUnknown
            | Negative::AuthorizationFirst
            | Negative::AlreadyAuthorized
            | Negative::UserFirst
            | Negative::MechanismUnknown
            | Negative::AuthMalformed
            | Negative::AuthCancelled
            | Negative::TlsActive
            | Negative::TlsNotOffered
            | Negative::PlaintextAfterStls
            | Negative::CountedFromOne
            | Negative::NotThatMany
            | Negative::AlreadyDeleted
            | Negative::NotOpened => None,
        }
    }

    /// English and Japanese.
    fn words(self) -> [&'static str; 2] {
        match self {
            Negative::Unknown => ["unimplemented", "そのコマンドはありません"],
            Negative::Syntax => ["syntax error", "コマンドの書式が正しくありません"],
            Negative::LineTooLong => ["line too long", "行が長すぎます"],
            Negative::NotUtf8 => {
                ["user names and passwords are UTF-8", "ユーザー名とパスワードは UTF-8 で送ってください"]
            }
            Negative::TooManyErrors => ["too many errors", "エラーが多すぎるため接続を終わります"],
            Negative::LanguageUnknown => {
                ["no such language: LANG lists those there are", "その言語はありません。LANG で一覧が出ます"]
            }
            Negative::AuthorizationFirst => ["authorization first", "先にログインしてください"],
            Negative::AlreadyAuthorized => ["already logged in", "すでにログインしています"],
            Negative::UserFirst => ["USER first", "先に USER を送ってください"],
            Negative::TlsFirst => [
                "no password without TLS: use STLS, or port 995",
                "TLS なしではパスワードを受け付けません。STLS かポート 995 を使ってください",
            ],
            Negative::LoginFailed => ["authorization failed", "ユーザー名かパスワードが違います"],
            Negative::NotOwnIdentity => {
                ["nobody may act as another user", "ほかのユーザーとしてログインすることはできません"]
            }
            Negative::Suspended => [
                "this account is suspended: please ask your provider",
                "このアカウントは停止中です。プロバイダーにお問い合わせください",
            ],
            Negative::InUse => [
                "your mailbox is open in another session: try again in a moment",
                "メールボックスはほかの接続で使用中です。しばらくしてからやり直してください",
            ],
            Negative::Unavailable => [
                "temporary trouble on this server: try again later",
                "サーバーに一時的な問題があります。しばらくしてからやり直してください",
            ],
            Negative::MaildropDamaged => [
                "your mailbox cannot be opened: please ask your provider",
                "メールボックスを開けません。プロバイダーにお問い合わせください",
            ],
            Negative::MechanismUnknown => ["no such authentication mechanism", "その認証方式はありません"],
            Negative::AuthMalformed => {
                ["malformed authentication response", "認証の応答の書式が正しくありません"]
            }
            Negative::AuthCancelled => ["authentication cancelled", "認証を取りやめました"],
            Negative::TlsActive => ["TLS is active already", "すでに TLS を使っています"],
            Negative::TlsNotOffered => ["TLS is not offered here", "ここでは TLS を使えません"],
            Negative::PlaintextAfterStls => {
                ["nothing may follow STLS before TLS is active", "STLS の後は TLS が始まるまで何も送れません"]
            }
            Negative::CountedFromOne => ["messages are counted from 1", "メールの番号は 1 から始まります"],
            Negative::NotThatMany => ["not that many messages", "その番号のメールはありません"],
            Negative::AlreadyDeleted => ["already deleted", "そのメールには削除の印が付いています"],
            Negative::NotOpened => ["unable to open that message", "そのメールを開けません"],
            Negative::NeedsUtf8 => [
                "this message needs UTF-8 mode: send UTF8 before the login",
                "このメールには UTF-8 モードが必要です。ログインの前に UTF8 を送ってください",
            ],
            Negative::NotRemoved => ["some deleted messages not removed", "削除できないメールがありました"],
        }
    }
}

impl From<LoginFailure> for Negative {
    fn from(failure: LoginFailure) -> Negative {
        match failure {
            LoginFailure::Credentials => Negative::LoginFailed,
            LoginFailure::Suspended => Negative::Suspended,
            LoginFailure::InUse => Negative::InUse,
            LoginFailure::Unavailable => Negative::Unavailable,
            LoginFailure::Maildrop => Negative::MaildropDamaged,
        }
    }
}

impl NotTransmitted {
    /// What the client is told, if it still can be told anything.
    pub(crate) fn response(self) -> Option<Negative> {
        match self {
            NotTransmitted::Gone => Some(Negative::NotOpened),
            NotTransmitted::Unavailable => Some(Negative::Unavailable),
            NotTransmitted::NeedsUtf8 => Some(Negative::NeedsUtf8),
            NotTransmitted::BrokenOff => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEGATIVES: [Negative; 28] = [
        Negative::Unknown,
        Negative::Syntax,
        Negative::LineTooLong,
        Negative::NotUtf8,
        Negative::TooManyErrors,
        Negative::LanguageUnknown,
        Negative::AuthorizationFirst,
        Negative::AlreadyAuthorized,
        Negative::UserFirst,
        Negative::TlsFirst,
        Negative::LoginFailed,
        Negative::NotOwnIdentity,
        Negative::Suspended,
        Negative::InUse,
        Negative::Unavailable,
        Negative::MaildropDamaged,
        Negative::MechanismUnknown,
        Negative::AuthMalformed,
        Negative::AuthCancelled,
        Negative::TlsActive,
        Negative::TlsNotOffered,
        Negative::PlaintextAfterStls,
        Negative::CountedFromOne,
        Negative::NotThatMany,
        Negative::AlreadyDeleted,
        Negative::NotOpened,
        Negative::NeedsUtf8,
        Negative::NotRemoved,
    ];

    const POSITIVES: [Positive<'_>; 18] = [
        Positive::Greeting { host: "mail.example" },
        Positive::Capabilities,
        Positive::Languages,
        Positive::Language,
        Positive::Goodbye,
        Positive::SendPassword,
        Positive::Mechanisms,
        Positive::BeginTls,
        Positive::Utf8,
        Positive::DropListing { messages: usize::MAX, octets: u64::MAX },
        Positive::Maildrop { messages: usize::MAX, octets: u64::MAX },
        Positive::ScanListing { number: u64::MAX, octets: u64::MAX },
        Positive::UniqueIds,
        Positive::UniqueId { number: u64::MAX, uid: "x" },
        Positive::Message { octets: u64::MAX },
        Positive::Top,
        Positive::Deleted { number: u64::MAX },
        Positive::Nothing,
    ];

    #[test]
    fn every_line_is_one_line_and_short_enough() {
        let texts = |language| {
            let positives = POSITIVES.iter().map(move |p| p.text(language).to_string());
            positives.chain(NEGATIVES.iter().map(move |n| n.text(language).to_string()))
        };
        for (english, japanese) in texts(Language::En).zip(texts(Language::Ja)) {
            assert!(english.bytes().all(|b| b == b' ' || b.is_ascii_graphic()), "{english}");
            for text in [&english, &japanese] {
                assert!(!text.is_empty() && !text.chars().any(char::is_control), "{text:?}");
                // RFC 2449 §4: a response's first line has at most 512 octets with `-ERR ` and CRLF.
                assert!(text.len() <= 512 - 7, "{text}");
            }
        }
    }

    #[test]
    fn every_refusal_has_words_of_its_own() {
        for language in [Language::En, Language::Ja] {
            let all: std::collections::BTreeSet<_> =
                NEGATIVES.iter().map(|n| n.text(language).to_string()).collect();
            assert_eq!(all.len(), NEGATIVES.len());
        }
    }

    #[test]
    fn response_codes_stand_before_the_text() {
        assert_eq!(Negative::LoginFailed.text(Language::En).to_string(), "[AUTH] authorization failed");
        assert_eq!(Negative::Unknown.text(Language::Ja).to_string(), "そのコマンドはありません");
    }
}
