//! `ironwake builder`: builds images from packages, as an unprivileged user.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use ironwake_api::client::{Client, ClientError};
use ironwake_api::{Build, BuildOutcome, BuildReport};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::output::clean;
use super::{Context, Failure, human};
use crate::builders::debian_image::{Plan, Report};

/// Commands below `builder`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Build what operators order of the daemon, one after the other: ironwake-builder.service
    Run(RunArgs),
    /// Build one image into a file, unless the file holds what would be built
    Make(MakeArgs),
}

/// Arguments of `builder make`.
#[derive(Debug, clap::Args)]
pub struct MakeArgs {
    /// What to build, such as debian-image/trixie-amd64
    name: String,
    /// The image, packed with zstd; its recipe goes beside it, with `.recipe` behind the name
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    place: Place,
    /// Debian mirror; the one that this host uses unless given
    #[arg(long, value_name = "URL")]
    mirror: Option<String>,
}

/// Arguments of `builder run`.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    #[command(flatten)]
    place: Place,
}

/// Where builds are made.
#[derive(Debug, clap::Args)]
pub struct Place {
    /// Folder for what is being built: 2 GiB, on a disk, readable for all
    #[arg(long, value_name = "FOLDER", env = "STATE_DIRECTORY", default_value = "/var/lib/ironwake-builder")]
    folder: PathBuf,
}

/// How often the daemon is told how a build gets on.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// How long a daemon that does not answer is left alone.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// Lines of one report; of a program that says more, the last ones tell.
const LINES_MAX: usize = 200;

/// Builds until it is ended. A daemon that is not there is waited for.
pub async fn run(args: &RunArgs, context: &mut Context) -> Result<(), Failure> {
    loop {
        match context.client.next_build().await {
            Ok(Some(build)) => {
                eprintln!("building {}", clean(&build.name));
                match work(build, &args.place.folder, &context.client).await {
                    Ok(said) => eprintln!("{said}"),
                    Err(error) => eprintln!("{error:#}"),
                }
            }
            Ok(None) => {}
            // Who may not call will not be let in later either.
            Err(ClientError::Refused(problem)) if problem.status < 500 => {
                return Err(ClientError::Refused(problem).into());
            }
            Err(error) => {
                eprintln!("{:#}; trying again in {} s", anyhow::Error::new(error), RETRY_AFTER.as_secs());
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
    }
}

/// What became of a build, before anything of it is handed in.
enum Made {
    Unchanged,
    New { image: tempfile::NamedTempFile, recipe: String },
}

/// Builds one image and hands it in.
async fn work(build: Build, folder: &Path, client: &Client) -> anyhow::Result<String> {
    let (sender, mut reports) = unbounded_channel();
    let (order, place) = (build.clone(), folder.to_owned());
    let making = tokio::task::spawn_blocking(move || make_ordered(&order, &place, &sender));
    let mut told = BuildReport::default();
    loop {
        let open = gather(&mut reports, &mut told).await;
        let report = BuildReport { lines: std::mem::take(&mut told.lines), ..told.clone() };
        // The build goes on: a daemon that starts anew is told more in a second.
        if let Err(error) = client.report_build(&build.name, &report).await {
            eprintln!("{:#}", anyhow::Error::new(error).context("report"));
        }
        if !open {
            break;
        }
    }
    let outcome = match making.await.context("the build broke off")? {
        Err(error) => BuildOutcome::Failed { error: format!("{error:#}") },
        Ok(Made::Unchanged) => BuildOutcome::Unchanged,
        Ok(Made::New { image, recipe }) => match hand_in(&build.name, &image, client).await {
            Ok(()) => BuildOutcome::Made { recipe },
            Err(error) => BuildOutcome::Failed { error: format!("hand it in: {error:#}") },
        },
    };
    let said = format!("{}: {outcome:?}", build.name);
    let report = BuildReport { outcome: Some(outcome), ..BuildReport::default() };
    client.report_build(&build.name, &report).await?;
    Ok(said)
}

/// What comes within [`REPORT_EVERY`], in one report; whether more will come.
async fn gather(reports: &mut UnboundedReceiver<Report>, told: &mut BuildReport) -> bool {
    let until = tokio::time::Instant::now() + REPORT_EVERY;
    loop {
        match tokio::time::timeout_at(until, reports.recv()).await {
            Err(_) => return true,
            Ok(None) => return false,
            Ok(Some(Report::Stage(stage))) => {
                (told.stage, told.done_bytes, told.total_bytes) = (Some(stage.into()), None, None);
            }
            Ok(Some(Report::Bytes { done, total })) => {
                (told.done_bytes, told.total_bytes) = (Some(done), total);
            }
            Ok(Some(Report::Line(line))) => {
                told.lines.push(line);
                if told.lines.len() > LINES_MAX {
                    told.lines.remove(0);
                }
            }
        }
    }
}

fn make_ordered(build: &Build, folder: &Path, reports: &UnboundedSender<Report>) -> anyhow::Result<Made> {
    // Nobody listens once the daemon's part is over, which ends this process too.
    let mut report = |report| drop(reports.send(report));
    let plan = Plan::new(&build.name, build.mirror.as_deref(), folder, &mut report)?;
    let recipe = plan.recipe().to_string();
    if build.recipe.as_ref() == Some(&recipe) {
        return Ok(Made::Unchanged);
    }
    let image = tempfile::Builder::new().suffix(".zst").tempfile_in(folder).context("make a file")?;
    plan.build(image.path(), &mut report)?;
    Ok(Made::New { image, recipe })
}

async fn hand_in(name: &str, image: &tempfile::NamedTempFile, client: &Client) -> anyhow::Result<()> {
    // Not the handle that the file was made with: the packer has put another one in its place.
    let file = tokio::fs::File::open(image.path()).await.context("read the image")?;
    let size = file.metadata().await.context("read the image")?.len();
    client.import(name, file, Some(size), ironwake_api::ImportQuery::default(), |_| ()).await?;
    Ok(())
}

pub fn make(args: &MakeArgs, context: &mut Context) -> Result<(), Failure> {
    let began = Instant::now();
    let mut report = |report| match report {
        Report::Stage(stage) => eprintln!("{:>8.1} s  {stage}", began.elapsed().as_secs_f64()),
        Report::Bytes { .. } => {}
        Report::Line(line) => tracing::debug!(line),
    };
    let failed = |error| anyhow::Error::new(error).context(format!("build {}", clean(&args.name)));
    let plan =
        Plan::new(&args.name, args.mirror.as_deref(), &args.place.folder, &mut report).map_err(failed)?;
    let recipe = plan.recipe().to_string();
    let mut beside = args.output.clone().into_os_string();
    beside.push(".recipe");
    let beside = PathBuf::from(beside);
    if args.output.is_file() && fs::read_to_string(&beside).is_ok_and(|found| found.trim() == recipe) {
        let line = format!("{} is what would be built: recipe {recipe}", args.output.display());
        return Ok(context.output.line(line)?);
    }
    let mut partial = args.output.clone().into_os_string();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let built = plan.build(&partial, &mut report).map_err(failed)?;
    fs::rename(&partial, &args.output)
        .and_then(|()| fs::write(&beside, format!("{recipe}\n")))
        .with_context(|| format!("write {}", args.output.display()))?;
    let (size, disk) = (human::size(built.size_bytes), human::size(built.disk_bytes));
    let took = built.took.as_secs_f64();
    Ok(context.output.line(format!("built {size}, a disk of {disk}, in {took:.1} s: recipe {recipe}"))?)
}
