//! `ironwake backup`: everything that makes an appliance what it is, in one encrypted file.

use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use ironwake_api::client::{Client, Place};
use ironwake_api::{BackupNew, Secret};
use tokio::fs::{self, File, OpenOptions};
use tokio::io::AsyncWriteExt as _;

use super::meter::Meter;
use super::{Context, Failure, human, password};

/// The key by which clients know the SSH server of this host. It is that server's own, so it is root or that server who
/// runs a command that can read or write it.
pub(super) const SSH_HOST_KEY: &str = "/var/lib/ironwake-ssh/host_key";
/// What is read of a passphrase; the daemon takes fewer.
const PASSPHRASE_BYTES_MAX: u64 = 4096;

/// Arguments of `backup`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The file is a tar that `age -d FILE` opens with the passphrase, without Ironwake too. It has the \
    database, every key and the settings: whoever opens it can be this appliance. Without its passphrase it is of no use \
    to anybody. `ironwake restore` goes on from it."
)]
pub struct BackupArgs {
    /// The file to write, which must not be there yet; - is standard output
    file: PathBuf,
    /// With imported images, which can be many gigabytes
    #[arg(long)]
    artifacts: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Where a passphrase comes from; it is asked for on the terminal where nothing is said.
#[derive(Debug, clap::Args)]
pub struct PassphraseArgs {
    /// A file whose first line is the passphrase
    #[arg(long, value_name = "FILE", conflicts_with = "stdin")]
    passphrase_file: Option<PathBuf>,
    /// The first line of standard input is the passphrase
    #[arg(long)]
    stdin: bool,
}

impl BackupArgs {
    /// Whether it names files of the host that it runs on.
    pub fn names_files(&self) -> bool {
        self.file.as_os_str() != "-" || self.passphrase.names_files()
    }
}

impl PassphraseArgs {
    /// Whether it names a file of the host that it runs on.
    pub fn names_files(&self) -> bool {
        self.passphrase_file.is_some()
    }

    /// The passphrase; of standard input no byte behind its first line is taken.
    pub(super) async fn get(&self, what: &'static str, twice: bool) -> anyhow::Result<Secret> {
        if let Some(path) = &self.passphrase_file {
            let file = std::fs::File::open(path).with_context(|| format!("read {}", path.display()))?;
            return line(file).with_context(|| format!("read the passphrase of {}", path.display()));
        }
        if self.stdin {
            let stdin = io::stdin().as_fd().try_clone_to_owned().context("read standard input")?;
            return line(std::fs::File::from(stdin)).context("read the passphrase on standard input");
        }
        if !io::stdin().is_terminal() {
            bail!(
                "there is no terminal to ask for the passphrase on: give it with --passphrase-file or --stdin"
            );
        }
        password::asked(what, twice).await
    }
}

/// The first line, byte by byte: what follows is somebody else's to read.
fn line(mut reader: impl Read) -> anyhow::Result<Secret> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while reader.read(&mut byte)? == 1 && byte != *b"\n" {
        bytes.push(byte[0]);
        if bytes.len() as u64 > PASSPHRASE_BYTES_MAX {
            bail!("the line has more than {PASSPHRASE_BYTES_MAX} bytes: it should be a passphrase");
        }
    }
    let text = String::from_utf8(bytes).ok().context("the line is not UTF-8")?;
    Ok(Secret(text.trim_end_matches('\r').to_owned()))
}

pub async fn run(args: BackupArgs, context: &mut Context) -> Result<(), Failure> {
    let to_stdout = args.file.as_os_str() == "-";
    if to_stdout && io::stdout().is_terminal() {
        return Err(Failure::Usage(
            "a backup is not for a terminal: name a file, or send it somewhere".into(),
        ));
    }
    if !to_stdout && args.file.exists() {
        return Err(anyhow::anyhow!("{} is there already: name another file", args.file.display()).into());
    }
    let passphrase = args.passphrase.get("Passphrase of the backup: ", true).await?;
    let ssh_host_key = ssh_host_key(&context.client);
    let new = BackupNew { passphrase, artifacts: args.artifacts, ssh_host_key };
    let meter = Meter::stderr(None);
    let shown = meter.clone();
    let progress = move |come: u64, size: Option<u64>| match size {
        Some(size) => shown.write(&format!(
            "{} of {}, {} %",
            human::size(come),
            human::size(size),
            (u128::from(come) * 100 / u128::from(size.max(1))).min(100)
        )),
        None => shown.show(come),
    };
    if to_stdout {
        let stdout = io::stdout().as_fd().try_clone_to_owned().context("open standard output")?;
        let mut stdout = File::from_std(stdout.into());
        let made = context.client.back_up(&new, &mut stdout, progress).await;
        meter.clear();
        made?;
        return Ok(());
    }
    let made = to_file(&args.file, &new, context, progress).await;
    meter.clear();
    let bytes = made?;
    if context.json {
        return Ok(context.output.json(&serde_json::json!({"file": args.file, "bytes": bytes}))?);
    }
    Ok(context.output.line(format!("wrote {}, {}", args.file.display(), human::size(bytes)))?)
}

/// Writes the whole file or none.
async fn to_file(
    path: &Path,
    new: &BackupNew,
    context: &Context,
    progress: impl FnMut(u64, Option<u64>),
) -> Result<u64, Failure> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let write = || format!("write {}", partial.display());
    let mut file = options.open(&partial).await.with_context(write)?;
    let written = async {
        let bytes = context.client.back_up(new, &mut file, progress).await?;
        save(&mut file, &partial, path).await.with_context(write)?;
        Ok::<u64, Failure>(bytes)
    };
    let written: Result<u64, Failure> = written.await;
    if written.is_err() {
        let _ = fs::remove_file(&partial).await;
    }
    written
}

async fn save(file: &mut File, partial: &Path, path: &Path) -> io::Result<()> {
    file.flush().await?;
    file.sync_all().await?;
    fs::rename(partial, path).await
}

/// The key of this host's SSH server, where it may be read.
fn ssh_host_key(client: &Client) -> Option<Secret> {
    if !matches!(client.place(), Place::Socket(_)) {
        return None;
    }
    match std::fs::read_to_string(SSH_HOST_KEY) {
        Ok(key) => Some(Secret(key)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(_) => {
            eprintln!(
                "the key of the SSH server is not in it: only root, or `ssh HOST backup -`, can read that"
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_one_line_and_takes_nothing_else() {
        let mut reader: &[u8] = b"correct horse\r\nage-encryption.org/v1\n";
        assert_eq!(line(&mut reader).expect("a line").0, "correct horse");
        assert_eq!(reader, b"age-encryption.org/v1\n");
        assert_eq!(line(&b"no end"[..]).expect("a line").0, "no end");
        assert!(line(&vec![b'x'; 5000][..]).is_err());
        assert!(line(&b"\xff\n"[..]).is_err());
    }
}
