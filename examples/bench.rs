//! `./dev bench`: how fast Ironwake is beside the servers that it replaces. The program is in `tests/bench/`.

#[path = "../tests/bench/mod.rs"]
mod bench;

use std::process::ExitCode;

fn main() -> ExitCode {
    bench::main()
}
