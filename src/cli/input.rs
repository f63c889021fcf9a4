//! A file that the command sends, or its standard input.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use anyhow::Context as _;

/// Opens it, `-` being standard input, and says its size where it is a file; `what` it is to be, with its article.
pub fn open(path: &Path, what: &str) -> anyhow::Result<(File, Option<u64>)> {
    if path.as_os_str() == "-" {
        let stdin = std::io::stdin().as_fd().try_clone_to_owned().context("read standard input")?;
        return Ok((stdin.into(), None));
    }
    let open = || -> std::io::Result<_> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        Ok((file, metadata))
    };
    let (file, metadata) = open().with_context(|| format!("read {}", path.display()))?;
    anyhow::ensure!(!metadata.is_dir(), "read {}: it is a folder, not {what}", path.display());
    Ok((file, metadata.is_file().then_some(metadata.len())))
}
