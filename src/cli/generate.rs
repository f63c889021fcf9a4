//! `ironwake completions` and `ironwake man`: made from the same arguments that are parsed.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::CommandFactory;

use super::{Cli, Context, Failure};

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub struct CompletionArgs {
    /// Which shell
    shell: clap_complete::Shell,
}

/// Arguments of `man`.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// Folder to write to; made if missing
    folder: PathBuf,
}

pub fn completions(args: &CompletionArgs, context: &mut Context) -> Result<(), Failure> {
    // Written to memory first: clap_complete panics where a pipe is closed.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "ironwake", &mut script);
    Ok(context.output.raw(&script)?)
}

pub fn man(args: &ManArgs) -> Result<(), Failure> {
    let folder = args.folder.display();
    std::fs::create_dir_all(&args.folder).with_context(|| format!("make the folder {folder}"))?;
    clap_mangen::generate_to(Cli::command(), &args.folder)
        .with_context(|| format!("write man pages to {folder}"))?;
    Ok(())
}
