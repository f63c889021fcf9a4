//! `ironwake console`: which program it becomes, and what it is told.

mod terminal;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use terminal::Terminal;

/// The command in a folder of its own, so that nothing lies beside it but what a test puts there.
struct Installed {
    folder: tempfile::TempDir,
}

impl Installed {
    fn new() -> Self {
        // On the same filesystem: a link costs nothing, and is where it lies for the program.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        fs::hard_link(env!("CARGO_BIN_EXE_ironwake"), folder.path().join("ironwake")).expect("a link");
        Self { folder }
    }

    /// Puts a console into a folder below: it tells what it was started with, and ends with 7.
    fn console(&self, below: &str) -> PathBuf {
        let folder = self.folder.path().join(below);
        fs::create_dir_all(&folder).expect("a folder");
        let program = folder.join("ironwake-console");
        fs::write(&program, "#!/bin/sh\nprintf '<%s>' \"$@\"\nexit 7\n").expect("written");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("changed");
        folder
    }

    fn run(&self, arguments: &[&str], path: &Path) -> Output {
        let mut command = Command::new(self.folder.path().join("ironwake"));
        command.args(arguments).env("PATH", path);
        for variable in ["IRONWAKE_SOCKET", "IRONWAKE_URL", "IRONWAKE_CA", "IRONWAKE_TOKEN_FILE"] {
            command.env_remove(variable);
        }
        command.output().expect("the command runs")
    }
}

#[track_caller]
fn check(output: &Output, code: i32, stdout: &str, stderr: &str) {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!((output.status.code(), out.as_ref()), (Some(code), stdout), "{err}");
    assert!(err.contains(stderr), "{err}");
}

#[test]
fn the_console_beside_the_command_is_started_with_the_same_daemon() {
    let installed = Installed::new();
    installed.console("");
    let nowhere = Path::new("/nonexistent");
    let run = |arguments: &[&str]| installed.run(arguments, nowhere);
    check(&run(&["console"]), 7, "<--socket></run/ironwake/api.sock>", "");
    check(&run(&["--socket", "/x y;z", "console"]), 7, "<--socket></x y;z>", "");
    let remote = ["console", "--server", "https://a:8443", "--token-file", "t", "--ca", "c"];
    let told = "<--socket></run/ironwake/api.sock><--url><https://a:8443><--ca><c><--token-file><t>";
    check(&run(&remote), 7, told, "");
}

#[test]
fn the_console_in_the_path_is_found_and_none_is_said() {
    let installed = Installed::new();
    let path = installed.folder.path().join("bin");
    let error = format!("neither beside {}", installed.folder.path().join("ironwake").display());
    check(&installed.run(&["console"], &path), 1, "", &error);
    installed.console("bin");
    check(&installed.run(&["console"], &path), 7, "<--socket></run/ironwake/api.sock>", "");
}

/// The console that is built beside the command.
fn real() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_ironwake")).with_file_name("ironwake-console")
}

#[test]
fn a_console_that_cannot_begin_says_so_as_the_command_does() {
    let run = |arguments: &[&str]| {
        let mut command = Command::new(real());
        command.args(arguments).env("RUST_BACKTRACE", "1");
        for variable in
            ["IRONWAKE_SOCKET", "IRONWAKE_URL", "IRONWAKE_CA", "IRONWAKE_TOKEN_FILE", "IRONWAKE_TOKEN"]
        {
            command.env_remove(variable);
        }
        let output = command.output().expect("the console runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = run(&["--url", "https://127.0.0.1:1"]);
    let expected = "error: --url needs a token: name a file with --token-file, or set IRONWAKE_TOKEN: environment \
                    variable not found\n  next: `ironwake token add NAME` on the appliance makes one\n";
    assert_eq!((code, said.as_str()), (Some(1), expected));
    let (code, said) = run(&["--url", "https://127.0.0.1:1", "--token-file", "/nonexistent"]);
    assert_eq!(code, Some(1));
    assert!(said.starts_with("error: read the token /nonexistent: ") && said.lines().count() == 2, "{said}");
}

/// Whatever breaks, the shell behind the console can be used: neither raw, nor on the other screen, nor without a cursor.
#[test]
fn a_console_that_breaks_leaves_a_terminal_that_can_be_used() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (console, kept) = (real(), folder.path().display());
    let line = format!(
        "sh -c 'stty -g > {kept}/before; RUST_BACKTRACE=0 IRONWAKE_CONSOLE_PANICS=1 {} --socket {kept}/none; echo ended with $?; \
         stty -g > {kept}/after; exec cat'",
        console.display()
    );
    let terminal = Terminal::open(folder.path(), (100, 30), &line)?;
    terminal.wait("Machines")?;
    let modes = "#{alternate_on} #{cursor_flag} #{mouse_any_flag}";
    assert_eq!(terminal.told(modes)?, "1 0 1", "the console has the terminal");
    terminal.types("j")?;
    let screen = terminal.wait("ended with 101")?;
    assert!(screen.contains("a key was pressed"), "what broke can be read:\n{screen}");
    assert_eq!(terminal.told(modes)?, "0 1 0");
    terminal.types("it is a line again")?;
    terminal.key("Enter")?;
    // Once as it is typed, once from `cat`, which gets it by lines.
    let echoed = |screen: &str| screen.matches("it is a line again").count() == 2;
    terminal.wait_until("what was typed, twice", echoed)?;
    let [before, after] = ["before", "after"].map(|name| fs::read_to_string(folder.path().join(name)));
    assert_eq!(before?, after?);
    Ok(())
}
