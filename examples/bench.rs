//! `./dev bench`: how fast Ironwake is beside the servers that it replaces. The program is in `tests/bench/`.

#[path = "../tests/bench/mod.rs"]
mod bench;

use std::process::ExitCode;

// Where tests have it, for what is shared with them.
use bench::lab;

fn main() -> ExitCode {
    bench::main()
}
