//! `ironwake artifact`: boot files and what was built.

use ironwake_api::ArtifactState;

use super::output::{Style, clean};
use super::table::Table;
use super::{Context, Failure, human};

/// Commands below `artifact`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List artifacts with origin, version and digest
    List,
}

/// Hex digits of a digest that a person compares.
const DIGEST_SHOWN: usize = 12;

pub async fn list(context: &mut Context) -> Result<(), Failure> {
    let artifacts = context.client.artifacts().await?;
    if context.json {
        return Ok(context.output.json(&artifacts)?);
    }
    let mut table = Table::new(&["NAME", "STATE", "SIZE", "SHA-256", "FROM", "VERSION"]);
    for artifact in &artifacts {
        let (state, style) = match artifact.state {
            ArtifactState::Queued => ("queued", Style::Faint),
            ArtifactState::Working => ("building", Style::Warning),
            ArtifactState::Done => ("ready", Style::Good),
            ArtifactState::Failed => ("failed", Style::Bad),
            ArtifactState::Missing => ("missing", Style::Bad),
        };
        let plain = |text: Option<String>| (text.unwrap_or_default(), Style::Plain);
        table.row([
            plain(Some(artifact.name.clone())),
            (state.to_owned(), style),
            plain(artifact.size.map(human::size)),
            plain(artifact.sha256.as_ref().map(|digest| digest.chars().take(DIGEST_SHOWN).collect())),
            plain(artifact.source.clone()),
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
