//! `ironwake restore`: an appliance goes on from a backup.

use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use ironwake_api::client::{Client, Place};
use ironwake_api::{Actor, PASSPHRASE_BYTES_MAX, RestoreQuery, Restored};
use tokio::fs::File;

use super::backup::{PassphraseArgs, SSH_HOST_KEY};
use super::meter::Meter;
use super::output::clean;
use super::{Context, Failure, human, input};
use crate::backup::{DATABASE, Note, Staged};
use crate::config::{self, Layers};
use crate::store::{self, Locked};

/// Arguments of `restore`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Everything is checked before anything is changed. Then the daemon starts again: same machines, same \
    leases, same keys and tokens, same authority, and the administrator's password of the backup. What was armed in the \
    backup is cancelled, for its machine may have been written since. The appliance keeps its own name and addresses unless \
    --address says otherwise."
)]
pub struct RestoreArgs {
    /// The backup; - is standard input
    file: PathBuf,
    /// In place of the machines that this appliance knows already; asks once more
    #[arg(long)]
    replace: bool,
    /// With the name and the addresses of the appliance that was backed up. That one must be off
    #[arg(long)]
    address: bool,
    /// With --replace, do not ask
    #[arg(long, requires = "replace")]
    yes: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// Without a daemon, into this state directory; the next daemon goes on from it
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// With --state: the operator's file of that daemon
    #[arg(long, value_name = "FILE", requires = "state", default_value = config::FILE)]
    config: PathBuf,
}

impl RestoreArgs {
    /// Whether it names files of the host that it runs on.
    pub fn names_files(&self) -> bool {
        self.file.as_os_str() != "-" || self.state.is_some() || self.passphrase.names_files()
    }

    /// Whether a daemon does it.
    pub fn asks_the_daemon(&self) -> bool {
        self.state.is_none()
    }

    fn query(&self) -> RestoreQuery {
        RestoreQuery { replace: self.replace, address: self.address }
    }
}

pub async fn run(args: RestoreArgs, context: &mut Context) -> Result<(), Failure> {
    let (file, size) = input::open(&args.file, "a backup")?;
    let passphrase = args.passphrase.get("Passphrase of the backup: ", false).await?;
    if passphrase.0.len() > PASSPHRASE_BYTES_MAX {
        return Err(anyhow::anyhow!("a passphrase has {PASSPHRASE_BYTES_MAX} bytes at most").into());
    }
    if args.replace && !args.yes {
        let word = match &args.state {
            None => context
                .client
                .system()
                .await
                .map(|system| system.hostname)
                .unwrap_or_else(|_| "replace".into()),
            Some(_) => "replace".into(),
        };
        confirm(&word)?;
    }
    let meter = Meter::stderr(size);
    let restored = match &args.state {
        Some(state) => {
            let shown = meter.clone();
            let body = Metered { file, done: 0, shown: move |done| shown.show(done) };
            let (state, config, query) = (state.clone(), args.config.clone(), args.query());
            let offline = move || offline(body, &passphrase.0, &state, config, &query);
            tokio::task::spawn_blocking(offline).await.context("restore")?.map_err(Failure::from)
        }
        None => {
            let shown = meter.clone();
            let progress = move |sent| shown.show(sent);
            let query = args.query();
            let body = File::from_std(file);
            context.client.restore(body, size, &passphrase, &query, progress).await.map_err(Failure::from)
        }
    };
    meter.clear();
    tell(restored?, &args, context)
}

/// Has a word typed; whatever else is no.
fn confirm(word: &str) -> anyhow::Result<()> {
    if !io::stdin().is_terminal() {
        bail!("--replace is confirmed on a terminal, or with --yes: nothing was changed");
    }
    let mut screen = io::stderr();
    write!(
        screen,
        "Every machine, lease and setting of this appliance goes, and those of the backup come.\nType {} to confirm: ",
        clean(word)
    )?;
    screen.flush()?;
    let mut line = String::new();
    io::stdin().read_line(&mut line).context("read the terminal")?;
    anyhow::ensure!(line.trim() == word, "not confirmed: nothing was changed");
    Ok(())
}

/// What is read of a file, told as it is.
struct Metered<F> {
    file: std::fs::File,
    done: u64,
    shown: F,
}

impl<F: FnMut(u64)> io::Read for Metered<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.done += count as u64;
        (self.shown)(self.done);
        Ok(count)
    }
}

/// Unpacks into the state directory of a daemon that does not run, which goes on from it when it starts.
fn offline(
    body: impl io::Read,
    passphrase: &str,
    state: &Path,
    config: PathBuf,
    query: &RestoreQuery,
) -> anyhow::Result<Restored> {
    anyhow::ensure!(
        state.is_dir(),
        "there is no state directory {}: make it, and give it to the daemon's user (`install -d -m 750 -o ironwake -g ironwake`)",
        state.display()
    );
    let database = state.join(DATABASE);
    let _locked = Locked::take(&database)?;
    if database.exists() {
        let machines = store::inspect(&database)?.machines;
        anyhow::ensure!(
            machines == 0 || query.replace,
            "{} knows {machines} machines already, which would be gone: with --replace they are",
            database.display()
        );
    }
    let layers = Layers::at(config, state);
    let settle = |lower: &str, upper: &str| layers.restored(lower, upper).map_err(|error| error.to_string());
    let staged = Staged::unpack(body, passphrase, state, None, &settle)?;
    let restored = staged.shown();
    let note = Note::of(&staged.manifest, Actor::Operator("root".into()), query.address);
    staged.commit(note)?;
    Ok(restored)
}

fn tell(mut restored: Restored, args: &RestoreArgs, context: &mut Context) -> Result<(), Failure> {
    let key = restored.ssh_host_key.take();
    let taken = key.map(|key| match put_ssh_host_key(&context.client, args, &key.0) {
        Ok(()) => "the SSH server has its key of before once it is started again: `ironwake system restart ironwake-ssh`"
            .to_owned(),
        Err(error) => format!(
            "the SSH server keeps its own key, and clients will be told so ({error:#}): restore as root, or by `ssh HOST \
             restore -`, to have it too"
        ),
    });
    if context.json {
        return Ok(context.output.json(&restored)?);
    }
    let output = &mut context.output;
    output.line(format!(
        "restored: {} machines of {}, as of {} UTC (Ironwake {}), {} images",
        restored.machines,
        clean(&restored.hostname),
        human::time(restored.made_at),
        clean(&restored.version),
        restored.images,
    ))?;
    if !restored.images_missing.is_empty() {
        let names = clean(&restored.images_missing.join(", "));
        output.line(format!("these images are not in it and are to be imported again: {names}"))?;
    }
    for path in &restored.by_hand {
        let name = path.trim_start_matches('/');
        output.line(format!(
            "{} is not as it was: `age -d FILE | tar x host/{}`",
            clean(path),
            clean(name)
        ))?;
    }
    if let Some(line) = taken {
        output.line(line)?;
    }
    Ok(output.line(match args.asks_the_daemon() {
        true => "the daemon starts again with it; the administrator's password is that of the backup",
        false => "the daemon goes on from it when it is started",
    })?)
}

/// Writes the key of this host's SSH server, if whoever runs this may.
fn put_ssh_host_key(client: &Client, args: &RestoreArgs, key: &str) -> anyhow::Result<()> {
    anyhow::ensure!(
        !args.asks_the_daemon() || matches!(client.place(), Place::Socket(_)),
        "it is on another host"
    );
    let path = Path::new(SSH_HOST_KEY);
    let folder = path.parent().unwrap_or(Path::new("/"));
    let owner = std::fs::metadata(folder).with_context(|| format!("look at {}", folder.display()))?;
    let partial = path.with_extension("partial");
    let write = || -> io::Result<()> {
        let _ = std::fs::remove_file(&partial);
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
        file.write_all(key.as_bytes())?;
        file.sync_all()?;
        std::os::unix::fs::chown(&partial, Some(owner.uid()), Some(owner.gid()))?;
        std::fs::rename(&partial, path)
    };
    write().with_context(|| format!("write {}", path.display()))
}
