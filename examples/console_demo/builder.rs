//! A simulated builder: it takes what is ordered, tells how it gets on, and brings a small image.

use std::time::Duration;

use anyhow::Result;
use ironwake_api::client::Client;
use ironwake_api::{BuildNew, BuildOutcome, BuildReport, ImportQuery};
use tokio::time::interval;

/// How often it says how far it is.
const REPORT_EVERY: Duration = Duration::from_millis(700);
/// Bytes that it pretends to pack.
const TOTAL_BYTES: u64 = 1_400_000_000;
/// What its programs say, one line at each report.
const LINES: [&str; 8] = [
    "I: automatically chosen mode: unshare",
    "I: running apt-get update",
    "I: downloading packages with apt",
    "I: extracting archives",
    "I: installing essential packages",
    "I: installing remaining packages",
    "mke2fs: writing superblocks and filesystem accounting information: done",
    "zstd: compressing",
];

/// Builds as long as the daemon is there.
pub async fn run(client: Client) -> Result<()> {
    client.order_build(&BuildNew { name: "debian-image/trixie-amd64".into(), mirror: None }).await?;
    loop {
        let Some(build) = client.next_build().await? else { continue };
        let mut beat = interval(REPORT_EVERY);
        for step in 0..32_u64 {
            beat.tick().await;
            let place = (step as usize / 4).min(LINES.len() - 1);
            let report = BuildReport {
                stage: Some(if step < 24 { "packages".into() } else { "packing".into() }),
                done_bytes: Some(TOTAL_BYTES / 32 * (step + 1)),
                total_bytes: Some(TOTAL_BYTES),
                lines: if step % 4 == 0 { vec![LINES[place].into()] } else { Vec::new() },
                outcome: None,
            };
            client.report_build(&build.name, &report).await?;
        }
        let image = vec![7; 1 << 20];
        let size = Some(image.len() as u64);
        let image = std::io::Cursor::new(image);
        client.import(&build.name, image, size, ImportQuery::default(), |_| {}).await?;
        let outcome = Some(BuildOutcome::Made { recipe: "5a".repeat(32) });
        client.report_build(&build.name, &BuildReport { outcome, ..BuildReport::default() }).await?;
    }
}
