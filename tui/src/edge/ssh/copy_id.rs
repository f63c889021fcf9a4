//! What OpenSSH's `ssh-copy-id` asks for: to have the keys that it sends put into `~/.ssh/authorized_keys` by a shell. There is
//! no shell and no such file here, so the request is known by its text and is done as `key add -` of the command line is.
//!
//! `ssh-copy-id` connects several times. First without logging in, for the server's version; then once with each key, to have
//! `exit` run, which tells it that the key is there already; at last with a password, with the text that is known here. Only
//! that text counts, byte for byte but for white space, and of what is sent on its input the command takes public keys alone.

/// What is run in place of it.
const ADD: &str = "key add -";

/// How the text of an installation begins: a POSIX shell, whatever the user's is.
const BEGIN: &str = "exec sh -c '";
const END: &str = "'";

/// Texts between, words with one space between them. A target given by `-t` is another text, and refused: there is no such file.
const INSTALLATIONS: &[&str] = &[
    // OpenSSH 8.4, of Debian 11.
    r#"cd; umask 077; mkdir -p .ssh && { [ -z `tail -1c .ssh/authorized_keys 2>/dev/null` ] || echo >> .ssh/authorized_keys; } && cat >> .ssh/authorized_keys || exit 1; if type restorecon >/dev/null 2>&1; then restorecon -F .ssh .ssh/authorized_keys; fi"#,
    // OpenSSH 9.2, of Debian 12.
    r#"cd; umask 077; mkdir -p ".ssh" && { [ -z `tail -1c .ssh/authorized_keys 2>/dev/null` ] || echo >> ".ssh/authorized_keys" || exit 1; } && cat >> ".ssh/authorized_keys" || exit 1; if type restorecon >/dev/null 2>&1; then restorecon -F ".ssh" ".ssh/authorized_keys"; fi"#,
    // OpenSSH 10.0, of Debian 13.
    r#"cd; umask 077; AUTH_KEY_FILE=".ssh/authorized_keys"; [ -f /etc/openwrt_release ] && [ "$LOGNAME" = "root" ] && AUTH_KEY_FILE=/etc/dropbear/authorized_keys; AUTH_KEY_DIR=`dirname "${AUTH_KEY_FILE}"`; mkdir -p "${AUTH_KEY_DIR}" && { [ -z "`tail -1c "${AUTH_KEY_FILE}" 2>/dev/null`" ] || echo >> "${AUTH_KEY_FILE}" || exit 1; } && cat >> "${AUTH_KEY_FILE}" || exit 1; if type restorecon >/dev/null 2>&1; then restorecon -F "${AUTH_KEY_DIR}" "${AUTH_KEY_FILE}"; fi"#,
    // OpenSSH 10.6, of Debian's unstable.
    r#"cd; umask 077; AUTH_KEY_FILE=".ssh/authorized_keys"; [ -f /etc/openwrt_release ] && { [ "$LOGNAME" = "root" ] || [ "$(id -u)" = "0" ]; } && AUTH_KEY_FILE=/etc/dropbear/authorized_keys; [ "`uname -s`" = "Haiku" ] && AUTH_KEY_FILE=config/settings/ssh/authorized_keys; AUTH_KEY_DIR=`dirname "${AUTH_KEY_FILE}"`; mkdir -p "${AUTH_KEY_DIR}" && { [ -z "`tail -1c "${AUTH_KEY_FILE}" 2>/dev/null`" ] || echo >> "${AUTH_KEY_FILE}" || exit 1; } && cat >> "${AUTH_KEY_FILE}" || exit 1; if type restorecon >/dev/null 2>&1; then restorecon -F "${AUTH_KEY_DIR}" "${AUTH_KEY_FILE}"; fi"#,
];

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// To see whether it can log in.
    Nothing,
    /// A command of the command line.
    Command(String),
}

/// Reads the line of a client.
pub(super) fn read(line: String) -> Wanted {
    if line == "exit" {
        return Wanted::Nothing;
    }
    let script = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END));
    let words = script.map(|script| script.split_ascii_whitespace().collect::<Vec<_>>().join(" "));
    match words {
        Some(words) if INSTALLATIONS.contains(&words.as_str()) => Wanted::Command(ADD.into()),
        _ => Wanted::Command(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(line: &str) -> bool {
        read(line.into()) == Wanted::Command(ADD.into())
    }

    #[test]
    fn installations_are_known_and_nothing_like_them() {
        for script in INSTALLATIONS {
            // The script's lines are joined by spaces, one at each end.
            assert!(added(&format!("exec sh -c ' {script} '")), "{script}");
            assert!(added(&format!("exec sh -c '{script}'")), "{script}");
            for other in [
                script.to_string(),
                format!("exec sh -c '{script}; id'"),
                format!("exec sh -c 'id; {script}'"),
                format!("exec sh -c '{script}'; id"),
                format!("exec sh -c '{script}'\nid"),
                format!("exec bash -c '{script}'"),
                format!("exec sh -c '{}'", script.replace(".ssh/authorized_keys", "/etc/passwd")),
                format!("exec sh -c '{}'", script.replace("077", "022")),
                format!("exec sh -c '{}'", script.replace("cat >>", "cat >")),
                format!("exec sh -c '{}'", script.replace("exit 1", "$(id)")),
            ] {
                assert_eq!(read(other.clone()), Wanted::Command(other));
            }
        }
        assert!(!added("exec sh -c ''") && !added("exec sh -c '") && !added(""));
    }

    #[test]
    fn a_probe_has_nothing_done() {
        assert_eq!(read("exit".into()), Wanted::Nothing);
        for line in ["exit 0", " exit", "exit\n", "exit; id"] {
            assert_eq!(read(line.into()), Wanted::Command(line.into()));
        }
    }
}
