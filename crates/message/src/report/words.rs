//! What a report says to its reader.

use envelope::Language;

use super::trouble::Trouble;
use super::{Occasion, Original};

pub(super) fn subject(occasion: Occasion, language: Language) -> &'static str {
    match (occasion, language) {
        (Occasion::Failure, Language::Ja) => "メールをお届けできませんでした",
        (Occasion::Failure, Language::En) => "failure notice",
        (Occasion::Delay, Language::Ja) => "メールの配送が遅れています（送り直しは不要です）",
        (Occasion::Delay, Language::En) => "your message is delayed, there is no need to send it again",
        (Occasion::Success, Language::Ja) => "メールの配送結果をお知らせします",
        (Occasion::Success, Language::En) => "delivery report",
        (Occasion::FailedNotice, Language::Ja) => "不達通知をお届けできませんでした",
        (Occasion::FailedNotice, Language::En) => "failure notice could not be delivered",
    }
}

/// `until` is when a delayed message is given up.
pub(super) fn opening(occasion: Occasion, language: Language, host: &str, until: Option<&str>) -> String {
    match (occasion, language) {
        (Occasion::Failure, Language::Ja) => format!(
            "{host} のメールシステムからお知らせします。\r\n\
             お送りになったメールは、下記の宛先にお届けできませんでした。\r\n\
             これ以上の再送はいたしません。\r\n\r\n"
        ),
        (Occasion::Failure, Language::En) => format!(
            "This is the mail system at {host}.\r\n\
             Your message could not be delivered to the addresses below.\r\n\
             This is final: it will not be tried again.\r\n\r\n"
        ),
        (Occasion::Delay, Language::Ja) => format!(
            "{host} のメールシステムからお知らせします。\r\n\
             お送りになったメールは、下記の宛先にまだお届けできていません。\r\n\
             {}配送を自動的に繰り返します。\r\n\
             送り直していただく必要はありません。\r\n\r\n",
            until.map(|until| format!("{until} まで、")).unwrap_or_default()
        ),
        (Occasion::Delay, Language::En) => format!(
            "This is the mail system at {host}.\r\n\
             Your message has not been delivered to the addresses below yet.\r\n\
             It will be tried again{}.\r\n\
             There is nothing that you need to do; please do not send it again.\r\n\r\n",
            until.map(|until| format!(" until {until}")).unwrap_or_default()
        ),
        (Occasion::Success, Language::Ja) => format!(
            "{host} のメールシステムからお知らせします。\r\n\
             ご依頼の配送確認です。お送りになったメールは、下記のとおり配送されました。\r\n\r\n"
        ),
        (Occasion::Success, Language::En) => format!(
            "This is the mail system at {host}.\r\n\
             You asked to be told what became of your message. It went well:\r\n\r\n"
        ),
        (Occasion::FailedNotice, Language::Ja) => format!(
            "{host} のメールシステムから管理者の方へお知らせします。\r\n\
             下記の宛先への不達通知をお届けできませんでした。\r\n\r\n"
        ),
        (Occasion::FailedNotice, Language::En) => format!(
            "This is the mail system at {host}, writing to its postmaster.\r\n\
             A failure notice could not be delivered to the address below.\r\n\r\n"
        ),
    }
}

/// Which address the sender had written to.
pub(super) fn written_to(original: &str, language: Language) -> String {
    match language {
        Language::Ja => format!("（お書きになった宛先: {original}）"),
        Language::En => format!("(You wrote to {original}.)"),
    }
}

/// Stands before the words of another host.
pub(super) fn host_said(host: &str, language: Language) -> String {
    match language {
        Language::Ja => format!("相手のサーバー {host} の応答:"),
        Language::En => format!("The server {host} said:"),
    }
}

/// Stands before the reason.
pub(super) fn details(language: Language) -> &'static str {
    match language {
        Language::Ja => "詳しい内容:",
        Language::En => "Details:",
    }
}

pub(super) fn delivered(language: Language) -> &'static str {
    match language {
        Language::Ja => "お届けしました。",
        Language::En => "It was delivered.",
    }
}

pub(super) fn relayed(language: Language) -> &'static str {
    match language {
        Language::Ja => "相手のサーバーに渡しました。その先の配送結果は通知されません。",
        Language::En => "It was handed to the next server, which does not report what becomes of it.",
    }
}

pub(super) fn expanded(language: Language) -> &'static str {
    match language {
        Language::Ja => "この宛先に登録された転送先へ送りました。その先の配送結果は通知されません。",
        Language::En => "It was passed on to the addresses behind this one; their success is not reported.",
    }
}

/// What happened.
pub(super) fn what(trouble: Trouble, language: Language) -> &'static str {
    let (ja, en) = match trouble {
        Trouble::AddressUnknown => {
            ("このメールアドレスは見つかりませんでした。", "There is no such address.")
        }
        Trouble::AddressMalformed => {
            ("メールアドレスの形式が正しくありません。", "This is not written as an address has to be.")
        }
        Trouble::DomainUnknown => (
            "メールアドレスの @ より後ろの部分（ドメイン）が見つかりませんでした。",
            "The part after the @ is not a domain that can be found.",
        ),
        Trouble::DomainTakesNoMail => {
            ("このドメインはメールを受け取りません。", "This domain does not take any mail.")
        }
        Trouble::MailboxUnavailable => {
            ("このメールボックスは現在使われていません。", "The mailbox does not take mail at present.")
        }
        Trouble::MailboxFull => ("相手のメールボックスがいっぱいです。", "The mailbox is full."),
        Trouble::TooLarge => (
            "メールのサイズが、相手の受け取れる大きさを超えています。",
            "The message is larger than the other side takes.",
        ),
        Trouble::Unreachable => (
            "相手のメールサーバーに接続できませんでした。",
            "The other side's mail server could not be reached.",
        ),
        Trouble::Looping => (
            "転送が繰り返され、メールが循環していました。",
            "The message was forwarded again and again, and went round in a circle.",
        ),
        Trouble::TookTooLong => (
            "配送を繰り返しましたが、期限までにお届けできませんでした。",
            "It was tried again and again, and time is up.",
        ),
        Trouble::SenderRefused => (
            "相手のサーバーが、差出人のメールアドレスを受け付けませんでした。",
            "The other side does not accept your address as a sender.",
        ),
        Trouble::Refused => {
            ("運用上の方針により、メールの受け取りが拒否されました。", "The message was refused by policy.")
        }
        Trouble::Form => (
            "相手のサーバーが、このメールの形式を受け付けませんでした。",
            "The other side cannot take a message of this form.",
        ),
        Trouble::International => (
            "相手のサーバーは、英数字以外の文字を含むメールアドレスに対応していません。",
            "The other side does not support addresses with other than ASCII characters.",
        ),
        Trouble::ServerFault => {
            ("相手のメールサーバーに障害が起きています。", "The other side's mail server has a fault.")
        }
        Trouble::AsksToWait => {
            ("相手のサーバーが、後で送るように求めています。", "The other side asks to be tried again later.")
        }
        Trouble::Other => ("相手のサーバーに受け付けられませんでした。", "The message was not accepted."),
    };
    in_language(ja, en, language)
}

/// What the sender can do about it.
pub(super) fn advice(trouble: Trouble, language: Language) -> &'static str {
    let (ja, en) = match trouble {
        Trouble::AddressUnknown => (
            "宛先に誤りがないかお確かめください。正しい場合は、アドレスが変わっていないか、別の方法で相手の方にご確認ください。",
            "Please check the address for typing errors. If it is right, ask its owner by other means whether it has changed.",
        ),
        Trouble::AddressMalformed => (
            "空白や全角文字が混じっていないかお確かめのうえ、もう一度お送りください。",
            "Please check it for blanks and typing errors, and send the message again.",
        ),
        Trouble::DomainUnknown => (
            "@ より後ろの綴りをお確かめのうえ、もう一度お送りください。",
            "Please check the part after the @ for typing errors, and send the message again.",
        ),
        Trouble::DomainTakesNoMail => (
            "別のメールアドレスがないか、相手の方にご確認ください。",
            "Please find out by other means whether there is another address.",
        ),
        Trouble::MailboxUnavailable => {
            ("別の方法で相手の方にご確認ください。", "Please ask its owner by other means.")
        }
        Trouble::MailboxFull => (
            "数日おいてもう一度お送りになるか、別の方法で相手の方にお知らせください。",
            "Please send it again in some days, or tell the mailbox's owner by other means.",
        ),
        Trouble::TooLarge => (
            "添付ファイルを小さくするか、何通かに分けてお送りください。",
            "Please send smaller attachments, or several smaller messages.",
        ),
        Trouble::Unreachable => (
            "時間をおいてもう一度お送りください。続く場合は、別の方法で相手の方にお知らせください。",
            "Please send it again later. If this goes on, tell the recipient by other means.",
        ),
        Trouble::Looping => (
            "相手の方の転送設定に誤りがあると思われます。別の方法で相手の方にお知らせください。",
            "The recipient's forwarding seems to be at fault: please tell the recipient by other means.",
        ),
        Trouble::TookTooLong => (
            "もう一度お送りになるか、別の方法で相手の方にご連絡ください。",
            "Please send it again, or reach the recipient by other means.",
        ),
        Trouble::SenderRefused => (
            "差出人のメールアドレスの設定をお確かめください。正しい場合は、ご利用のプロバイダーにご相談ください。",
            "Please check that your mail program has your address right. If it does, ask your provider.",
        ),
        Trouble::Refused => (
            "上の内容に理由が書かれていることがあります。受信の許可を、別の方法で相手の方にご依頼ください。",
            "What stands above may tell why. Please ask the recipient by other means to let your mail in.",
        ),
        Trouble::Form => (
            "テキスト形式にするか、添付ファイルを外してお送りください。",
            "Please send it as plain text, or without its attachments.",
        ),
        Trouble::International => (
            "英数字だけの別のメールアドレスをご利用ください。",
            "Please use addresses of ASCII letters and digits, yours as well.",
        ),
        Trouble::ServerFault => ("時間をおいてもう一度お送りください。", "Please send it again later."),
        Trouble::AsksToWait => {
            ("数時間おいてもう一度お送りください。", "Please send it again in some hours.")
        }
        Trouble::Other => (
            "上の内容をご覧ください。お分かりにならない場合は、この通知を添えてご利用のプロバイダーにご相談ください。",
            "Please see above. If that does not help, show this notice to your provider.",
        ),
    };
    in_language(ja, en, language)
}

pub(super) fn closing(original: Original<'_>, language: Language) -> &'static str {
    let (ja, en) = match original {
        Original::Header(_) => {
            ("このあとに、元のメールのヘッダーを添えます。\r\n", "The header of the message follows.\r\n")
        }
        Original::Message(_) => ("このあとに、元のメールを添えます。\r\n", "The message follows.\r\n"),
    };
    in_language(ja, en, language)
}

fn in_language(ja: &'static str, en: &'static str, language: Language) -> &'static str {
    match language {
        Language::Ja => ja,
        Language::En => en,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Every subject and detail of the registry, and some that nobody has named.
    fn troubles() -> Vec<Trouble> {
        let mut troubles = Vec::new();
        for (class, subject, detail) in [4, 5]
            .into_iter()
            .flat_map(|class| (0..9).flat_map(move |subject| (0..31).map(move |d| (class, subject, d))))
        {
            let trouble = Trouble::of(crate::Status::new(class, subject, detail));
            if !troubles.contains(&trouble) {
                troubles.push(trouble);
            }
        }
        troubles
    }

    #[test]
    fn every_trouble_is_told_in_both_languages_with_what_to_do() {
        let troubles = troubles();
        assert_eq!(troubles.len(), 17);
        for language in [Language::Ja, Language::En] {
            let told: BTreeSet<&str> = troubles
                .iter()
                .flat_map(|trouble| [what(*trouble, language), advice(*trouble, language)])
                .collect();
            assert_eq!(told.len(), 2 * troubles.len(), "no two say the same");
            for text in told {
                assert_eq!(text.is_ascii(), language == Language::En, "{text}");
                assert!(text.ends_with(['.', '。']), "{text}");
            }
        }
    }

    #[test]
    fn every_occasion_has_a_subject_and_an_opening_in_both_languages() {
        let mut told = BTreeSet::new();
        for occasion in [Occasion::Failure, Occasion::Delay, Occasion::Success, Occasion::FailedNotice] {
            for language in [Language::Ja, Language::En] {
                let opening = opening(occasion, language, "mx.example", Some("TOMORROW"));
                assert_eq!(opening.contains("TOMORROW"), occasion == Occasion::Delay);
                assert_eq!(opening.is_ascii(), language == Language::En);
                told.insert(subject(occasion, language).to_owned());
                told.insert(opening);
            }
        }
        assert_eq!(told.len(), 16);
    }
}
