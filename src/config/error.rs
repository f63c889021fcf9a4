//! Why a configuration is refused.

use std::io;
use std::path::PathBuf;

use crate::document::Mistakes;

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigErrors {
    /// The file cannot be read.
    #[error("read {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is larger than any configuration.
    #[error("{path} has {bytes} bytes: a configuration has at most {max}", max = super::FILE_BYTES_MAX)]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// Something in it is wrong: every mistake, in the file's order.
    #[error("{0}")]
    Wrong(Mistakes),
}
