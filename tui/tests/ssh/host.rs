//! The server as a process, and people who use OpenSSH's client in terminals of their own.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, ttyname};
use tempfile::TempDir;

use super::daemon::Daemon;

/// How long anything may take on a loaded test host.
const WITHIN: Duration = Duration::from_secs(90);
/// Whose keys these are, as they say.
pub const COMMENT: &str = "anna@laptop";
/// How often is looked where nothing tells.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Text that grows, and who waits for it.
#[derive(Clone, Default)]
struct Heard(Arc<(Mutex<Vec<u8>>, Condvar)>);

impl Heard {
    fn listen(&self, mut from: impl Read + Send + 'static) {
        let heard = self.clone();
        thread::spawn(move || {
            let mut bytes = [0; 16 << 10];
            // A terminal whose other side is gone says so with an error.
            while let Ok(count @ 1..) = from.read(&mut bytes) {
                heard.0.0.lock().expect("no panic").extend_from_slice(&bytes[..count]);
                heard.0.1.notify_all();
            }
        });
    }

    #[track_caller]
    fn wait<T>(&self, what: &str, look: impl Fn(&[u8]) -> Option<T>) -> T {
        let (mut found, held) = (None, self.0.0.lock().expect("no panic"));
        let waited = self.0.1.wait_timeout_while(held, WITHIN, |bytes| {
            found = look(bytes);
            found.is_none()
        });
        let (bytes, _) = waited.expect("no panic");
        found.unwrap_or_else(|| panic!("{what:?} is not in {}", String::from_utf8_lossy(&bytes)))
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.0.lock().expect("no panic").clone()
    }
}

/// A server with a daemon.
pub struct Host {
    child: Child,
    log: Heard,
    address: SocketAddr,
    daemon: Daemon,
    folder: Arc<TempDir>,
}

impl Host {
    /// One that one key opens.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same, with more arguments.
    pub fn start_with(more: &[&str]) -> Self {
        let folder = Arc::new(tempfile::tempdir().expect("a folder"));
        make_key(&folder.path().join("key"));
        let public = folder.path().join("key.pub");
        fs::copy(public, folder.path().join("authorized_keys")).expect("copied");
        Self::start_in(folder, more)
    }

    /// One whose files are there already.
    pub fn start_in(folder: Arc<TempDir>, more: &[&str]) -> Self {
        let place = folder.path();
        let daemon = Daemon::start(place);
        let mut command = Command::new(env!("CARGO_BIN_EXE_ironwake-console"));
        command.args(["--ssh", "--listen", "127.0.0.1:0", "--host-key"]).arg(place.join("host_key"));
        command.arg("--socket").arg(place.join("ssh.sock")).args(more);
        command.env_remove("NO_COLOR").env_remove("RUST_LOG");
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("a server");
        let log = Heard::default();
        log.listen(child.stderr.take().expect("a pipe"));
        let address = log.wait("listens on", |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let line =
                text.split_inclusive('\n').find(|line| line.contains("listens on ") && line.ends_with('\n'));
            line?.trim().rsplit(' ').next()?.parse().ok()
        });
        Self { child, log, address, daemon, folder }
    }

    /// Its files.
    pub fn folder(&self) -> Arc<TempDir> {
        self.folder.clone()
    }

    /// Who may log in.
    pub fn authorized_keys(&self) -> PathBuf {
        self.folder.path().join("authorized_keys")
    }

    /// The key that may log in.
    pub fn key(&self) -> PathBuf {
        self.folder.path().join("key")
    }

    /// A key that may not.
    pub fn another_key(&self) -> PathBuf {
        self.key_named("another_key")
    }

    /// A key in a file of this name, which may not.
    pub fn key_named(&self, name: &str) -> PathBuf {
        let key = self.folder.path().join(name);
        make_key(&key);
        key
    }

    /// Somebody who may log in.
    pub fn person(&self, arguments: &[&str]) -> Person {
        self.person_with(&self.key(), arguments)
    }

    /// Somebody with a key.
    pub fn person_with(&self, key: &Path, arguments: &[&str]) -> Person {
        let identity = format!("IdentityFile={}", key.display());
        let mut options = vec!["-F".to_owned(), "none".to_owned()];
        for option in self.options().into_iter().chain([identity, "IdentitiesOnly=yes".into()]) {
            options.extend(["-o".to_owned(), option]);
        }
        options.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        if !arguments.contains(&"host") {
            options.push("host".into());
        }
        Person::start("ssh", &options, self.folder.path())
    }

    /// Somebody who has a key copied by OpenSSH's script, with the password that they are asked for.
    pub fn copies_key(&self, key: &Path) -> Person {
        let mut arguments = vec!["-i".to_owned(), key.with_extension("pub").display().to_string()];
        for option in self.options().into_iter().chain(["NumberOfPasswordPrompts=1".into()]) {
            arguments.extend(["-o".to_owned(), option]);
        }
        arguments.push("host".into());
        // It makes a folder there.
        fs::create_dir_all(self.folder.path().join(".ssh")).expect("a folder");
        Person::start("ssh-copy-id", &arguments, self.folder.path())
    }

    /// How the client comes to this server.
    fn options(&self) -> [String; 7] {
        let known = self.folder.path().join("known_hosts");
        [
            format!("Port={}", self.address.port()),
            "HostName=127.0.0.1".into(),
            "User=admin".into(),
            "IdentityAgent=none".into(),
            "StrictHostKeyChecking=accept-new".into(),
            format!("UserKnownHostsFile={}", known.display()),
            // One client at a time would write there otherwise.
            "UpdateHostKeys=no".into(),
        ]
    }

    /// Waits for a text in the log; gives the line.
    #[track_caller]
    pub fn logs(&self, text: &str) -> String {
        self.log.wait(text, |bytes| {
            String::from_utf8_lossy(bytes).lines().find(|line| line.contains(text)).map(str::to_owned)
        })
    }

    /// Waits until a text is in the log so many times.
    #[track_caller]
    pub fn logs_times(&self, text: &str, times: usize) {
        self.log.wait(text, |bytes| {
            (String::from_utf8_lossy(bytes).matches(text).count() >= times).then_some(())
        });
    }

    /// Somebody without a key, who is asked for a password once.
    pub fn person_with_password(&self, arguments: &[&str]) -> Person {
        let mut all = vec![
            "-o",
            "PubkeyAuthentication=no",
            "-o",
            "PreferredAuthentications=password",
            "-o",
            "NumberOfPasswordPrompts=1",
        ];
        all.extend(arguments);
        self.person(&all)
    }

    /// Somebody without a key, who is asked for a password as often as OpenSSH's client does.
    pub fn person_tries_passwords(&self, arguments: &[&str]) -> Person {
        let mut all = vec!["-o", "PubkeyAuthentication=no", "-o", "PreferredAuthentications=password"];
        all.extend(arguments);
        self.person(&all)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its daemon.
    pub fn daemon(&mut self) -> &mut Daemon {
        &mut self.daemon
    }

    /// Tells the server to end, and waits for that.
    pub fn terminate(&mut self) {
        kill(pid(&self.child), Signal::SIGTERM).expect("it runs");
        assert!(self.child.wait().expect("it ends").success());
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&self.log.bytes()).into_owned()
    }

    /// The processes that it has started and that run.
    pub fn children(&self) -> Vec<String> {
        let tasks = fs::read_dir(self.of_process("task")).expect("it runs").flatten();
        let children =
            |task: fs::DirEntry| fs::read_to_string(task.path().join("children")).unwrap_or_default();
        tasks
            .map(children)
            .flat_map(|text| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }

    fn of_process(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.child.id()))
    }

    /// Memory that is its own.
    pub fn memory_bytes(&self) -> u64 {
        let file = BufReader::new(File::open(self.of_process("status")).expect("it runs"));
        let line =
            file.lines().map_while(Result::ok).find(|line| line.starts_with("RssAnon:")).expect("a line");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") << 10
    }

    /// Processor time that it used.
    pub fn processor_time(&self) -> Duration {
        let stat = fs::read_to_string(self.of_process("stat")).expect("it runs");
        let ticks: u64 =
            stat.split_whitespace().skip(13).take(2).map(|ticks| ticks.parse::<u64>().expect("ticks")).sum();
        Duration::from_millis(ticks * 10)
    }

    /// Descriptors that are open sockets.
    pub fn sockets(&self) -> usize {
        let links = fs::read_dir(self.of_process("fd")).expect("it runs").flatten();
        let is_socket =
            |path: PathBuf| fs::read_link(path).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"));
        links.filter(|entry| is_socket(entry.path())).count()
    }

    /// Waits until no more sockets are open than that.
    #[track_caller]
    pub fn has_sockets(&self, count: usize) {
        wait_until("no more sockets are open", || self.sockets() <= count);
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks again and again, where nothing tells.
#[track_caller]
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + WITHIN;
    while !is_so() {
        assert!(std::time::Instant::now() < deadline, "{what}: not within {WITHIN:?}");
        thread::park_timeout(LOOK_EVERY);
    }
}

fn make_key(path: &Path) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", COMMENT, "-f"])
        .arg(path)
        .status();
    assert!(made.expect("ssh-keygen is there").success());
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("a number of a process"))
}

/// Somebody in front of a terminal in which the client runs.
pub struct Person {
    child: Mutex<Child>,
    terminal: File,
    path: PathBuf,
    heard: Heard,
}

impl Person {
    fn start(program: &str, arguments: &[String], home: &Path) -> Self {
        let size = Winsize { ws_row: 30, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = openpty(Some(&size), None).expect("a terminal");
        let path = ttyname(&pair.slave).expect("a name");
        let slave = File::from(pair.slave);
        let copy = || Stdio::from(slave.try_clone().expect("a descriptor"));
        // Only a terminal that a process belongs to tells it of another size.
        let mut command = Command::new("setsid");
        command.args(["--ctty", program]).args(arguments).env("TERM", "xterm-256color").env("HOME", home);
        for variable in ["SSH_AUTH_SOCK", "LANG", "LC_ALL", "LC_CTYPE", "COLORTERM", "NO_COLOR", "DISPLAY"] {
            command.env_remove(variable);
        }
        let child = command.stdin(copy()).stdout(copy()).stderr(copy()).spawn().expect("setsid is there");
        let terminal = File::from(pair.master);
        let heard = Heard::default();
        heard.listen(terminal.try_clone().expect("a descriptor"));
        Self { child: Mutex::new(child), terminal, path, heard }
    }

    /// Presses keys.
    pub fn types(&self, text: &str) {
        (&self.terminal).write_all(text.as_bytes()).expect("a terminal");
    }

    /// Makes the terminal another size.
    pub fn resize(&self, columns: u16, rows: u16) {
        let mut command = Command::new("stty");
        command.arg("-F").arg(&self.path);
        command.args(["cols", &columns.to_string(), "rows", &rows.to_string()]);
        assert!(command.status().expect("stty is there").success());
    }

    /// How much has come so far.
    pub fn mark(&self) -> usize {
        self.heard.bytes().len()
    }

    /// Waits until the terminal shows a text.
    #[track_caller]
    pub fn sees(&self, text: &str) {
        self.heard.wait(text, |bytes| shown(bytes).contains(text).then_some(()));
    }

    /// Waits until a text is there so many times.
    #[track_caller]
    pub fn sees_times(&self, text: &str, times: usize) {
        self.heard.wait(text, |bytes| (shown(bytes).matches(text).count() >= times).then_some(()));
    }

    /// Waits for bytes, control sequences among them.
    #[track_caller]
    pub fn sees_bytes(&self, text: &str) {
        self.sees_bytes_after(0, text);
    }

    /// The same, of what has come behind a mark.
    #[track_caller]
    pub fn sees_bytes_after(&self, mark: usize, text: &str) {
        self.heard.wait(text, |bytes| String::from_utf8_lossy(&bytes[mark..]).contains(text).then_some(()));
    }

    /// Everything that came.
    pub fn bytes(&self) -> String {
        String::from_utf8_lossy(&self.heard.bytes()).into_owned()
    }

    /// What the terminal shows.
    pub fn text(&self) -> String {
        shown(&self.heard.bytes())
    }

    /// The client is stopped: it reads nothing.
    pub fn stop(&self) {
        kill(pid(&self.child.lock().expect("no panic")), Signal::SIGSTOP).expect("it runs");
    }

    /// Waits for the client's end.
    pub fn exit_code(&self) -> i32 {
        let status = self.child.lock().expect("no panic").wait().expect("it ends");
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        let child = self.child.get_mut().expect("no panic");
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// What a terminal shows that got these bytes: text, places, and an empty screen are all that the console sends.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut rows: Vec<Vec<char>> = Vec::new();
    let (mut column, mut row) = (0, 0);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' if chars.next_if_eq(&'[').is_some() => {
                let mut sequence = String::new();
                let last = chars.by_ref().find(|c| {
                    matches!(c, '@'..='~') || {
                        sequence.push(*c);
                        false
                    }
                });
                let mut place =
                    sequence.split(';').map(|field| field.parse().unwrap_or(1_usize).saturating_sub(1));
                match last {
                    Some('H') => (row, column) = (place.next().unwrap_or(0), place.next().unwrap_or(0)),
                    Some('J') => rows.clear(),
                    _ => {}
                }
            }
            '\r' => column = 0,
            '\n' => row += 1,
            c => {
                rows.resize(rows.len().max(row + 1), Vec::new());
                let cells = &mut rows[row];
                cells.resize(cells.len().max(column + 1), ' ');
                cells[column] = c;
                column += 1;
            }
        }
    }
    rows.into_iter().map(|cells| cells.into_iter().collect::<String>() + "\n").collect()
}
