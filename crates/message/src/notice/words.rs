//! What a notice says to its reader.

use envelope::event::Words;
use envelope::{Address, Language, LimitReached, SendingLimit};
use time::{OffsetDateTime, UtcOffset};

use super::{Notice, Subject};
use crate::date::Minute;

/// From here on the mailbox is as good as full.
const NEARLY_FULL: u8 = 95;

pub(super) fn subject(subject: Subject<'_>, language: Language) -> String {
    match (subject, language) {
        (Subject::SendingLimit(_), Language::Ja) => "メールの送信を一時的に制限しています".into(),
        (Subject::SendingLimit(_), Language::En) => "you have reached a sending limit".into(),
        (Subject::MailboxFilling(percent), Language::Ja) => {
            format!("メールボックスの使用量が{percent}%になりました")
        }
        (Subject::MailboxFilling(percent), Language::En) => {
            format!("your mailbox is {percent} per cent full")
        }
        (Subject::NotSent { .. }, Language::Ja) => "お預かりしたメールを送信できませんでした".into(),
        (Subject::NotSent { .. }, Language::En) => "a message of yours was not sent".into(),
        (Subject::Consent { address, .. }, Language::Ja) => {
            format!("{address} からのメールの転送について (ご確認のお願い)")
        }
        (Subject::Consent { address, .. }, Language::En) => {
            format!("may mail to {address} be forwarded to you?")
        }
    }
}

pub(super) fn text(notice: &Notice<'_>, language: Language) -> String {
    match (notice.subject, language) {
        (Subject::SendingLimit(reached), Language::Ja) => sending_limit_ja(notice, reached),
        (Subject::SendingLimit(reached), Language::En) => sending_limit_en(notice, reached),
        (Subject::MailboxFilling(percent), Language::Ja) => mailbox_ja(notice, percent),
        (Subject::MailboxFilling(percent), Language::En) => mailbox_en(notice, percent),
        (Subject::NotSent { left, reason, remedy, others }, Language::Ja) => {
            not_sent_ja(notice, left, (reason, remedy), others)
        }
        (Subject::NotSent { left, reason, remedy, others }, Language::En) => {
            not_sent_en(notice, left, (reason, remedy), others)
        }
        (Subject::Consent { address, link }, Language::Ja) => consent_ja(notice, address, link),
        (Subject::Consent { address, link }, Language::En) => consent_en(notice, address, link),
    }
}

fn sending_limit_ja(notice: &Notice<'_>, reached: LimitReached) -> String {
    let Notice { account, domain, .. } = notice;
    let limit = limit_ja(reached);
    let then = match moment(reached.until, notice.date.offset()) {
        Some(until) => format!(
            "{until} までは、これを超えるメールをお預かりできません。\r\n\
             それ以降に、もう一度お送りください。\r\n"
        ),
        None => "一度にこれほど多くの宛先へはお送りになれません。宛先を分けてお送りください。\r\n".into(),
    };
    format!(
        "{domain} のメールシステムからお知らせします。\r\n\r\n\
         アカウント {account} の送信が上限に達しました。\r\n\
         {limit}です。\r\n\
         {then}\r\n\
         お心当たりがない場合は、パスワードがほかの人に知られたおそれがあります。\r\n\
         すぐにパスワードを変更し、postmaster@{domain} までご連絡ください。\r\n"
    )
}

fn sending_limit_en(notice: &Notice<'_>, reached: LimitReached) -> String {
    let Notice { account, domain, .. } = notice;
    let LimitReached { which, most, .. } = reached;
    let then = match moment(reached.until, notice.date.offset()) {
        Some(until) => format!(
            "Until {until} no more than that is accepted from you.\r\n\
             Please send the rest again after that time.\r\n"
        ),
        None => {
            "A message to that many is never accepted: please write to fewer people at a time.\r\n".into()
        }
    };
    format!(
        "This is the mail system of {domain}.\r\n\r\n\
         Your account {account} has reached its limit of {most} {which}.\r\n\
         {then}\r\n\
         If you did not send all this, somebody else may know your password.\r\n\
         Then change the password at once, and tell postmaster@{domain}.\r\n"
    )
}

fn limit_ja(LimitReached { which, most, .. }: LimitReached) -> String {
    match which {
        SendingLimit::MessagesPerHour => format!("1時間に送れるメールは {most} 通まで"),
        SendingLimit::MessagesPerDay => format!("1日に送れるメールは {most} 通まで"),
        SendingLimit::RecipientsPerHour => format!("1時間に送れる宛先は延べ {most} 件まで"),
        SendingLimit::RecipientsPerDay => format!("1日に送れる宛先は延べ {most} 件まで"),
        SendingLimit::NewRecipientsPerDay => format!("1日に初めて送れる宛先は {most} 件まで"),
    }
}

fn mailbox_ja(notice: &Notice<'_>, percent: u8) -> String {
    let Notice { account, domain, .. } = notice;
    let urgent = if percent >= NEARLY_FULL { "まもなくいっぱいになります。\r\n" } else { "" };
    format!(
        "{domain} のメールシステムからお知らせします。\r\n\r\n\
         アカウント {account} のメールボックスの使用量が、容量の{percent}%になりました。\r\n\
         {urgent}\r\n\
         メールをお読みになって、不要なメールをサーバーから削除してください。\r\n\
         いっぱいになると、新しいメールをお受け取りになれず、差出人に戻されます。\r\n"
    )
}

fn mailbox_en(notice: &Notice<'_>, percent: u8) -> String {
    let Notice { account, domain, .. } = notice;
    let urgent = if percent >= NEARLY_FULL { "Soon it will be full.\r\n" } else { "" };
    format!(
        "This is the mail system of {domain}.\r\n\r\n\
         The mailbox of your account {account} is {percent} per cent full.\r\n\
         {urgent}\r\n\
         Please fetch your mail, and delete from the server what you no longer need.\r\n\
         Once the mailbox is full, new mail cannot reach you and goes back to its senders.\r\n"
    )
}

fn not_sent_ja(notice: &Notice<'_>, left: u64, (reason, remedy): (&str, &str), others: u64) -> String {
    let Notice { account, domain, .. } = notice;
    let at = moment(Some(left), notice.date.offset());
    let at = at.map(|at| format!("{at} ごろ、")).unwrap_or_default();
    let others = match others {
        0 => String::new(),
        others => format!(
            "ほかに{others}通も、同じ理由または別の理由で送信できず、破棄しました。\r\n\
             一通ごとの理由は postmaster@{domain} にお尋ねください。\r\n\r\n"
        ),
    };
    format!(
        "{domain} のメールシステムからお知らせします。\r\n\r\n\
         {at}アカウント {account} のプログラム (CGI など) からメールを一通お預かりしましたが、\r\n\
         次の理由で送信できませんでした。このメールは破棄しました。\r\n\r\n\
         {reason}\r\n\
         {remedy}\r\n\
         {others}\
         プログラムをご確認のうえ、必要であればもう一度お送りください。\r\n",
        reason = indented(reason),
        remedy = indented(remedy),
    )
}

fn not_sent_en(notice: &Notice<'_>, left: u64, (reason, remedy): (&str, &str), others: u64) -> String {
    let Notice { account, domain, .. } = notice;
    let at = moment(Some(left), notice.date.offset());
    let at = at.map(|at| format!(" at about {at}")).unwrap_or_default();
    let others = match others {
        0 => String::new(),
        others => format!(
            "Left with us too, and neither sent nor kept, for this or other reasons: {others} more.\r\n\
             postmaster@{domain} can tell the reason of each.\r\n\r\n"
        ),
    };
    format!(
        "This is the mail system of {domain}.\r\n\r\n\
         A program of your account {account}, such as a CGI script, left a message with us{at}.\r\n\
         It was not sent, and we have not kept it, because of this:\r\n\r\n\
         {reason}\r\n\
         {remedy}\r\n\
         {others}\
         Please look at the program, and send the message again if it is wanted.\r\n",
        reason = indented(reason),
        remedy = indented(remedy),
    )
}

fn consent_ja(notice: &Notice<'_>, address: &Address, link: &str) -> String {
    let Notice { domain, to, .. } = notice;
    format!(
        "{domain} のメールシステムからお知らせします。\r\n\r\n\
         {address} をお使いの方が、このアドレスに届くメールを、\r\n\
         このメールの宛先 {to} へ転送するように設定しました。\r\n\r\n\
         転送を受け取る場合は、次のページを開いて「はい」を選んでください。\r\n\r\n\
         {link}\r\n\r\n\
         お答えをいただくまで、転送は始まりません。このページは 7 日のあいだ開けます。\r\n\
         お心当たりがない場合は、何もする必要はありません。\r\n\
         「いいえ」を選ぶと、この方からもう一度お尋ねすることはありません。\r\n\
         受け取ると答えたあとも、同じページでいつでも転送を止められます。\r\n\
         そのために、このメールを保存しておいてください。\r\n\r\n\
         ご不明な点は postmaster@{domain} までお問い合わせください。\r\n"
    )
}

fn consent_en(notice: &Notice<'_>, address: &Address, link: &str) -> String {
    let Notice { domain, to, .. } = notice;
    format!(
        "This is the mail system of {domain}.\r\n\r\n\
         The owner of {address} would like to forward mail that comes there\r\n\
         to you, at {to}.\r\n\r\n\
         If you want it, please open this page and say so:\r\n\r\n\
         {link}\r\n\r\n\
         Nothing is forwarded before you answer, which you can do within 7 days.\r\n\
         If this is none of your concern, you need not do anything.\r\n\
         If you say no, you are not asked again in that person's name.\r\n\
         If you say yes, you can stop it at any time on the same page:\r\n\
         please keep this message for that.\r\n\r\n\
         If you have a question, write to postmaster@{domain}.\r\n"
    )
}

/// One line of what others wrote, set apart.
fn indented(text: &str) -> String {
    format!("  {}\r\n", Words::new(text))
}

/// A time in seconds since 1970, to the minute, in this zone: `2026-11-24 08:00 +0900`. Within a minute
/// it is the next one, so that who waits until then has waited long enough.
fn moment(unix_seconds: Option<u64>, zone: UtcOffset) -> Option<String> {
    let minutes = unix_seconds?.div_ceil(60);
    let at = OffsetDateTime::from_unix_timestamp(i64::try_from(minutes.checked_mul(60)?).ok()?).ok()?;
    Some(Minute(at.checked_to_offset(zone)?).to_string())
}
