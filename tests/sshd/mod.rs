//! OpenSSH's server as the host that a rebuild has installed: temporary host keys, a home of its own.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// How long it may take to listen on a loaded test host.
const LISTENS_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Beside the operation's key.
pub const OTHER_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEOtherKeyOfSomebodyElseWhoMayLogInHere00000 somebody";

/// A running server on loopback. Root's home is a folder of the test, which nobody else sees.
pub struct Sshd {
    child: Child,
    folder: PathBuf,
    /// Where it listens.
    pub port: u16,
}

/// A port that nobody has.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port()
}

impl Sshd {
    /// Starts one whose files are in `folder`; the same folder gives the same host.
    pub fn start(folder: &Path, port: u16) -> Self {
        let home = folder.join("home");
        fs::create_dir_all(home.join(".ssh")).expect("a home");
        let host_key = folder.join("host_key");
        if !host_key.exists() {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(&host_key)
                .status();
            assert!(made.expect("ssh-keygen is there").success());
        }
        let config = folder.join("sshd_config");
        let text = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nPidFile none\nUsePAM no\nStrictModes no\n\
             PermitRootLogin prohibit-password\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             AuthorizedKeysFile .ssh/authorized_keys\n",
            host_key.display()
        );
        fs::write(&config, text).expect("a configuration");
        let user =
            nix::unistd::User::from_uid(nix::unistd::getuid()).expect("a list of users").expect("this user");
        // Home and the server's own folder are seen by the server alone.
        let script = "mount --bind \"$1\" \"$2\" && mount -t tmpfs none /run && mkdir -p /run/sshd && \
                      exec /usr/sbin/sshd -D -e -f \"$3\"";
        let log = fs::File::create(folder.join("sshd.log")).expect("a log");
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sshd"]);
        command.arg(&home).arg(&user.dir).arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.process_group(0).spawn().expect("unshare is there");
        let server = Self { child, folder: folder.to_owned(), port };
        server.wait();
        server
    }

    fn wait(&self) {
        let deadline = Instant::now() + LISTENS_WITHIN;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < deadline, "sshd does not listen: {}", self.log());
            std::thread::park_timeout(LOOK_EVERY);
        }
    }

    /// What it said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("sshd.log")).unwrap_or_default()
    }

    /// Its public host key, as it reports it.
    pub fn host_key(&self) -> String {
        fs::read_to_string(self.folder.join("host_key.pub")).expect("a host key").trim().to_owned()
    }

    /// What an installation leaves in root's home: who may log in.
    pub fn authorize(&self, line: &str) {
        let file = self.home().join(".ssh/authorized_keys");
        fs::write(&file, format!("{OTHER_KEY}\n{line}\n")).expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("a mode");
    }

    /// Who may log in.
    pub fn authorized(&self) -> String {
        fs::read_to_string(self.home().join(".ssh/authorized_keys")).expect("a file")
    }

    /// Root's home.
    pub fn home(&self) -> PathBuf {
        self.folder.join("home")
    }

    /// Every file in root's home, by its name below it.
    pub fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        list(&self.home(), &mut found);
        let home = format!("{}/", self.home().display());
        let mut names: Vec<String> =
            found.iter().map(|path| path.display().to_string().replacen(&home, "", 1)).collect();
        names.sort();
        names
    }
}

fn list(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        match entry.path().is_dir() {
            true => list(&entry.path(), found),
            false => found.push(entry.path()),
        }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        // Sessions too: they are in groups of their own, and end with their connections.
        let _ = killpg(Pid::from_raw(self.child.id() as i32), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}
