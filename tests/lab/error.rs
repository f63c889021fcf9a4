//! What can go wrong in a lab, each with what a person needs to see.

use std::{fmt, io, path::PathBuf};

/// What went wrong.
#[derive(thiserror::Error)]
pub enum LabError {
    /// A program could not be started.
    #[error("start {program}")]
    Start {
        /// Which.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A command ended with an error.
    #[error("{line}: {status}\n{output}")]
    Command {
        /// Its words.
        line: String,
        /// How it ended.
        status: String,
        /// What it said.
        output: String,
    },
    /// Something on the host could not be read, written or opened.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A file that the lab needs is not on this host.
    #[error("{what} is not at any of {tried:?}: {remedy}")]
    Missing {
        /// What.
        what: String,
        /// Where it was looked for.
        tried: Vec<PathBuf>,
        /// What to do.
        remedy: &'static str,
    },
    /// Output of the daemon or its command line was not as agreed.
    #[error("{what}: {text}")]
    Unexpected {
        /// What was read.
        what: String,
        /// What came instead.
        text: String,
    },
    /// What was waited for did not come.
    #[error("waited {seconds} s for {what}: {why}\n{report}")]
    Waited {
        /// For what.
        what: String,
        /// How long.
        seconds: u64,
        /// Why the wait ended.
        why: String,
        /// Timeline and tails of the logs.
        report: String,
    },
}

impl LabError {
    /// Wraps an I/O error with what was tried.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

/// Tests return this error, and the test runner prints `Debug`: a report of many lines has to stay readable.
impl fmt::Debug for LabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}
