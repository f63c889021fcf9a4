//! `ironwake console`: which program it becomes, and what it is told.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

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
