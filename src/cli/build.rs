//! `ironwake artifact build`: orders a build and shows how it gets on.

use std::time::Duration;

use ironwake_api::{ArtifactState, Build, BuildNew};

use super::output::clean;
use super::{Context, Failure, human};

/// How often the daemon is asked: it hears from the builder every second.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// So long an order may lie before its not being taken is remarkable.
const TAKEN_WITHIN_MS: u64 = 3000;
/// Lines of a failed build that are shown.
const LINES_SHOWN: usize = 20;

/// Orders a build, and shows it to its end unless that is not wanted.
pub async fn build(
    name: String,
    mirror: Option<String>,
    no_wait: bool,
    context: &mut Context,
) -> Result<(), Failure> {
    let mut build = context.client.order_build(&BuildNew { name, mirror }).await?;
    let mut shown = String::new();
    while !no_wait && matches!(build.state, ArtifactState::Queued | ArtifactState::Working) {
        let line = standing(&build, human::now());
        if line != shown {
            eprintln!("{line}");
            shown = line;
        }
        tokio::time::sleep(ASK_EVERY).await;
        build = context.client.build(&build.name).await?;
    }
    if context.json {
        context.output.json(&build)?;
    } else if no_wait {
        context.output.line(format!("{} {}", clean(&build.name), standing(&build, human::now())))?;
    } else if build.state == ArtifactState::Done {
        let digest = build.sha256.as_deref().unwrap_or_default();
        context.output.line(format!("{} is here: sha256:{}", clean(&build.name), clean(digest)))?;
    }
    match build.error {
        Some(error) if !no_wait => {
            for line in build.log.iter().rev().take(LINES_SHOWN).rev() {
                eprintln!("    {}", clean(line));
            }
            Err(anyhow::anyhow!("{} was not built: {}", clean(&build.name), clean(&error)).into())
        }
        _ => Ok(()),
    }
}

/// Where a build stands, in one line.
fn standing(build: &Build, now: u64) -> String {
    let since = |at: Option<u64>| human::duration(now.saturating_sub(at.unwrap_or(now)));
    match build.state {
        ArtifactState::Queued if now.saturating_sub(build.ordered_at) > TAKEN_WITHIN_MS => {
            "queued; nobody takes it: `systemctl start ironwake-builder.service` starts the builder".into()
        }
        ArtifactState::Queued => "queued".into(),
        ArtifactState::Working => {
            let stage = clean(build.stage.as_deref().unwrap_or("beginning"));
            let bytes = match (build.done_bytes, build.total_bytes) {
                (Some(done), Some(total)) if total > 0 => {
                    let percent = u128::from(done) * 100 / u128::from(total);
                    format!(", {} of {}, {percent} %", human::size(done), human::size(total))
                }
                (Some(done), _) => format!(", {}", human::size(done)),
                _ => String::new(),
            };
            // The time makes every line another one: it is shown where the stage changes or gets on.
            format!("{stage}{bytes}")
        }
        ArtifactState::Done => "ready".into(),
        ArtifactState::Failed => format!("failed after {}", since(build.began_at)),
        ArtifactState::Missing => "missing".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut Build), expected: &str) {
        let text = r#"{"name":"debian-image/trixie-amd64","state":"queued","ordered_by":"daemon","ordered_at":1000}"#;
        let mut build: Build = serde_json::from_str(text).expect("a build");
        change(&mut build);
        assert_eq!(standing(&build, 2000), expected);
    }

    #[test]
    fn a_line_says_where_it_stands() {
        check(|_| (), "queued");
        let waiting =
            "queued; nobody takes it: `systemctl start ironwake-builder.service` starts the builder";
        let mut late: Build =
            serde_json::from_str(r#"{"name":"a","state":"queued","ordered_by":"daemon","ordered_at":1000}"#)
                .expect("a build");
        late.state = ArtifactState::Queued;
        assert_eq!(standing(&late, 9000), waiting);
        check(|build| build.state = ArtifactState::Working, "beginning");
        check(
            |build| {
                build.state = ArtifactState::Working;
                build.stage = Some("downloading".into());
                (build.done_bytes, build.total_bytes) = (Some(1 << 20), Some(4 << 20));
            },
            "downloading, 1 MiB of 4 MiB, 25 %",
        );
        check(
            |build| {
                build.state = ArtifactState::Failed;
                build.began_at = Some(500);
            },
            "failed after 1.5 s",
        );
    }
}
