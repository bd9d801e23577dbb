//! A Postfix of our own, as Debian has it: it hosts a domain, and sends mail for pobox.example to the house.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{PATIENCE, open_dir, write_certificate};
use crate::house::{eventually, files_in, run};
use crate::wire::Wire;

pub struct Postfix {
    dir: TempDir,
    master: Child,
}

impl Postfix {
    /// Starts it at this address, as the host of this name and domain; our own house is at that port.
    pub fn start(at: SocketAddr, name: &str, domain: &str, house: u16) -> Postfix {
        let dir = open_dir();
        for part in ["etc", "queue", "data", "mail"] {
            fs::create_dir(dir.path().join(part)).unwrap();
        }
        let (certificate, key) = write_certificate(dir.path(), name);
        let place = dir.path().display();
        let main = format!(
            "compatibility_level = 3.6\n\
             queue_directory = {place}/queue\n\
             data_directory = {place}/data\n\
             command_directory = /usr/sbin\n\
             daemon_directory = /usr/lib/postfix/sbin\n\
             mail_owner = postfix\n\
             setgid_group = postdrop\n\
             inet_interfaces = loopback-only\n\
             inet_protocols = ipv4\n\
             maillog_file = {place}/log\n\
             maillog_file_prefixes = {place}\n\
             myhostname = {name}\n\
             mydestination =\n\
             alias_maps =\n\
             mynetworks = 127.0.0.0/8\n\
             virtual_mailbox_domains = {domain}\n\
             virtual_mailbox_base = {place}/mail\n\
             virtual_mailbox_maps = static:inbox/\n\
             virtual_uid_maps = static:65534\n\
             virtual_gid_maps = static:65534\n\
             transport_maps = inline:{{pobox.example=smtp:[127.0.0.1]:{house}}}\n\
             smtp_tls_security_level = may\n\
             smtpd_tls_security_level = may\n\
             smtpd_tls_cert_file = {certificate}\n\
             smtpd_tls_key_file = {key}\n"
        );
        let etc = dir.path().join("etc");
        fs::write(etc.join("main.cf"), main).unwrap();
        fs::copy("/usr/share/postfix/master.cf.dist", etc.join("master.cf")).expect("Postfix's master.cf");
        let postconf = |arguments: &[&str]| {
            run(Command::new("/usr/sbin/postconf").arg("-c").arg(&etc).args(arguments), "").good();
        };
        // Services as shipped, but smtpd at our address, and no chroot: that needs files beside the queue.
        postconf(&["-MX", "smtp/inet"]);
        postconf(&["-M", &format!("{at}/inet={at} inet n - n - - smtpd")]);
        postconf(&["-F", "*/*/chroot=n"]);
        for (owner, part) in [("postfix", "data"), ("nobody", "mail")] {
            run(Command::new("chown").arg(owner).arg(dir.path().join(part)), "").good();
        }
        let master = postfix(&etc, "start-fg").spawn().unwrap();
        let server = Postfix { dir, master };
        eventually("Postfix answers", PATIENCE, || Wire::try_connect(at).ok()?.try_reply().ok());
        server
    }

    /// What came into its mailbox.
    pub fn messages(&self) -> Vec<String> {
        let inbox = self.dir.path().join("mail/inbox");
        files_in(&inbox).iter().map(|file| fs::read_to_string(file).unwrap()).collect()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

fn postfix(etc: &PathBuf, what: &str) -> Command {
    let mut command = Command::new("/usr/sbin/postfix");
    command.arg("-c").arg(etc).arg(what).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

impl Drop for Postfix {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- Postfix's log ----\n{}", self.log());
        }
        // It ends its own processes, and no others.
        let _ = postfix(&self.dir.path().join("etc"), "abort").status();
        let _ = self.master.kill();
        let _ = self.master.wait();
    }
}
