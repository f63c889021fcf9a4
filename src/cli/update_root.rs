//! What units of root do for updates, and how an update is made: no daemon is asked, but for its health.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use ironwake_api::HealthState;
use tracing::{info, warn};

use super::output::clean;
use super::{Context, Failure, human};
use crate::appliance::Version;
use crate::systemd;
use crate::updates::{
    self, Assessment, BootFiles, FileError, Places, Record, RecordState, assess, image_version,
    note_unhealthy, read_record, take_stock,
};

/// How long a version has to be found healthy: the daemon is ready within seconds, and interfaces may take a minute. The unit
/// waits longer (`TimeoutStartSec=`).
pub const HEALTHY_WITHIN_SECS: u64 = 240;
/// How often it is asked for.
const ASK_EVERY: Duration = Duration::from_secs(2);

/// Arguments of `appliance bundle`.
#[derive(Debug, clap::Args)]
pub struct BundleArgs {
    /// Folder with root.squashfs, kernel.efi, vmlinuz, initrd and boot.cfg of the version
    folder: PathBuf,
    /// The version
    #[arg(long)]
    version: Version,
    /// Secret key that signs (`gpg --export-secret-keys --armor KEY`)
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// File with the key's password, where it has one
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// When the version was built, in seconds since 1970
    #[arg(long, value_name = "SECONDS", env = "SOURCE_DATE_EPOCH")]
    built: Option<u64>,
    /// Where the bundle goes; manifest.json and its signature, which a channel serves too, go beside it
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

pub fn bundle(args: &BundleArgs, context: &mut Context) -> Result<(), Failure> {
    let password = match &args.password_file {
        None => String::new(),
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
            text.trim_end_matches(['\n', '\r']).to_owned()
        }
    };
    let built = args.built.unwrap_or_else(|| human::now() / 1000);
    let made = updates::make(&args.version, built, &args.folder, &args.key, &password, &args.output);
    let manifest = made.context("make the update")?;
    let size = human::size(manifest.bytes());
    Ok(context.output.line(format!("{}: version {}, {size}", args.output.display(), manifest.version))?)
}

fn log() {
    systemd::init_tracing(&systemd::Environment::read());
}

pub fn install_update() -> Result<(), Failure> {
    log();
    let manifest = updates::install(&Places::system(), human::now()).context("install the update")?;
    info!(version = %manifest.version, "installed: the next restart tries it");
    Ok(())
}

/// Waits until the version that runs is healthy, and notes it where it is not: who starts this then restarts the appliance, if the
/// version is on trial.
pub async fn healthy(within_secs: u64, context: &mut Context) -> Result<(), Failure> {
    log();
    let places = Places::system();
    let running = image_version(&places.root);
    match take_stock(&places) {
        Ok(Some(record)) => tell(&record),
        Ok(None) => {}
        Err(error) => warn!(%error, "what became of the last update is not known"),
    }
    // What did not work before the update is no reason to go back from it.
    let excused = match read_record(&places) {
        Ok(Some(record)) if running.as_ref().is_some_and(|running| record.version == running.as_str()) => {
            record.failed_before
        }
        _ => Vec::new(),
    };
    let deadline = tokio::time::Instant::now() + Duration::from_secs(within_secs);
    let mut said = String::new();
    loop {
        // Its socket listens while the daemon does not run: what is asked then waits.
        let why = match tokio::time::timeout_at(deadline, ask(context, &excused)).await {
            Ok(Ok(message)) => match can_stay(&places, running.as_ref()) {
                Ok(()) => {
                    info!("healthy: {message}");
                    return Ok(());
                }
                Err(error) => format!("{:#}", anyhow::Error::from(error)),
            },
            Ok(Err(why)) => why,
            // The last time that it is asked there may be no time for an answer.
            Err(_) if !said.is_empty() => said.clone(),
            Err(_) => "the daemon does not answer".into(),
        };
        if why != said {
            info!("not healthy yet: {why}");
            said.clone_from(&why);
        }
        if tokio::time::Instant::now() + ASK_EVERY > deadline {
            let why = format!("not healthy within {within_secs} s of its start: {why}");
            note(&places, running.as_ref(), &why);
            return Err(anyhow::anyhow!("{}", clean(&why)).into());
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// Whether the daemon is healthy and would answer machines, in a sentence.
async fn ask(context: &Context, excused: &[String]) -> Result<String, String> {
    let health =
        context.client.health().await.map_err(|error| format!("the daemon does not answer: {error}"))?;
    let failed = health.checks.iter().filter(|check| check.state == HealthState::Failed);
    let failed = failed.filter(|check| !excused.contains(&check.name));
    let told: Vec<String> = failed.map(|check| format!("{}: {}", check.name, check.message)).collect();
    if !told.is_empty() {
        return Err(told.join("; "));
    }
    let tested =
        context.client.self_test().await.map_err(|error| format!("the self-test of DHCP: {error}"))?;
    let failed =
        tested.networks.iter().filter(|network| !network.passed && !excused.contains(&network.interface));
    let told: Vec<String> =
        failed.map(|network| format!("DHCP on {}: {}", network.interface, network.message)).collect();
    match told.is_empty() {
        true => Ok(tested.message),
        false => Err(told.join("; ")),
    }
}

/// A version that stays is marked on the ESP: one that cannot look there would be on trial until it has no tries left.
fn can_stay(places: &Places, running: Option<&Version>) -> Result<(), FileError> {
    running.map_or(Ok(()), |_| BootFiles::open(places).map(drop))
}

fn note(places: &Places, running: Option<&Version>, why: &str) {
    let Some(running) = running else { return };
    let noted = note_unhealthy(places, running, why, human::now());
    if let Err(error) = noted {
        warn!(%error, "why this version is not healthy is not kept");
    }
    match assess(places, running) {
        Ok(Assessment::Trial { boots }) => warn!(boots, "this version is on trial, and fails: {why}"),
        Ok(Assessment::Settled) => warn!("this version is not on trial, and goes on: {why}"),
        Err(error) => warn!(%error, "whether this version is on trial is not known"),
    }
}

fn tell(record: &Record) {
    let (version, from) = (&record.version, &record.from);
    let why = record.why.as_deref().unwrap_or_default();
    match record.state {
        RecordState::FellBack => {
            let boots = record.boots.map_or_else(|| "its".into(), |boots| boots.to_string());
            warn!("version {version} failed {boots} starts, this is {from} again: {why}");
        }
        _ => warn!("version {version} was not installed: {why}"),
    }
}

pub fn bless() -> Result<(), Failure> {
    log();
    let places = Places::system();
    let Some(running) = image_version(&places.root) else { return Ok(()) };
    if !Path::new(&places.esp).join("EFI").exists() {
        info!("no EFI system partition: nothing to mark");
        return Ok(());
    }
    let trial = updates::bless(&places, &running).context("mark the version that runs as good")?;
    info!(version = %running, trial, "this version stays");
    Ok(())
}
