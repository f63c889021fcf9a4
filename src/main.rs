//! The `ironwake` command.
//!
//! Its exit codes are a contract:
//!
//! | code | meaning |
//! | --- | --- |
//! | 0 | done |
//! | 1 | the command failed |
//! | 2 | wrong usage |
//! | 3 | not found |
//! | 4 | refused: the request is not valid, or conflicts with what is there |
//! | 5 | the daemon is not reachable |
//! | 6 | findings: `doctor`, `health` or a check of the configuration found something wrong |
//! | 75 | `serve` is to be started again: it goes on from a backup (`RestartForceExitStatus=` of the unit) |
//! | 130 | Ctrl-C ended the watching of something that goes on |
//!
//! `ironwake shell` ends with the exit code of what ran on the machine.

use std::process::ExitCode;

use ironwake::cli::{self, Failure};

fn main() -> ExitCode {
    let failure = match cli::main() {
        Ok(()) => return ExitCode::SUCCESS,
        Err(failure) => failure,
    };
    failure.print();
    ExitCode::from(match failure {
        // Whoever reads, has read enough: `ironwake events | head`.
        Failure::BrokenPipe => 0,
        Failure::Failed { .. } => 1,
        Failure::Usage(_) => 2,
        Failure::NotFound { .. } => 3,
        Failure::Refused { .. } => 4,
        Failure::NotReachable { .. } => 5,
        Failure::Findings => 6,
        // EX_TEMPFAIL of sysexits.h.
        Failure::Again => 75,
        Failure::OfCommand { code } => code,
        // As shells tell of a program that SIGINT ended.
        Failure::Stopped { .. } => 130,
    })
}
