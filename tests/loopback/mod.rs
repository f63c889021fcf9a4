//! The real daemon on loopback, serving nothing but HTTP and the API, and the command that asks it.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// How long a daemon may take to start on a loaded test host.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A port that nobody holds.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port()
}

/// A daemon; killed when dropped.
pub struct Daemon {
    child: Child,
    folder: PathBuf,
}

impl Daemon {
    /// Starts one whose files are below `folder`, configured with `more`, and waits until it serves.
    pub fn start(folder: &Path, more: &str) -> Self {
        Self::start_at(folder, free_port(), more, &[])
    }

    /// The same, where machines find it at `port`, with these variables in its environment.
    pub fn start_at(folder: &Path, port: u16, more: &str, environment: &[(&str, &Path)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ironwake"));
        command.envs(environment.iter().copied());
        Self::launch(folder, &Self::file(folder, port, more), command)
    }

    /// One in the network and mount namespaces of a process.
    pub fn start_within(folder: &Path, process: u32) -> Self {
        Self::launch(folder, &Self::file(folder, free_port(), ""), Self::command_within(process))
    }

    fn command_within(process: u32) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--net", "--target", &process.to_string(), "--"]);
        command.arg(env!("CARGO_BIN_EXE_ironwake"));
        command
    }

    fn file(folder: &Path, port: u16, more: &str) -> String {
        format!(
            "state = {:?}\nsocket = {:?}\nprofiles = {:?}\n[http]\nlisten = \"127.0.0.1:{port}\"\n[discovery]\n\
             enabled = false\n[[network]]\ninterface = \"lo\"\ndhcp = \"off\"\ntftp = false\n{more}",
            folder.join("state"),
            folder.join("api.sock"),
            folder.join("profiles"),
        )
    }

    /// One that nobody has set up: it serves no network.
    pub fn start_unconfigured(folder: &Path) -> Self {
        Self::launch(folder, &Self::unconfigured(folder), Command::new(env!("CARGO_BIN_EXE_ironwake")))
    }

    /// The same in the namespaces of a process.
    pub fn start_unconfigured_within(folder: &Path, process: u32) -> Self {
        Self::launch(folder, &Self::unconfigured(folder), Self::command_within(process))
    }

    fn unconfigured(folder: &Path) -> String {
        format!(
            "state = {:?}\nsocket = {:?}\nprofiles = {:?}\n[http]\nlisten = \"127.0.0.1:{}\"\n",
            folder.join("state"),
            folder.join("api.sock"),
            folder.join("profiles"),
            free_port(),
        )
    }

    fn launch(folder: &Path, text: &str, mut command: Command) -> Self {
        let file = folder.join("ironwake.toml");
        fs::write(&file, text).expect("a file");
        let notify = folder.join("notify");
        let _ = fs::remove_file(&notify);
        let ready = UnixDatagram::bind(&notify).expect("a socket");
        ready.set_read_timeout(Some(PATIENCE)).expect("a limit");
        command.args(["serve", "--config"]).arg(&file).stdin(Stdio::null());
        command.env("NOTIFY_SOCKET", &notify).env("IRONWAKE_BOOT", folder).env_remove("JOURNAL_STREAM");
        // No test is to meet the system of the host that it runs on.
        command.env("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={}", folder.join("bus").display()));
        command.env("IRONWAKE_NETWORK", folder.join("network"));
        let daemon = Self { child: command.spawn().expect("it starts"), folder: folder.into() };
        let mut message = [0; 4096];
        loop {
            let length = ready.recv(&mut message).expect("a word of the daemon");
            if message[..length].split(|byte| *byte == b'\n').any(|line| line == b"READY=1") {
                return daemon;
            }
        }
    }

    /// Asks it to end, as systemd does, and waits until it has.
    #[track_caller]
    pub fn terminate(mut self) {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGTERM).expect("it runs");
        let status = self.child.wait().expect("it ends");
        assert!(status.success(), "{status}");
    }

    /// A command that asks it.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ironwake"));
        command.env("IRONWAKE_SOCKET", self.folder.join("api.sock")).args(words).stdin(Stdio::null());
        command
    }

    /// Runs it: exit code, and a part of each stream; standard output is given back.
    #[track_caller]
    pub fn check(&self, words: &[&str], code: i32, stdout: &str, stderr: &str) -> String {
        expect(self.command(words), code, stdout, stderr)
    }

    /// The same with something on its standard input.
    #[track_caller]
    pub fn feed(&self, words: &[&str], input: &[u8], code: i32, stdout: &str, stderr: &str) -> String {
        let mut command = self.command(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        // A command that refuses does not read to the end.
        let _ = child.stdin.take().expect("a pipe").write_all(input);
        judge(&command, &child.wait_with_output().expect("it ends"), code, stdout, stderr)
    }
}

/// Runs a command: exit code, and a part of each stream; standard output is given back.
#[track_caller]
pub fn expect(mut command: Command, code: i32, stdout: &str, stderr: &str) -> String {
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    judge(&command, &output, code, stdout, stderr)
}

#[track_caller]
fn judge(command: &Command, output: &Output, code: i32, stdout: &str, stderr: &str) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let context = format!("{command:?}\n--- stdout\n{out}\n--- stderr\n{err}");
    assert_eq!(output.status.code(), Some(code), "{context}");
    assert!(out.contains(stdout) && err.contains(stderr), "{context}");
    out.into_owned()
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
