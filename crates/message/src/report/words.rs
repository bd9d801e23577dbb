//! What a notice says to its reader.

use envelope::Language;

use super::Occasion;

pub(super) fn subject(occasion: Occasion, language: Language) -> &'static str {
    match (occasion, language) {
        (Occasion::Failure, Language::Ja) => "メールをお届けできませんでした",
        (Occasion::Failure, Language::En) => "failure notice",
        (Occasion::FailedNotice, Language::Ja) => "不達通知をお届けできませんでした",
        (Occasion::FailedNotice, Language::En) => "failure notice could not be delivered",
    }
}

pub(super) fn opening(occasion: Occasion, language: Language, host: &str) -> String {
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

pub(super) fn closing(language: Language) -> &'static str {
    match language {
        Language::Ja => "このあとに、元のメールのヘッダーを添えます。\r\n",
        Language::En => "The header of the message follows.\r\n",
    }
}
