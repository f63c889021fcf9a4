//! Watching what goes on without the command: Ctrl-C ends the watching, and nothing else.

use super::Failure;

/// Watches until that ends, or Ctrl-C ends it; `again` is the command that shows how it goes on. A signal is waited for here
/// because one that was waited for before, at a question, does not end the process by itself any more.
pub async fn watch(watching: impl Future<Output = Result<(), Failure>>, again: &str) -> Result<(), Failure> {
    tokio::select! {
        watched = watching => watched,
        stopped = tokio::signal::ctrl_c() => {
            stopped?;
            Err(Failure::Stopped { again: again.to_owned() })
        }
    }
}
