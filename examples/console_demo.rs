//! `./dev console-demo`: the console on a throw-away daemon with a simulated fleet. The program is in `tests/demo/`.

#[path = "../tests/demo/mod.rs"]
mod demo;

use std::process::ExitCode;

fn main() -> ExitCode {
    demo::main()
}
