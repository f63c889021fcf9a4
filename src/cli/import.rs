//! `ironwake artifact import`: a file, standard input or a URL becomes an artifact.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use ironwake_api::{
    Artifact, ArtifactDownload, ArtifactState, ArtifactUpload, DownloadStep, ImportQuery, ImportRequest,
};
use tokio::fs::File;

use super::artifact::packing_name;
use super::meter::Meter;
use super::output::clean;
use super::{Context, Failure, human, input};

/// How often the daemon is asked how far a download is.
const ASK_EVERY: Duration = Duration::from_millis(300);

/// Arguments of `artifact import`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "By URL, the daemon fetches the image in the background, over its own restarts, and names it \
    once its digest is as asked for: one of --sha256, --sha512 and --checksums is needed then. \
    `ironwake artifact delete NAME` ends it."
)]
pub struct ImportArgs {
    /// Name it gets: a-z, 0-9, `.`, `_`, `+` and `-`, in parts between `/`; what has this name is replaced
    name: String,
    /// The image: a file, an http or https URL, or `-` for standard input
    source: String,
    /// SHA-256 that it must have
    #[arg(long, value_name = "HEX", conflicts_with_all = ["sha512", "checksums"])]
    sha256: Option<String>,
    /// SHA-512 that it must have
    #[arg(long, value_name = "HEX", conflicts_with = "checksums")]
    sha512: Option<String>,
    /// A list that names the URL's file and its digest, as `sha256sum` or `sha512sum` writes it
    #[arg(long, value_name = "URL")]
    checksums: Option<String>,
    /// An OpenPGP signature of the list of checksums, or of the image without one
    #[arg(long, value_name = "URL", requires = "keyring")]
    signature: Option<String>,
    /// Public keys, one of which has to have signed (`gpg --export --armor KEY`)
    #[arg(long, value_name = "FILE", requires = "signature")]
    keyring: Option<PathBuf>,
    /// Wait for a download, which is what is done on a terminal
    #[arg(long)]
    wait: bool,
    /// Leave a download to the daemon
    #[arg(long, conflicts_with = "wait")]
    no_wait: bool,
}

impl ImportArgs {
    /// Whether the image or the keyring is a file.
    pub fn reads_files(&self) -> bool {
        self.keyring.is_some() || (self.source != "-" && !self.source.contains("://"))
    }
}

pub async fn run(args: ImportArgs, context: &mut Context) -> Result<(), Failure> {
    if args.source.contains("://") {
        return download(args, context).await;
    }
    if args.checksums.is_some() || args.signature.is_some() {
        return Err(anyhow::anyhow!(
            "--checksums and --signature are for URLs: check a file with `sha256sum -c` and `gpg --verify`"
        )
        .into());
    }
    let (image, size) = input::open(Path::new(&args.source), "an image")?;
    let meter = Meter::stderr(size);
    let shown = meter.clone();
    let progress = move |sent| shown.show(sent);
    let digest = ImportQuery { sha256: args.sha256, sha512: args.sha512 };
    let imported = context.client.import(&args.name, File::from_std(image), size, digest, progress).await;
    meter.clear();
    done(&imported?, context)
}

async fn download(args: ImportArgs, context: &mut Context) -> Result<(), Failure> {
    let wait = args.wait || (!args.no_wait && std::io::stderr().is_terminal());
    let request = ImportRequest {
        url: args.source,
        sha256: args.sha256,
        sha512: args.sha512,
        checksums: args.checksums,
        signature: args.signature,
        keyring: args.keyring.as_deref().map(read_keyring).transpose()?,
    };
    let mut artifact = context.client.download(&args.name, &request).await?;
    if !wait {
        if context.json {
            return Ok(context.output.json(&artifact)?);
        }
        let name = clean(&args.name);
        let line = format!("{name} is being downloaded: `ironwake artifact show {name}` shows how far it is");
        return Ok(context.output.line(line)?);
    }
    let meter = Meter::stderr(None);
    // Known by its download: the name may have had other bytes before.
    while let Some(download) = &artifact.download {
        if download.step == DownloadStep::Failed {
            break;
        }
        meter.write(&line(download));
        tokio::time::sleep(ASK_EVERY).await;
        artifact = match context.client.artifact(&args.name).await {
            Ok(artifact) => artifact,
            Err(error) => {
                meter.clear();
                return Err(error.into());
            }
        };
    }
    meter.clear();
    match &artifact.download {
        None => done(&artifact, context),
        Some(failed) => {
            if context.json {
                context.output.json(&artifact)?;
            }
            let why = failed.trouble.clone().unwrap_or_else(|| "no reason is known".into());
            Err(anyhow::anyhow!("{} is not imported: {}", clean(&args.name), clean(&why)).into())
        }
    }
}

/// How far a download is, as one line.
pub fn line(download: &ArtifactDownload) -> String {
    let progress = &download.progress;
    let done = human::size(progress.done_bytes);
    let mut line = match (download.step, progress.total_bytes) {
        (DownloadStep::Waiting, _) => return "waits for other downloads".into(),
        (DownloadStep::Failed, _) => return "failed".into(),
        (DownloadStep::Retrying, _) => {
            let why = download.trouble.as_deref().unwrap_or_default();
            return format!("{done}, {}", clean(why));
        }
        (step, None) => format!("{} {done}", step.name()),
        (step, Some(total)) => {
            let percent = download.percent.unwrap_or_default();
            format!("{} {done} of {}, {percent} %", step.name(), human::size(total))
        }
    };
    if progress.bytes_per_sec > 0 {
        line.push_str(&format!(", {}/s", human::size(progress.bytes_per_sec)));
    }
    if let Some(secs) = download.secs_left {
        line.push_str(&format!(", {} left", human::duration(secs * 1000)));
    }
    line
}

/// How far something is that is being sent, as one line.
pub fn upload_line(upload: &ArtifactUpload) -> String {
    let done = human::size(upload.progress.done_bytes);
    let step = match upload.step {
        DownloadStep::Fetching => "receiving",
        step => step.name(),
    };
    match (upload.progress.total_bytes, upload.percent) {
        (Some(total), Some(percent)) => {
            format!("{step} {done} of {}, {percent} %", human::size(total))
        }
        _ => format!("{step} {done}"),
    }
}

fn done(artifact: &Artifact, context: &mut Context) -> Result<(), Failure> {
    if context.json {
        return Ok(context.output.json(artifact)?);
    }
    if artifact.state != ArtifactState::Done {
        let why = artifact.error.as_deref().unwrap_or("its bytes are not there");
        return Err(anyhow::anyhow!("{}: {}", clean(&artifact.name), clean(why)).into());
    }
    let size = artifact.size.map(human::size).unwrap_or_default();
    let packing = artifact.packing.map_or("raw", packing_name);
    let digest = artifact.sha256.as_deref().unwrap_or_default();
    let converted = artifact.origin.as_ref().and_then(|origin| origin.converted.as_ref());
    let from = converted.map(|from| format!(", converted from {}", clean(&from.format))).unwrap_or_default();
    let signed = artifact.origin.as_ref().and_then(|origin| origin.signed_by.as_deref());
    let signed = signed.map(|key| format!("\nsigned by {}", clean(key))).unwrap_or_default();
    let name = clean(&artifact.name);
    Ok(context
        .output
        .line(format!("imported {name} ({size}, {packing}{from}): sha256:{}{signed}", clean(digest)))?)
}

/// Keys as text.
fn read_keyring(path: &Path) -> anyhow::Result<String> {
    let bytes = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
    String::from_utf8(bytes).map_err(|_| {
        let path = path.display();
        anyhow::anyhow!("read {path}: it is not armoured: `gpg --enarmor < {path}` makes it text")
    })
}

#[cfg(test)]
mod tests {
    use ironwake_api::Progress;

    use super::*;

    #[test]
    fn a_line_says_what_is_done_and_how_long_it_takes() {
        let progress = Progress { done_bytes: 1 << 20, total_bytes: Some(4 << 20), bytes_per_sec: 1 << 20 };
        let mut download = ArtifactDownload {
            url: "http://example.org/a".into(),
            step: DownloadStep::Fetching,
            progress,
            percent: progress.percent(),
            secs_left: progress.secs_left(),
            trouble: None,
        };
        assert_eq!(line(&download), "fetching 1 MiB of 4 MiB, 25 %, 1 MiB/s, 3.0 s left");
        download.step = DownloadStep::Retrying;
        download.trouble = Some("reset; again in 2 s".into());
        assert_eq!(line(&download), "1 MiB, reset; again in 2 s");
    }
}
