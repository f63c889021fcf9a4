//! `ironwake key`: whose public keys may log in over SSH.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use ironwake_api::{SshKey, SshKeyListed, SshKeyPlace, SshKeyStick};

use super::output::{Output, Style, clean};
use super::table::Table;
use super::{Context, Failure, human};

/// No list of people's keys is longer; the daemon takes twice as much in one request.
const FILE_BYTES_MAX: u64 = 512 << 10;
/// Standard input, as an argument.
const STDIN: &str = "-";

/// Commands below `key`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the keys that may log in, and where each stands
    List,
    /// Add keys, one on each line as in authorized_keys: Ed25519 or ECDSA
    Add {
        /// A file of keys, such as ~/.ssh/id_ed25519.pub; - is standard input
        #[arg(default_value = STDIN)]
        file: PathBuf,
    },
    /// Take a key away, and end its sessions
    Delete {
        /// As `list` shows it, `SHA256:...`
        fingerprint: String,
    },
    /// Show keys on USB sticks that are plugged in: authorized_keys, *.pub, ironwake/*.pub
    Found,
    /// Make a password for `ssh-copy-id` and print it: it lets keys be added over SSH, once, within ten minutes
    OneTimePassword,
}

impl Command {
    /// Whether it reads a file that is named.
    pub fn reads_files(&self) -> bool {
        matches!(self, Self::Add { file } if file.as_os_str() != STDIN)
    }
}

pub async fn run(command: Command, context: &mut Context) -> Result<(), Failure> {
    match command {
        Command::List => list(context).await,
        Command::Add { file } => add(&file, context).await,
        Command::Delete { fingerprint } => Ok(context.client.delete_ssh_key(&fingerprint).await?),
        Command::Found => found(context).await,
        Command::OneTimePassword => one_time_password(context).await,
    }
}

async fn list(context: &mut Context) -> Result<(), Failure> {
    let keys = context.client.ssh_keys().await?;
    if context.json {
        return Ok(context.output.json(&keys)?);
    }
    let now = human::now();
    let mut table = Table::new(&["FINGERPRINT", "KIND", "STANDS", "COMMENT"]);
    for SshKeyListed { key, place } in keys {
        let stands = match place {
            SshKeyPlace::Added { at, by } => {
                format!("added {} by {}", human::ago(at, now), human::person(&by))
            }
            SshKeyPlace::File { path, line } => format!("{path}:{line}"),
        };
        let texts = [key.fingerprint, key.kind, clean(&stands), clean(&key.comment)];
        table.row(texts.map(|text| (text, Style::Plain)));
    }
    Ok(table.write(&mut context.output, "nobody may log in with a key: `ironwake key add FILE` adds one")?)
}

async fn add(file: &Path, context: &mut Context) -> Result<(), Failure> {
    let keys = read(file)?;
    let answer = context.client.add_ssh_keys(&keys).await?;
    if context.json {
        return Ok(context.output.json(&answer)?);
    }
    for (what, keys) in [("added", answer.added), ("is listed already", answer.present)] {
        for key in keys {
            context.output.line(format!("{} {what}", told(&key)))?;
        }
    }
    Ok(())
}

/// `SHA256:... (anna@laptop)`
fn told(key: &SshKey) -> String {
    match key.comment.as_str() {
        "" => key.fingerprint.clone(),
        comment => format!("{} ({})", key.fingerprint, clean(comment)),
    }
}

fn read(file: &Path) -> anyhow::Result<String> {
    let (what, bytes) = if file.as_os_str() == STDIN {
        let stdin = std::io::stdin();
        if stdin.is_terminal() {
            eprintln!("paste the public keys, a line each, and end with Ctrl-D:");
        }
        ("standard input".to_owned(), take(stdin))
    } else {
        let bytes = std::fs::File::open(file).and_then(take);
        (file.display().to_string(), bytes)
    };
    let bytes = bytes.with_context(|| format!("read {what}"))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        bail!("{what} has more than {FILE_BYTES_MAX} bytes: it should hold public keys");
    }
    String::from_utf8(bytes).ok().with_context(|| format!("{what} is not UTF-8: it should hold public keys"))
}

fn take(from: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

async fn found(context: &mut Context) -> Result<(), Failure> {
    let sticks = context.client.ssh_keys_found().await?;
    if context.json {
        return Ok(context.output.json(&sticks)?);
    }
    if sticks.is_empty() {
        context.output.line("no USB stick is plugged in")?;
    }
    for stick in sticks {
        tell(&stick, &mut context.output)?;
    }
    Ok(())
}

fn tell(stick: &SshKeyStick, output: &mut Output) -> std::io::Result<()> {
    let problem = stick.problem.as_deref().map(|why| format!(": {}", clean(why))).unwrap_or_default();
    output.line(format!("{}{problem}", output.styled(&clean(&stick.label), Style::Strong)))?;
    if stick.files.is_empty() {
        output.line("  no keys on it: they are looked for in authorized_keys, *.pub and ironwake/*.pub")?;
    }
    for file in &stick.files {
        output.line(format!("  {}", clean(&file.path)))?;
        for found in &file.keys {
            let listed = if found.listed { "listed already" } else { "not listed" };
            output.line(format!("    {} {listed}", told(&found.key)))?;
        }
        for problem in &file.problems {
            output.line(format!("    {}: {}", clean(&problem.field), clean(&problem.message)))?;
        }
    }
    Ok(())
}

async fn one_time_password(context: &mut Context) -> Result<(), Failure> {
    let made = context.client.make_one_time_password().await?;
    if context.json {
        return Ok(context.output.json(&made)?);
    }
    eprintln!(
        "good until {} UTC, for `ssh-copy-id -p {} USER@APPLIANCE`: any user's name; it is not shown again",
        human::time(made.expires_at),
        made.ssh_port
    );
    Ok(context.output.line(&made.password.0)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_told_by_fingerprint_and_comment() {
        let key = |comment: &str| SshKey {
            fingerprint: "SHA256:abc".into(),
            kind: "ssh-ed25519".into(),
            comment: comment.into(),
        };
        assert_eq!(told(&key("")), "SHA256:abc");
        assert_eq!(told(&key("anna\u{1b}@laptop")), "SHA256:abc (anna\u{fffd}@laptop)");
    }

    #[test]
    fn what_is_no_text_is_told() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), b"\xff\xfe").expect("written");
        let error = read(file.path()).expect_err("no text").to_string();
        assert!(error.ends_with("is not UTF-8: it should hold public keys"), "{error}");
        std::fs::write(file.path(), vec![b'x'; FILE_BYTES_MAX as usize + 1]).expect("written");
        let error = read(file.path()).expect_err("too large").to_string();
        assert!(error.contains("more than 524288 bytes"), "{error}");
    }
}
