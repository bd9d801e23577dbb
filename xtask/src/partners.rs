//! The programs that the tests drive our server with, from the Debian archive.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::apt::{self, is_program};

/// A test partner.
struct Partner {
    /// The Debian package.
    package: &'static str,
    /// By what it shows that it is there.
    sign: Sign,
}

enum Sign {
    /// A program in `$PATH` or `/usr/sbin`.
    Program(&'static str),
    /// A program that lies elsewhere.
    File(&'static str),
    /// An interpreter that loads a library, by these words.
    Loads(&'static [&'static str]),
    /// A shared library.
    Library(&'static str),
}

use Sign::{File, Library, Loads, Program};

const PARTNERS: &[Partner] = &[
    Partner { package: "curl", sign: Program("curl") },
    Partner { package: "swaks", sign: Program("swaks") },
    // swaks speaks TLS by it.
    Partner { package: "libnet-ssleay-perl", sign: Loads(&["perl", "-MNet::SSLeay", "-e", "1"]) },
    // smtp-source, the load, comes with Postfix.
    Partner { package: "postfix", sign: Program("smtp-source") },
    // The one that logs in by SCRAM.
    Partner { package: "msmtp", sign: Program("msmtp") },
    Partner { package: "mpop", sign: Program("mpop") },
    Partner { package: "fetchmail", sign: Program("fetchmail") },
    Partner { package: "mblaze", sign: Program("mlist") },
    Partner { package: "openssl", sign: Program("openssl") },
    Partner { package: "python3", sign: Program("python3") },
    Partner { package: "python3-venv", sign: Loads(&["python3", "-c", "import venv, ensurepip"]) },
    // Those that call sendmail.
    Partner { package: "php-cli", sign: Program("php") },
    Partner {
        package: "php-mbstring",
        sign: Loads(&["php", "-r", "exit(extension_loaded('mbstring') ? 0 : 1);"]),
    },
    Partner { package: "libmime-lite-perl", sign: Loads(&["perl", "-MMIME::Lite", "-e", "1"]) },
    Partner { package: "libmail-sendmail-perl", sign: Loads(&["perl", "-MMail::Sendmail", "-e", "1"]) },
    // What stands for jcode.pl, which the Perl of today does not run.
    Partner { package: "libjcode-pm-perl", sign: Loads(&["perl", "-MJcode", "-e", "1"]) },
    Partner { package: "ruby", sign: Program("ruby") },
    Partner { package: "ruby-mail", sign: Loads(&["ruby", "-rmail", "-e", "1"]) },
    Partner { package: "bsd-mailx", sign: Program("bsd-mailx") },
    Partner { package: "s-nail", sign: Program("s-nail") },
    Partner { package: "mutt", sign: Program("mutt") },
    Partner { package: "git", sign: File("/usr/bin/git") },
    Partner { package: "git-email", sign: File("/usr/lib/git-core/git-send-email") },
    // The browser, what drives it, and Japanese to see.
    Partner { package: "chromium", sign: Program("chromium") },
    Partner { package: "nodejs", sign: Program("node") },
    Partner { package: "npm", sign: Program("npm") },
    Partner {
        package: "fonts-ipafont-gothic",
        sign: File("/usr/share/fonts/opentype/ipafont-gothic/ipag.ttf"),
    },
];

/// What Exim needs, which is not installed itself.
const LIBRARIES: &[Partner] = &[
    Partner { package: "libdb5.3", sign: Library("libdb-5.3.so") },
    Partner { package: "libgnutls-dane0", sign: Library("libgnutls-dane.so.0") },
    Partner { package: "libidn12", sign: Library("libidn.so.12") },
    Partner { package: "libnsl2", sign: Library("libnsl.so.2") },
    Partner { package: "libpcre2-8-0", sign: Library("libpcre2-8.so.0") },
];

/// Debian has one mail server at a time installed, and that is Postfix: this one is unpacked only.
const EXIM: &str = "exim4-daemon-light";
/// The user that it was built for.
pub const EXIM_USER: &str = "Debian-exim";

/// Installs what is missing, by apt.
///
/// # Errors
/// If something is missing and this user may not install it, or apt fails.
pub fn install() -> anyhow::Result<()> {
    apt::install(|| missing(PARTNERS))?;
    browser_modules()?;
    python_modules()?;
    // Its tests are for root alone, as its parts have a user of their own.
    if rustix::process::geteuid().is_root() { exim().map(drop) } else { Ok(()) }
}

/// What drives the browser, by npm: in the versions that `tests/browser` names.
///
/// # Errors
/// If npm cannot install it.
pub fn browser_modules() -> anyhow::Result<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the workspace")?;
    let (wanted, place) = (workspace.join("tests/browser"), workspace.join("target/partners/browser"));
    let lock =
        std::fs::read(wanted.join("package-lock.json")).context("tests/browser has a package-lock.json")?;
    // npm writes this one when all else is there.
    let is_there = place.join("node_modules/.package-lock.json").is_file()
        && std::fs::read(place.join("package-lock.json")).is_ok_and(|last| last == lock);
    if !is_there {
        std::fs::create_dir_all(&place).with_context(|| format!("cannot make {}", place.display()))?;
        for file in ["package.json", "package-lock.json"] {
            std::fs::copy(wanted.join(file), place.join(file))
                .with_context(|| format!("cannot copy {file}"))?;
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&place);
        if !npm.status().context("cannot run npm")?.success() {
            bail!("npm could not install what drives the browser: tests/browser/package.json names it");
        }
    }
    Ok(place)
}

/// What the test of the API checks it with, by pip in a Python of its own: in the versions that `tests/python` names.
///
/// # Errors
/// If pip cannot install it.
pub fn python_modules() -> anyhow::Result<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the workspace")?;
    let (wanted, place) =
        (workspace.join("tests/python/requirements.txt"), workspace.join("target/partners/python"));
    // Copied when all is there.
    let (last, pip) = (place.join("requirements.txt"), place.join("bin/pip"));
    let text = std::fs::read(&wanted).context("tests/python has a requirements.txt")?;
    if std::fs::read(&last).is_ok_and(|last| last == text) {
        return Ok(place);
    }
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(&place);
    let mut install = Command::new(pip);
    install.args(["install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(&wanted);
    for command in [&mut venv, &mut install] {
        if !command.status().with_context(|| format!("cannot run {command:?}"))?.success() {
            bail!("pip could not install what tests/python/requirements.txt names");
        }
    }
    std::fs::write(&last, text).with_context(|| format!("cannot write {}", last.display()))?;
    Ok(place)
}

/// Exim's program, with all that it needs.
///
/// # Errors
/// If it is missing and cannot be fetched.
pub fn exim() -> anyhow::Result<PathBuf> {
    apt::install(|| missing(LIBRARIES))?;
    let mut program = PathBuf::from("/usr/sbin/exim4");
    if !program.is_file() {
        let workspace =
            Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the workspace")?;
        let place = workspace.join("target/partners").join(EXIM);
        program = place.join("usr/sbin/exim4");
        if !program.is_file() {
            apt::unpack(EXIM, &place)?;
        }
    }
    let quietly = |command: &mut Command| {
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    let mut make = Command::new("useradd");
    make.args(["--system", "--no-create-home", "--home-dir", "/nonexistent", EXIM_USER]);
    if !quietly(Command::new("id").arg(EXIM_USER)) && !quietly(&mut make) {
        bail!("cannot make the system user {EXIM_USER}");
    }
    Ok(program)
}

fn missing(partners: &[Partner]) -> Vec<&'static str> {
    let libraries = known_libraries();
    let there = |sign: &Sign| match sign {
        Program(name) => is_program(name),
        File(path) => Path::new(path).is_file(),
        Loads(words) => runs(words),
        Library(name) => libraries.contains(&format!("\t{name} ")),
    };
    partners.iter().filter(|partner| !there(&partner.sign)).map(|partner| partner.package).collect()
}

fn runs(words: &[&str]) -> bool {
    let [program, arguments @ ..] = words else { return false };
    let quietly = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    quietly.is_ok_and(|status| status.success())
}

/// What the dynamic linker finds, a line each.
fn known_libraries() -> String {
    let listed = Command::new("/sbin/ldconfig").arg("-p").stderr(Stdio::null()).output();
    listed.map(|listed| String::from_utf8_lossy(&listed.stdout).into_owned()).unwrap_or_default()
}
