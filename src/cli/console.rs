//! `ironwake console`: the console, a program of its own that takes this one's place.

use std::env;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, anyhow};

use super::Failure;
use super::connect;

/// The program.
const NAME: &str = "ironwake-console";

/// Becomes the console, which finds the daemon where this command would. Returns only where it cannot be started.
pub fn run(connect: &connect::Args) -> Result<(), Failure> {
    let own = env::current_exe().context("find where this program lies")?;
    let program = find(&own, env::var_os("PATH")).ok_or_else(|| {
        anyhow!("{NAME} is not installed: it is neither beside {} nor in PATH", own.display())
    })?;
    let error = Command::new(&program).args(connect.arguments()).exec();
    Err(anyhow::Error::from(error).context(format!("start {}", program.display())).into())
}

/// The console beside `own`, else the first in the folders of `path`. Folders that depend on where one stands are left out:
/// what lies there is anybody's.
fn find(own: &Path, path: Option<OsString>) -> Option<PathBuf> {
    let beside = own.parent().map(Path::to_owned);
    let folders: Vec<PathBuf> = path.map(|path| env::split_paths(&path).collect()).unwrap_or_default();
    let absolute = beside.into_iter().chain(folders).filter(|folder| folder.is_absolute());
    absolute.map(|folder| folder.join(NAME)).find(|program| is_program(program))
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn install(folder: &Path, mode: u32) -> PathBuf {
        fs::create_dir_all(folder).expect("a folder");
        let program = folder.join(NAME);
        fs::write(&program, "").expect("written");
        fs::set_permissions(&program, fs::Permissions::from_mode(mode)).expect("changed");
        program
    }

    #[test]
    fn the_one_beside_comes_first_and_what_cannot_be_run_is_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let own = folder.path().join("bin/ironwake");
        let path = |folders: &[&Path]| Some(env::join_paths(folders).expect("a path"));
        let (first, second) = (folder.path().join("first"), folder.path().join("second"));
        let found = |folders: &[&Path]| find(&own, path(folders));
        assert_eq!(found(&[&first, &second]), None);
        install(&first, 0o644);
        let in_path = install(&second, 0o755);
        assert_eq!(found(&[&first, &second]), Some(in_path), "the first one cannot be run");
        assert_eq!(found(&[Path::new("second"), Path::new("")]), None, "nothing relative");
        let beside = install(&folder.path().join("bin"), 0o755);
        assert_eq!(found(&[&second]), Some(beside.clone()));
        assert_eq!(find(&own, None), Some(beside));
    }
}
