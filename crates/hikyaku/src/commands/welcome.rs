//! The welcome notice: what a new customer needs to set up his mail program, and what to know.

use std::net::SocketAddr;

use envelope::Language;
use link::services::directory::AccountFacts;

use crate::config::Config;

/// To whom addresses may be lent.
pub const LENDING: &str =
    "Addresses may not be lent to third parties, members of your household or staff of one site excepted.";
const LENDING_JA: &str =
    "メールアドレスを第三者に貸与することはできません（ご家族、および同一事業所の従業員を除きます）。";

/// The notice, without a line end after its last line.
pub fn notice(config: &Config, facts: &AccountFacts, language: Language) -> String {
    let facts = Facts::of(config, facts);
    match language {
        Language::Ja => facts.in_japanese(),
        Language::En => facts.in_english(),
    }
}

/// What the notice tells, in either language.
struct Facts<'a> {
    name: &'a str,
    server: &'a str,
    domain: &'a str,
    domains: Vec<&'a str>,
    sub_domain: bool,
    forward_limit: u32,
    /// For how many minutes one may send after checking mail; none if that is off.
    window: Option<u64>,
    pop3s: Option<u16>,
    pop3: Option<u16>,
    submissions: Option<u16>,
    submission: Option<u16>,
    smtp: Option<u16>,
    /// Whether programs of this machine send as the account.
    has_programs: bool,
}

impl<'a> Facts<'a> {
    fn of(config: &'a Config, facts: &'a AccountFacts) -> Facts<'a> {
        let port = |addresses: &[SocketAddr]| addresses.first().map(SocketAddr::port);
        let listen = &config.listen;
        Facts {
            name: facts.account.name.as_str(),
            server: config.hostname.as_str(),
            domain: config.domain.as_str(),
            domains: facts.domains.iter().map(envelope::Domain::as_str).collect(),
            sub_domain: facts.allowances.sub_domain_addresses,
            forward_limit: facts.allowances.forward_limit,
            window: facts.allowances.pop_before_smtp.then(|| config.sending.pop_window.into()),
            pop3s: port(&listen.pop3s),
            pop3: port(&listen.pop3),
            submissions: port(&listen.submissions),
            submission: port(&listen.submission),
            smtp: port(&listen.smtp),
            has_programs: !facts.uids.is_empty()
                || config.sendmail.users.values().any(|owner| *owner == facts.account.name),
        }
    }

    fn in_japanese(&self) -> String {
        let Facts { name, server, domain, .. } = self;
        let ports = |tls, starttls| ways(tls, starttls, "ポート", "または ");
        let mut lines = vec![
            format!("{domain} メールサービスへようこそ"),
            String::new(),
            format!("アカウント名 (POP):  {name}   （{name}@{domain} でもログインできます）"),
            "パスワード:          メールアカウントのパスワード".into(),
            format!("メールアドレス:      {name}@{domain}"),
        ];
        if self.sub_domain {
            lines.push(format!(
                "                     （任意の文字列）@{name}.{domain}   登録不要、個数の制限はありません"
            ));
        }
        lines.extend(self.domains.iter().map(|domain| {
            format!("                     （任意の文字列）@{domain}   登録不要、個数の制限はありません")
        }));
        lines.push(String::new());
        lines.push(format!("受信 (POP3) サーバー: {server}   {}", ports(self.pop3s, self.pop3)));
        lines.push(format!("送信 (SMTP) サーバー: {server}   {}", ports(self.submissions, self.submission)));
        lines.push(
            "送信時は SMTP 認証 (SMTP AUTH) に受信と同じアカウント名とパスワードをお使いください。".into(),
        );
        if let (Some(minutes), Some(port)) = (self.window, self.smtp) {
            lines.push(String::new());
            lines.push("SMTP 認証に対応していないメールソフトの場合:".into());
            lines.push(format!(
                "  送信の直前にメールの受信を行ってください。受信後 {minutes} 分間、同じ接続元から {server} ポート {port} で送信できます。"
            ));
        }
        if self.has_programs {
            lines.push(String::new());
            lines.push(format!(
                "CGI などのプログラムは /usr/lib/sendmail で送信できます。エラーメールは {name}@{domain} に届きます。"
            ));
        }
        lines.push(String::new());
        lines.push("差出人 (From) には上記のいずれかのメールアドレスをお使いください。それ以外の差出人のメールは送信できません。".into());
        lines.push(format!("各アドレスは {} か所まで転送できます。", self.forward_limit));
        lines.push(LENDING_JA.into());
        lines.join("\n")
    }

    fn in_english(&self) -> String {
        let Facts { name, server, domain, .. } = self;
        let ports = |tls, starttls| ways(tls, starttls, "port", "or ");
        let mut lines = vec![
            format!("Welcome to mail at {domain}"),
            String::new(),
            format!("Account name (POP):     {name}   ({name}@{domain} logs in too)"),
            "Password:               the password of your mail account".into(),
            format!("Mail addresses:         {name}@{domain}"),
        ];
        if self.sub_domain {
            lines.push(format!(
                "                        anything@{name}.{domain}   as many as you like, nothing to set up"
            ));
        }
        lines.extend(self.domains.iter().map(|domain| {
            format!("                        anything@{domain}   as many as you like, nothing to set up")
        }));
        lines.push(String::new());
        lines.push(format!("Incoming (POP3) server: {server}   {}", ports(self.pop3s, self.pop3)));
        lines
            .push(format!("Outgoing (SMTP) server: {server}   {}", ports(self.submissions, self.submission)));
        lines.push(
            "To send, use SMTP authentication (SMTP AUTH) with the same account name and password.".into(),
        );
        if let (Some(minutes), Some(port)) = (self.window, self.smtp) {
            lines.push(String::new());
            lines.push("If your mail program has no SMTP authentication:".into());
            lines.push(format!(
                "  Check your mail right before you send. For {minutes} minutes after that you may send from the same place \
                 by {server}, port {port}."
            ));
        }
        if self.has_programs {
            lines.push(String::new());
            lines.push(format!(
                "Programs such as CGI scripts send by /usr/lib/sendmail. Mail that cannot be delivered comes back to \
                 {name}@{domain}."
            ));
        }
        lines.push(String::new());
        lines.push(
            "As the sender (From) use any of the addresses above; mail from others is not sent.".into(),
        );
        lines.push(format!("Each address may be forwarded to up to {} places.", self.forward_limit));
        lines.push(LENDING.into());
        lines.join("\n")
    }
}

/// `port 995 (TLS) or port 110 (STARTTLS)`, as far as they are open.
fn ways(tls: Option<u16>, starttls: Option<u16>, port: &str, or: &str) -> String {
    let tls = tls.map(|number| format!("{port} {number} (TLS)"));
    let starttls = starttls.map(|number| format!("{port} {number} (STARTTLS)"));
    let all: Vec<String> = tls.into_iter().chain(starttls).collect();
    all.join(&format!(" {or}"))
}

#[cfg(test)]
mod tests {
    use envelope::{Account, AccountState, Limit, Overrides, Plan};
    use link::services::directory::Sent;

    use super::*;

    fn facts(plan: Plan) -> AccountFacts {
        AccountFacts {
            account: Account {
                name: "abc".parse().unwrap(),
                state: AccountState::Active,
                language: Language::Ja,
                operator: false,
                maildir: "/mail/abc/Maildir".into(),
                created: 0,
            },
            plan: "default".parse().unwrap(),
            allowances: plan,
            own: Overrides::default(),
            sent: Sent::default(),
            windows: Vec::new(),
            app_passwords: 0,
            domains: vec!["shop.example".parse().unwrap()],
            uids: vec![1001],
            mailbox: None,
        }
    }

    fn config(lines: &str) -> Config {
        Config::parse(&format!("hostname = \"mail.pobox.example\"\ndomain = \"pobox.example\"\n{lines}"))
            .unwrap()
    }

    #[test]
    fn the_notice_tells_all_that_a_mail_program_needs_in_both_languages() {
        let config = config("[listen]\npop3s = [\"[::]:2995\"]\n[sending]\npop_window = 15\n");
        for (language, words) in [
            (
                Language::Ja,
                [
                    "アカウント名 (POP):  abc ",
                    "ポート 2995 (TLS)",
                    "ポート 465 (TLS)",
                    "15 分間",
                    "第三者に貸与",
                ],
            ),
            (
                Language::En,
                [
                    "Account name (POP):     abc ",
                    "port 2995 (TLS)",
                    "port 465 (TLS)",
                    "15 minutes",
                    "lent to third parties",
                ],
            ),
        ] {
            let notice = notice(&config, &facts(Plan::default()), language);
            for word in words.into_iter().chain([
                "abc@pobox.example",
                "@abc.pobox.example",
                "@shop.example",
                "mail.pobox.example",
                "110 (STARTTLS)",
                "587 (STARTTLS)",
                "SMTP AUTH",
                "/usr/lib/sendmail",
            ]) {
                assert!(notice.contains(word), "no {word} in:\n{notice}");
            }
        }
    }

    #[test]
    fn the_notice_promises_nothing_that_the_plan_does_not_have() {
        let plan = Plan {
            sub_domain_addresses: false,
            pop_before_smtp: false,
            quota_bytes: Limit::Unlimited,
            ..Plan::default()
        };
        for language in [Language::Ja, Language::En] {
            let facts = AccountFacts { uids: Vec::new(), ..facts(plan.clone()) };
            let notice = notice(&config("[listen]\npop3 = []\n"), &facts, language);
            for word in ["@abc.pobox.example", "STARTTLS) ", "110", "10 分間", "10 minutes", "sendmail"] {
                assert!(!notice.contains(word), "{word} in:\n{notice}");
            }
        }
    }
}
