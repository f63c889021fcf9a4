//! `./dev pictures`: pictures of the console for the documentation. The program is in `tests/pictures/`.

#[path = "../tests/pictures/mod.rs"]
mod pictures;

use std::process::ExitCode;

fn main() -> ExitCode {
    pictures::main()
}
