//! systemd-sysupdate: it empties the other slot, writes the new version there and to the ESP, and names it last.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use super::Places;
use crate::appliance::Version;

/// Lines of what it said that are told where it fails.
const LINES_TOLD: usize = 6;
/// Longest line of it that is looked at.
const LINE_CHARS_MAX: usize = 400;

/// Installs a version from where its transfer files say that it lies. `percent` is told how far it is with the root filesystem.
pub(super) fn run(places: &Places, version: &Version, mut percent: impl FnMut(u8)) -> Result<(), String> {
    let program = places.sysupdate.display();
    let mut command = Command::new(&places.sysupdate);
    if places.root != Path::new("/") {
        command.arg("--root").arg(&places.root);
    }
    command.args(["update", version.as_str()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).env("LC_ALL", "C.UTF-8");
    let mut child = command
        .spawn()
        .map_err(|error| format!("start {program}: {error}; Debian's package systemd-container has it"))?;
    let mut told: Vec<String> = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        for line in BufReader::new(stderr).split(b'\n') {
            let Ok(line) = line else { break };
            let line: String = String::from_utf8_lossy(&line)
                .chars()
                .filter(|c| !c.is_control())
                .take(LINE_CHARS_MAX)
                .collect();
            if let Some(done) = imported(&line) {
                percent(done);
                continue;
            }
            tracing::info!("systemd-sysupdate: {line}");
            told.push(line);
            if told.len() > LINES_TOLD {
                told.remove(0);
            }
        }
    }
    let status = child.wait().map_err(|error| format!("wait for {program}: {error}"))?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("{program} ended with {status}: {}", told.join("; "))),
    }
}

/// How much of a file it says to have written.
fn imported(line: &str) -> Option<u8> {
    line.strip_prefix("Imported ")?.strip_suffix("%.")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_it_says_is_told_where_it_fails() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut places = Places::below(folder.path());
        places.sysupdate = folder.path().join("sysupdate");
        let script = "#!/bin/sh\nprintf 'Imported 40%%.\\nNo room \\033[1mat all\\n' >&2\n[ \"$4\" = 2 ]\n";
        fs::write(&places.sysupdate, script).expect("written");
        fs::set_permissions(&places.sysupdate, fs::Permissions::from_mode(0o755)).expect("executable");
        let mut seen = Vec::new();
        run(&places, &"2".parse().expect("a version"), |percent| seen.push(percent)).expect("it worked");
        assert_eq!(seen, [40]);
        let error = run(&places, &"1".parse().expect("a version"), |_| {}).expect_err("it failed");
        assert!(error.ends_with("exit status: 1: No room [1mat all"), "{error}");
        places.sysupdate = "/nonexistent".into();
        let error = run(&places, &"1".parse().expect("a version"), |_| {}).expect_err("none there");
        assert!(error.contains("systemd-container has it"), "{error}");
    }
}
