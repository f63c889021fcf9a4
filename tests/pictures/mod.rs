//! Pictures of the console for the documentation: a real session in tmux, on the daemon of the demo, as SVG.
//!
//! Exit codes: 0 every picture is written, 1 not.

// The lab's processes end with their parent; the rest of it is for machines of QEMU.
#[path = "../lab/mod.rs"]
mod lab;
mod svg;
#[path = "../terminal/mod.rs"]
mod terminal;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use clap::Parser;
use lab::Piped;
use terminal::Terminal;

/// Columns and rows of the terminal.
const SIZE: (usize, usize) = (150, 40);
/// The largest picture: they are in the repository, and on its first page.
const BYTES_MAX: usize = 150_000;

/// Each picture: its name, what it shows, the keys that lead there, and a text that is on it.
const PICTURES: [(&str, &str, &[&str], &str); 4] = [
    ("machines", "The list of machines, and the chosen one beside it", &["Down", "Down", "Down"], "Disks ─"),
    ("operations", "Operations with their progress", &["2"], "iB/s"),
    ("settings", "A setting, changed where it stands", &["6", "s", "Down", "Down", "Down", "Enter"], "text"),
    // The eighth state that machines are in is known.
    (
        "rebuild",
        "What a rebuild overwrites, before it is armed by the machine's name",
        &["Escape", "1", "f", "f", "f", "f", "f", "f", "f", "f", "b", "Down", "Enter", "Enter", "Enter"],
        "cannot be had back",
    ),
];

/// Makes pictures of the console.
#[derive(Debug, Parser)]
#[command(name = "console-pictures")]
struct Arguments {
    /// The folder of the pictures.
    #[arg(long, default_value = "docs/pictures")]
    folder: PathBuf,
    /// Where the daemon of the demo keeps everything, which is seen in the pictures; a folder that goes with it unless given.
    #[arg(long)]
    place: Option<PathBuf>,
    /// The program of the demo; the one beside this program unless given.
    #[arg(long)]
    demo: Option<PathBuf>,
    /// The daemon; the console is beside it.
    #[arg(long, env = "IRONWAKE_BIN", default_value = "target/release/ironwake")]
    ironwake: PathBuf,
}

/// Runs the program.
pub fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("console-pictures: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let beside = std::env::current_exe()?.with_file_name("console_demo");
    let mut demo = Command::new(arguments.demo.as_ref().unwrap_or(&beside));
    let folder = tempfile::tempdir()?;
    // The demo is killed in the end, and removes nothing.
    let place = arguments.place.clone().unwrap_or_else(|| folder.path().join("demo"));
    demo.args(["--serve", "--ironwake"]).arg(&arguments.ironwake).arg("--folder").arg(place);
    let mut demo = Piped::start("console_demo", demo, &folder.path().join("log"))?;
    let mut socket = String::new();
    BufReader::new(demo.0.stdout.take().context("a pipe")?).read_line(&mut socket)?;
    if socket.trim().is_empty() {
        bail!("the demo did not start: {}", fs::read_to_string(folder.path().join("log"))?);
    }
    let console = arguments.ironwake.with_file_name("ironwake-console");
    let line = format!("{} --socket {}", console.display(), socket.trim());
    let terminal = Terminal::open(folder.path(), SIZE, &line)?;
    terminal.wait("live")?;
    fs::create_dir_all(&arguments.folder)?;
    for (name, about, keys, shown) in PICTURES {
        for key in keys {
            terminal.key(key)?;
        }
        terminal.wait(shown)?;
        let picture = svg::picture(&terminal.coloured()?, SIZE.0, SIZE.1, about);
        if picture.len() > BYTES_MAX {
            bail!("{name} has {} bytes, more than {BYTES_MAX}", picture.len());
        }
        let path = arguments.folder.join(format!("{name}.svg"));
        fs::write(&path, picture).with_context(|| format!("write {}", path.display()))?;
        println!("{}: {about}", path.display());
    }
    Ok(())
}
