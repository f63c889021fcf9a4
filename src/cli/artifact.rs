//! `ironwake artifact`: boot files, what is built of them, and imported images.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ironwake_api::{Actor, Artifact, ArtifactKind, ArtifactPatch, ArtifactState, Packing};
use tokio::fs::File;

use super::meter::Meter;
use super::output::{Style, clean};
use super::table::Table;
use super::{Context, Failure, human};

/// Commands below `artifact`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List boot files, built artifacts and imported images, with origin, version and digest
    List,
    /// Show one artifact
    Show {
        /// Its name
        name: String,
    },
    /// Import a disk image, packed with xz, zstd, gzip or bzip2, or not at all
    Import(ImportArgs),
    /// Keep an imported image until it is unpinned
    Pin {
        /// Name of the image
        name: String,
    },
    /// Let an imported image go when it is deleted
    Unpin {
        /// Name of the image
        name: String,
    },
    /// Delete an imported image
    Delete {
        /// Name of the image
        name: String,
    },
}

/// Arguments of `artifact import`.
#[derive(Debug, clap::Args)]
pub struct ImportArgs {
    /// Name it gets: a-z, 0-9, `.`, `_` and `-`; what has this name is replaced
    name: String,
    /// The image; `-` reads standard input
    file: PathBuf,
    /// SHA-256 that it must have
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,
}

/// Hex digits of a digest that a person compares.
const DIGEST_SHOWN: usize = 12;

pub async fn run(command: Command, context: &mut Context) -> Result<(), Failure> {
    match command {
        Command::List => list(context).await,
        Command::Show { name } => {
            let artifact = context.client.artifact(&name).await?;
            if context.json { Ok(context.output.json(&artifact)?) } else { Ok(write(&artifact, context)?) }
        }
        Command::Import(args) => import(args, context).await,
        Command::Pin { name } => pin(&name, true, context).await,
        Command::Unpin { name } => pin(&name, false, context).await,
        Command::Delete { name } => {
            context.client.delete_artifact(&name).await?;
            if context.json {
                Ok(())
            } else {
                Ok(context.output.line(format!("deleted {}", clean(&name)))?)
            }
        }
    }
}

async fn list(context: &mut Context) -> Result<(), Failure> {
    let artifacts = context.client.artifacts().await?;
    if context.json {
        return Ok(context.output.json(&artifacts)?);
    }
    let mut table = Table::new(&["NAME", "KIND", "STATE", "SIZE", "SHA-256", "FROM", "VERSION"]);
    for artifact in &artifacts {
        let (state, style) = state(artifact);
        let plain = |text: Option<String>| (text.unwrap_or_default(), Style::Plain);
        table.row([
            plain(Some(artifact.name.clone())),
            plain(Some(kind(artifact.kind).into())),
            (state.to_owned(), style),
            plain(artifact.size.map(human::size)),
            plain(artifact.sha256.as_ref().map(|digest| digest.chars().take(DIGEST_SHOWN).collect())),
            plain(origin(artifact)),
            plain(artifact.version.clone()),
        ]);
    }
    table.write(&mut context.output, "no artifacts")?;
    for artifact in &artifacts {
        if let Some(error) = &artifact.error {
            context.output.line(format!("{}: {}", clean(&artifact.name), clean(error)))?;
        }
    }
    Ok(())
}

fn write(artifact: &Artifact, context: &mut Context) -> std::io::Result<()> {
    let (state, style) = state(artifact);
    let pinned = if artifact.pinned { ", pinned" } else { "" };
    let state = context.output.styled(&format!("{state}{pinned}"), style);
    let bytes = |bytes: u64| format!("{} ({bytes} bytes)", human::size(bytes));
    let fields = [
        ("name", Some(clean(&artifact.name))),
        ("kind", Some(kind(artifact.kind).into())),
        ("state", Some(state)),
        ("size", artifact.size.map(bytes)),
        ("packing", artifact.packing.map(|packing| packing_name(packing).into())),
        ("disk", artifact.disk_bytes.map(bytes)),
        ("SHA-256", artifact.sha256.as_deref().map(clean)),
        ("path", artifact.path.as_deref().map(clean)),
        ("from", origin(artifact).as_deref().map(clean)),
        ("version", artifact.version.as_deref().map(clean)),
        (
            "made",
            artifact.created_at.map(|at| format!("{} ({})", human::time(at), human::ago(at, human::now()))),
        ),
        ("error", artifact.error.as_deref().map(clean)),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            let name = context.output.styled(&format!("{name:9}"), Style::Faint);
            context.output.line(format!("{name}{value}"))?;
        }
    }
    Ok(())
}

async fn import(args: ImportArgs, context: &mut Context) -> Result<(), Failure> {
    let (image, size) = open(&args.file)?;
    let meter = Meter::stderr(size);
    let shown = meter.clone();
    let progress = move |sent| shown.show(sent);
    let imported = context
        .client
        .import(&args.name, File::from_std(image), size, args.sha256.as_deref(), progress)
        .await;
    meter.clear();
    let artifact = imported?;
    if context.json {
        return Ok(context.output.json(&artifact)?);
    }
    let size = artifact.size.map(human::size).unwrap_or_default();
    let packing = artifact.packing.map_or("raw", packing_name);
    let digest = artifact.sha256.as_deref().unwrap_or_default();
    let line = format!("imported {} ({size}, {packing}): sha256:{}", clean(&artifact.name), clean(digest));
    Ok(context.output.line(line)?)
}

/// The image, and its size where it is a file.
fn open(path: &Path) -> anyhow::Result<(std::fs::File, Option<u64>)> {
    if path.as_os_str() == "-" {
        let stdin = std::io::stdin().as_fd().try_clone_to_owned().context("read standard input")?;
        return Ok((stdin.into(), None));
    }
    let open = || -> std::io::Result<_> {
        let file = std::fs::File::open(path)?;
        let metadata = file.metadata()?;
        Ok((file, metadata))
    };
    let (file, metadata) = open().with_context(|| format!("read {}", path.display()))?;
    anyhow::ensure!(!metadata.is_dir(), "read {}: it is a folder, not an image", path.display());
    Ok((file, metadata.is_file().then_some(metadata.len())))
}

async fn pin(name: &str, pinned: bool, context: &mut Context) -> Result<(), Failure> {
    let artifact = context.client.edit_artifact(name, &ArtifactPatch { pinned: Some(pinned) }).await?;
    if context.json {
        return Ok(context.output.json(&artifact)?);
    }
    let done = if pinned { "pinned" } else { "unpinned" };
    Ok(context.output.line(format!("{done} {}", clean(&artifact.name)))?)
}

fn state(artifact: &Artifact) -> (&'static str, Style) {
    match artifact.state {
        ArtifactState::Queued => ("queued", Style::Faint),
        ArtifactState::Working => ("building", Style::Warning),
        ArtifactState::Done => ("ready", Style::Good),
        ArtifactState::Failed => ("failed", Style::Bad),
        ArtifactState::Missing => ("missing", Style::Bad),
    }
}

fn kind(kind: ArtifactKind) -> &'static str {
    match kind {
        ArtifactKind::Loader => "loader",
        ArtifactKind::Kernel => "kernel",
        ArtifactKind::Initramfs => "initramfs",
        ArtifactKind::Image => "image",
        ArtifactKind::File => "file",
    }
}

fn packing_name(packing: Packing) -> &'static str {
    match packing {
        Packing::Raw => "raw",
        Packing::Gzip => "gzip",
        Packing::Xz => "xz",
        Packing::Zstd => "zstd",
        Packing::Bzip2 => "bzip2",
    }
}

/// The package it came in, or who imported it.
fn origin(artifact: &Artifact) -> Option<String> {
    let imported_by = artifact.imported_by.as_ref().map(|actor| match actor {
        Actor::Operator(name) => format!("import by {name}"),
        Actor::Token(name) => format!("import by token {name}"),
        Actor::Machine | Actor::Daemon => "import".into(),
    });
    imported_by.or_else(|| artifact.source.clone())
}
