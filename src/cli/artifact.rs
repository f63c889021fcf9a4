//! `ironwake artifact`: boot files, what is built of them, and imported images.

use ironwake_api::{Actor, Artifact, ArtifactOrigin, ArtifactPatch, ArtifactState, Packing};

use super::import::{self, ImportArgs};
use super::output::{Style, clean};
use super::table::Table;
use super::{Context, Failure, human};

/// Commands below `artifact`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List boot files, built artifacts and imported images, with origin, version and digest
    List,
    /// Show how much imported images take, and what keeps them
    Usage,
    /// Show one artifact
    Show {
        /// Its name
        name: String,
    },
    /// Import a disk image, packed with xz, zstd, gzip or bzip2, or not at all; or a kernel, initrd or ISO
    Import(Box<ImportArgs>),
    /// Have the builder make an image, such as debian-image/trixie-amd64, and watch it; what is there already and
    /// would be the same is not built again
    Build(BuildArgs),
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
    /// Delete an imported image, or end its download
    Delete {
        /// Name of the image
        name: String,
    },
}

/// Arguments of `artifact build`.
#[derive(Debug, clap::Args)]
pub struct BuildArgs {
    /// What to build
    name: String,
    /// Debian mirror; the one that the builder's host uses unless given
    #[arg(long, value_name = "URL")]
    mirror: Option<String>,
    /// Do not watch it
    #[arg(long)]
    no_wait: bool,
}

/// Hex digits of a digest that a person compares.
const DIGEST_SHOWN: usize = 12;

pub async fn run(command: Command, context: &mut Context) -> Result<(), Failure> {
    match command {
        Command::List => list(context).await,
        Command::Usage => usage(context).await,
        Command::Show { name } => {
            let artifact = context.client.artifact(&name).await?;
            if context.json { Ok(context.output.json(&artifact)?) } else { Ok(write(&artifact, context)?) }
        }
        Command::Import(args) => import::run(*args, context).await,
        Command::Build(args) => super::build::build(args.name, args.mirror, args.no_wait, context).await,
        Command::Pin { name } => pin(&name, true, context).await,
        Command::Unpin { name } => pin(&name, false, context).await,
        Command::Delete { name } => delete(&name, context).await,
    }
}

async fn usage(context: &mut Context) -> Result<(), Failure> {
    let usage = context.client.artifact_usage().await?;
    if context.json {
        return Ok(context.output.json(&usage)?);
    }
    let days = usage.unused_secs_max / 86_400;
    let lines = [
        format!(
            "{} of {} in {} imports",
            human::size(usage.bytes),
            human::size(usage.bytes_max),
            usage.imports
        ),
        format!("  {} pinned", human::size(usage.pinned_bytes)),
        format!("  {} needed by profiles and operations", human::size(usage.needed_bytes)),
        format!(
            "  {} make room for others, or go after {days} days without use",
            human::size(usage.evictable_bytes)
        ),
        format!("{} of boot files beside them", human::size(usage.boot_bytes)),
    ];
    for line in lines {
        context.output.line(line)?;
    }
    Ok(())
}

async fn delete(name: &str, context: &mut Context) -> Result<(), Failure> {
    // Where a download or an upload is to bring other bytes of this name, only that ends.
    let before = context.client.artifact(name).await?;
    context.client.delete_artifact(name).await?;
    if context.json {
        return Ok(());
    }
    let done = match (before.download, before.upload) {
        (Some(_), _) => "ended the download of",
        (None, Some(_)) => "ended the upload of",
        (None, None) => "deleted",
    };
    Ok(context.output.line(format!("{done} {}", clean(name)))?)
}

async fn list(context: &mut Context) -> Result<(), Failure> {
    let artifacts = context.client.artifacts().await?;
    if context.json {
        return Ok(context.output.json(&artifacts)?);
    }
    let now = human::now();
    let mut table =
        Table::new(&["NAME", "KIND", "STATE", "SIZE", "USED", "KEPT BY", "SHA-256", "FROM", "VERSION"]);
    for artifact in &artifacts {
        let (state, style) = state(artifact);
        let plain = |text: Option<String>| (text.unwrap_or_default(), Style::Plain);
        table.row([
            plain(Some(artifact.name.clone())),
            plain(Some(artifact.kind.name().into())),
            (state.to_owned(), style),
            plain(artifact.size.map(human::size)),
            plain(artifact.used_at.map(|at| human::ago(at, now))),
            plain(kept_by(artifact)),
            plain(artifact.sha256.as_ref().map(|digest| digest.chars().take(DIGEST_SHOWN).collect())),
            plain(origin(artifact)),
            plain(artifact.version.clone()),
        ]);
    }
    table.write(&mut context.output, "no artifacts")?;
    for artifact in &artifacts {
        if let Some(download) = &artifact.download {
            let line = format!("{}: {}", clean(&artifact.name), import::line(download));
            context.output.line(line)?;
        }
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
    let source = artifact.origin.as_ref();
    let fields = [
        ("name", Some(clean(&artifact.name))),
        ("kind", Some(artifact.kind.name().into())),
        ("state", Some(state)),
        ("size", artifact.size.map(bytes)),
        ("packing", artifact.packing.map(|packing| packing_name(packing).into())),
        ("disk", artifact.disk_bytes.map(bytes)),
        ("SHA-256", artifact.sha256.as_deref().map(clean)),
        ("path", artifact.path.as_deref().map(clean)),
        ("from", origin(artifact).as_deref().map(clean)),
        ("URL", source.and_then(|source| source.url.as_deref()).map(clean)),
        ("asked for", source.and_then(|source| source.expected.as_deref()).map(clean)),
        ("signed by", source.and_then(|source| source.signed_by.as_deref()).map(clean)),
        ("was", source.and_then(converted)),
        ("version", artifact.version.as_deref().map(clean)),
        (
            "made",
            artifact.created_at.map(|at| format!("{} ({})", human::time(at), human::ago(at, human::now()))),
        ),
        ("kept by", kept_by(artifact).as_deref().map(clean)),
        ("used", artifact.used_at.map(|at| human::ago(at, human::now()))),
        ("download", artifact.download.as_ref().map(|download| clean(&import::line(download)))),
        ("upload", artifact.upload.as_ref().map(import::upload_line)),
        ("error", artifact.error.as_deref().map(clean)),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            let name = context.output.styled(&format!("{name:10}"), Style::Faint);
            context.output.line(format!("{name}{value}"))?;
        }
    }
    Ok(())
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
        ArtifactState::Working if artifact.download.is_some() || artifact.upload.is_some() => {
            ("importing", Style::Warning)
        }
        ArtifactState::Working => ("building", Style::Warning),
        ArtifactState::Done => ("ready", Style::Good),
        ArtifactState::Failed => ("failed", Style::Bad),
        ArtifactState::Missing => ("missing", Style::Bad),
    }
}

/// As people call it.
pub fn packing_name(packing: Packing) -> &'static str {
    match packing {
        Packing::Raw => "raw",
        Packing::Gzip => "gzip",
        Packing::Xz => "xz",
        Packing::Zstd => "zstd",
        Packing::Bzip2 => "bzip2",
    }
}

/// What keeps an import from making room, the operator's pin first; ids by the part that tells them apart.
fn kept_by(artifact: &Artifact) -> Option<String> {
    let pin = artifact.pinned.then(|| "pin".to_owned());
    let needed = artifact.needed_by.iter().map(|need| match need.strip_prefix("operation ") {
        Some(id) => format!("operation {}", ironwake_api::human::short(id)),
        None => need.clone(),
    });
    let all: Vec<String> = pin.into_iter().chain(needed).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

/// What it was before it was converted.
fn converted(origin: &ArtifactOrigin) -> Option<String> {
    let before = origin.converted.as_ref()?;
    let size = human::size(before.size_bytes);
    Some(format!("{} ({size}), sha256:{}", clean(&before.format), clean(&before.sha256)))
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
