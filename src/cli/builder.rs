//! `ironwake builder`: builds images from packages, as an unprivileged user.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context as _;

use super::output::clean;
use super::{Context, Failure, human};
use crate::builders::debian_image::{Plan, Report};

/// Commands below `builder`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
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

/// Where builds are made.
#[derive(Debug, clap::Args)]
pub struct Place {
    /// Folder for what is being built: 2 GiB, on a disk, readable for all
    #[arg(long, value_name = "FOLDER", env = "STATE_DIRECTORY", default_value = "/var/lib/ironwake-builder")]
    folder: PathBuf,
}

pub fn make(args: &MakeArgs, context: &mut Context) -> Result<(), Failure> {
    let began = Instant::now();
    let mut report = |report| match report {
        Report::Stage(stage) => eprintln!("{:>8.1} s  {stage}", began.elapsed().as_secs_f64()),
        Report::Bytes { .. } => {}
        Report::Line(line) => tracing::debug!(line),
    };
    let failed = |error| anyhow::Error::new(error).context(format!("build {}", clean(&args.name)));
    let plan = Plan::new(&args.name, args.mirror.as_deref(), &args.place.folder, &mut report).map_err(failed)?;
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
