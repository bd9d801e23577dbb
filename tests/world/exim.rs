//! An Exim of our own, as Debian has it: it hosts a domain, and sends mail for pobox.example to the house.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{PATIENCE, open_dir, write_certificate};
use crate::house::{eventually, files_in, run};
use crate::wire::Wire;

/// The user that Debian's Exim was built for.
const USER: &str = "Debian-exim";

pub struct Exim {
    dir: TempDir,
    daemon: Child,
}

impl Exim {
    /// Starts it at this address, as the host of this name and domain; our own house is at that port.
    pub fn start(at: SocketAddr, name: &str, domain: &str, house: u16) -> Exim {
        let dir = open_dir();
        let program = program();
        let (certificate, key) = write_certificate(dir.path(), name);
        let (place, ip, port, program_path) = (dir.path().display(), at.ip(), at.port(), program.display());
        let configuration = format!(
            "exim_path = {program_path}\n\
             primary_hostname = {name}\n\
             spool_directory = {place}/spool\n\
             log_file_path = {place}/log-%slog\n\
             pid_file_path = {place}/pid\n\
             local_interfaces = {ip}\n\
             daemon_smtp_ports = {port}\n\
             disable_ipv6 = true\n\
             deliver_drop_privilege = true\n\
             keep_environment =\n\
             tls_advertise_hosts = *\n\
             tls_certificate = {certificate}\n\
             tls_privatekey = {key}\n\
             acl_smtp_rcpt = all\n\
             acl_smtp_data = all\n\
             begin acl\n\
             all:\n  accept\n\
             begin routers\n\
             here:\n  driver = accept\n  domains = {domain}\n  transport = maildir\n\
             house:\n  driver = manualroute\n  route_list = pobox.example 127.0.0.1\n  self = send\n\
             \x20 transport = smtp\n\
             begin transports\n\
             maildir:\n  driver = appendfile\n  maildir_format\n  directory = {place}/mail\n\
             smtp:\n  driver = smtp\n  port = {house}\n  allow_localhost\n  hosts_require_tls = *\n\
             \x20 tls_verify_certificates =\n\
             begin retry\n\
             *  *  F,2h,15m\n"
        );
        let file = dir.path().join("exim.conf");
        fs::write(&file, configuration).unwrap();
        run(Command::new("chown").arg("-R").arg(USER).arg(dir.path()), "").good();
        // Only root's own configuration is trusted.
        run(Command::new("chown").arg("root").arg(&file), "").good();
        let output = File::create(dir.path().join("output")).unwrap();
        let mut command = Command::new(&program);
        command.arg("-C").arg(&file).args(["-bdf", "-q1s"]).stdin(Stdio::null());
        let daemon = command.stdout(output.try_clone().unwrap()).stderr(output).spawn().unwrap();
        let server = Exim { dir, daemon };
        eventually("Exim answers", PATIENCE, || Wire::try_connect(at).ok()?.try_reply().ok());
        server
    }

    /// What came into its mailbox.
    pub fn messages(&self) -> Vec<String> {
        let inbox = self.dir.path().join("mail");
        files_in(&inbox).iter().map(|file| fs::read_to_string(file).unwrap()).collect()
    }

    pub fn log(&self) -> String {
        let text = |name: &str| fs::read_to_string(self.dir.path().join(name)).unwrap_or_default();
        ["output", "log-mainlog", "log-paniclog"].map(text).join("\n")
    }
}

/// Debian's: installed, or unpacked by `cargo xtask test`, as it cannot be installed beside Postfix.
fn program() -> PathBuf {
    let unpacked =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/partners/exim4-daemon-light/usr/sbin/exim4");
    let places = [PathBuf::from("/usr/sbin/exim4"), unpacked];
    let found = places.into_iter().find(|place| place.is_file());
    found.expect("exim4; `cargo xtask test` unpacks it").canonicalize().unwrap()
}

impl Drop for Exim {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- Exim's log ----\n{}", self.log());
        }
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}
