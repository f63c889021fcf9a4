//! `/init` of the discovery image. As the first process it supervises; with the argument `work` it does the work.
//! Elsewhere it prints the inventory of the machine it runs on, which reads and changes nothing.
//!
//! Exit codes: 0 printed, 1 could not print.

use std::{path::Path, process::ExitCode};

use ironwake_agent::{inventory, supervisor, worker};

fn main() -> ExitCode {
    if std::process::id() == 1 {
        supervisor::run();
    }
    let asked = std::env::args().nth(1);
    // Only as the first process's child: elsewhere the work would take over somebody's network.
    if asked.as_deref() == Some(supervisor::WORK) && nix::unistd::getppid().as_raw() == 1 {
        worker::run();
        return ExitCode::SUCCESS;
    }
    let facts = inventory::read_smbios(Path::new("/"));
    let mut found = inventory::read(Path::new("/"), facts, None);
    inventory::ask_hardware(&mut found);
    match serde_json::to_string_pretty(&found) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("ironwake-agent: {error}");
            ExitCode::FAILURE
        }
    }
}
