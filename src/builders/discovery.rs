//! The discovery image: Debian's kernel, and an initramfs of the agent and the drivers it may need.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use std::{env, fmt};

use ironwake_api::{Artifact, ArtifactKind, ArtifactState, Millis};

use super::cpio::pack;
use super::drivers::{DRIVERS, INSTALLING};
use super::modules::{Chosen, INDEX_VERSION, ModuleError, ModuleTree};
use crate::artifact::{Digest, Recipe};
use crate::artifacts::{ArtifactError, Blob, BootFile, BootManifest, Vault, map_file};

/// Kernel and initramfs together; more takes a machine on a slow network or in a small firmware too long.
const DOWNLOAD_BYTES_MAX: usize = 26_000_000;

/// Where a package of Ironwake puts the agent.
const PACKAGED_AGENT: &str = "/usr/lib/ironwake/ironwake-agent";

/// Mount points of the agent.
const DIRECTORIES: &[&str] = &["dev", "proc", "run", "sys"];

/// The kernel opens it for /init before anything is mounted.
const DEVICES: &[(&str, u32, u32)] = &[("dev/console", 5, 1)];

/// A discovery image that machines can boot.
#[derive(Debug)]
pub struct BuiltDiscovery {
    /// `discovery/vmlinuz`.
    pub kernel: Blob,
    /// `discovery/initramfs`.
    pub initramfs: Blob,
    /// `discovery/installing`: what only a rebuild needs, loaded behind the initramfs.
    pub installing: Blob,
    /// `discovery/rescue`: what a shell needs, loaded behind both; absent where the boot files have no busybox.
    pub rescue: Option<Blob>,
    /// All of them as artifacts.
    pub artifacts: Vec<Artifact>,
    /// How long this took.
    pub build: Duration,
    /// Whether the image was there already.
    pub cached: bool,
}

/// How far a build is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// So many modules have been read, of those known to be needed.
    Modules {
        /// Read.
        done: usize,
        /// Needed so far.
        of: usize,
    },
    /// The archive is packed and being saved.
    Packed {
        /// Its size.
        bytes: usize,
    },
}

/// Why there is no discovery image.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A file could not be read or written.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The kernel's modules.
    #[error("take modules from the kernel package (`./dev setup --refresh` fetches it again)")]
    Modules(#[from] ModuleError),
    /// Packing failed.
    #[error("pack the initramfs: {0}")]
    Pack(String),
    /// Firmware with little memory and slow networks set the limit.
    #[error("kernel and initramfs have {bytes} bytes, more than {DOWNLOAD_BYTES_MAX}")]
    TooLarge {
        /// Both together.
        bytes: usize,
    },
    /// The build was cut off.
    #[error("the build did not end: {0}")]
    Interrupted(String),
}

/// Where the agent's binary is: `$IRONWAKE_AGENT` alone if it is set; else beside the daemon's own
/// executable, where `./dev build` leaves it, or where it is installed. The error says where it was looked for.
pub fn agent_path() -> Result<PathBuf, String> {
    let named = env::var_os("IRONWAKE_AGENT").filter(|value| !value.is_empty()).map(PathBuf::from);
    let candidates = agent_candidates(named, env::current_exe().ok().as_deref());
    let found = candidates.iter().find(|path| path.is_file()).cloned();
    found.ok_or_else(|| {
        let places: Vec<_> = candidates.iter().map(|path| path.display().to_string()).collect();
        format!("no agent at {}; build it with `./dev build`, or set IRONWAKE_AGENT", places.join(", "))
    })
}

fn agent_candidates(named: Option<PathBuf>, executable: Option<&Path>) -> Vec<PathBuf> {
    const BUILT: &str = "x86_64-unknown-linux-musl/agent/ironwake-agent";
    if let Some(named) = named {
        return vec![named];
    }
    let beside = executable.map(|path| path.with_file_name("ironwake-agent"));
    // Up from `target/release/ironwake`, and from a test in `target/debug/deps`.
    let targets = executable.into_iter().flat_map(Path::ancestors).filter(|dir| dir.ends_with("target"));
    let built = targets.map(|dir| dir.join(BUILT));
    // What cargo leaves beside a debug build is the agent for the builder's own libc: it comes after.
    built.chain(beside).chain([PathBuf::from(PACKAGED_AGENT)]).collect()
}

/// The boot file that a shell is made of: one program for all that is typed.
const BUSYBOX: &str = "rescue/busybox";
/// Read by the shell before it asks for the first line.
const SHELL_PROFILE: &str = "PS1='rescue:\\w# '\n\
    case $- in *i*) echo 'Ironwake rescue. Disks are not mounted; all but them is gone with the next boot.';; esac\n";

/// Gives the discovery image made of the kernel in `boot_dir` and the agent, building it unless the vault in
/// `state_dir` has it. `progress` is called from several threads.
pub async fn discovery(
    boot_dir: &Path,
    agent: &Path,
    state_dir: &Path,
    progress: impl Fn(Progress) + Send + Sync + 'static,
) -> Result<BuiltDiscovery, BuildError> {
    let (boot_dir, agent, state_dir) = (boot_dir.to_owned(), agent.to_owned(), state_dir.to_owned());
    tokio::task::spawn_blocking(move || build(&boot_dir, &agent, &state_dir, &progress))
        .await
        .unwrap_or_else(|error| Err(BuildError::Interrupted(error.to_string())))
}

fn build(
    boot_dir: &Path,
    agent: &Path,
    state_dir: &Path,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<BuiltDiscovery, BuildError> {
    let start = Instant::now();
    let package = BootPackage::of(boot_dir);
    let kernel = map_file(&boot_dir.join("kernel/vmlinuz"))?;
    let digests = boot_dir.join("kernel/modules.sha256");
    let agent = map_file(agent)?;
    // The list names the digest of every module, so its own stands for all of them.
    let modules = |kind| {
        let recipe = Recipe::new(kind).with("kernel package", &package).with("index", INDEX_VERSION);
        Ok::<_, ArtifactError>(recipe.with("kernel modules", Digest::of(&map_file(&digests)?)))
    };
    let recipe = modules("discovery-initramfs-1")?
        .with("agent", Digest::of(&agent))
        .with("drivers", drivers().collect::<Vec<_>>().join(","));
    let installing_recipe = modules("discovery-installing-1")?
        .with("drivers", drivers().chain(installing()).collect::<Vec<_>>().join(","));
    let vault = Vault::open(state_dir)?;
    let rescue = rescue(boot_dir, &vault)?;
    let (made, made_installing) = (vault.made_from(&recipe), vault.made_from(&installing_recipe));
    let cached = made.is_some();
    let (found, found_installing) = match (made, made_installing) {
        (Some(found), Some(installing)) => (found, installing),
        _ => {
            let tree = ModuleTree::open(&boot_dir.join("kernel/modules"), &digests)?;
            let progress_of_modules = |done, of| progress(Progress::Modules { done, of });
            let all = tree.choose(drivers().chain(installing()), &progress_of_modules)?;
            if !all.absent.is_empty() {
                tracing::debug!(drivers = ?all.absent, "this kernel has not every driver that is known");
            }
            let base = all.only(&tree, drivers())?;
            let archive = initramfs(&tree, &base, &agent)?;
            progress(Progress::Packed { bytes: archive.len() });
            let bytes = kernel.len() + archive.len();
            if bytes > DOWNLOAD_BYTES_MAX {
                return Err(BuildError::TooLarge { bytes });
            }
            let found = vault.keep(&recipe, &archive)?;
            (found, vault.keep(&installing_recipe, &behind(&tree, &all, &base)?)?)
        }
    };
    if !cached {
        give_memory_back();
    }
    let (installing_digest, installing) = found_installing;
    let installing = Blob::new("discovery/installing", installing, installing_digest);
    let (digest, initramfs) = found;
    let kernel_digest = Digest::of(&kernel);
    let kernel = Blob::new("discovery/vmlinuz", kernel, kernel_digest);
    let initramfs = Blob::new("discovery/initramfs", initramfs, digest);
    let build = start.elapsed();
    let mut artifacts = vec![
        artifact(&kernel, ArtifactKind::Kernel, &package, None),
        artifact(&initramfs, ArtifactKind::Initramfs, &package, (!cached).then_some(build)),
        artifact(&installing, ArtifactKind::Initramfs, &package, None),
    ];
    artifacts
        .extend(rescue.iter().map(|(blob, busybox)| artifact(blob, ArtifactKind::Initramfs, busybox, None)));
    let rescue = rescue.map(|(blob, _)| blob);
    Ok(BuiltDiscovery { kernel, initramfs, installing, rescue, artifacts, build, cached })
}

/// The archive of what a shell needs, and the package that it came from.
fn rescue(boot_dir: &Path, vault: &Vault) -> Result<Option<(Blob, BootPackage)>, BuildError> {
    let path = boot_dir.join(BUSYBOX);
    if !path.exists() {
        tracing::warn!(path = %path.display(), "there is no rescue: this boot file is missing");
        return Ok(None);
    }
    let busybox = map_file(&path)?;
    let recipe = Recipe::new("discovery-rescue-1")
        .with("busybox", Digest::of(&busybox))
        .with("profile", Digest::of(SHELL_PROFILE.as_bytes()));
    let (digest, bytes) = match vault.made_from(&recipe) {
        Some(found) => found,
        None => {
            let files = [
                ("bin/busybox".to_owned(), 0o755, &busybox[..]),
                ("etc/profile".to_owned(), 0o644, SHELL_PROFILE.as_bytes()),
            ];
            let archive = pack(&["root", "tmp", "mnt"], &[], &files)
                .map_err(|error| BuildError::Pack(error.to_string()))?;
            vault.keep(&recipe, &archive)?
        }
    };
    let package = BootPackage::of_file(boot_dir, BUSYBOX);
    Ok(Some((Blob::new("discovery/rescue", bytes, digest), package)))
}

/// A build unpacks every driver; what that took is of no use to the daemon until the next one, weeks later.
fn give_memory_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes no pointer and may be called at any time by any thread (malloc_trim(3)).
    unsafe {
        libc::malloc_trim(0);
    }
}

fn drivers() -> impl Iterator<Item = &'static str> {
    DRIVERS.iter().flat_map(|(_, names)| names.split_ascii_whitespace())
}

fn installing() -> impl Iterator<Item = &'static str> {
    INSTALLING.split_ascii_whitespace()
}

fn initramfs(tree: &ModuleTree, chosen: &Chosen, agent: &[u8]) -> Result<Vec<u8>, BuildError> {
    let index = chosen.index(tree)?;
    let mut files =
        vec![("init".to_owned(), 0o755, agent), ("lib/modules/index".to_owned(), 0o644, index.as_bytes())];
    let modules = chosen.files();
    files.extend(modules.iter().map(|(path, bytes)| (format!("lib/modules/{path}"), 0o644, *bytes)));
    pack(DIRECTORIES, DEVICES, &files).map_err(|error| BuildError::Pack(error.to_string()))
}

/// The archive of what only a rebuild needs. Its index names every module of both archives: unpacked later, it stands in
/// the place of the other one.
fn behind(tree: &ModuleTree, all: &Chosen, base: &Chosen) -> Result<Vec<u8>, BuildError> {
    let index = all.index(tree)?;
    let there = base.files();
    let mut files = vec![("lib/modules/index".to_owned(), 0o644, index.as_bytes())];
    let more = all.files().into_iter().filter(|file| there.binary_search(file).is_err());
    files.extend(more.map(|(path, bytes)| (format!("lib/modules/{path}"), 0o644, bytes)));
    pack(&[], &[], &files).map_err(|error| BuildError::Pack(error.to_string()))
}

fn artifact(blob: &Blob, kind: ArtifactKind, package: &BootPackage, build: Option<Duration>) -> Artifact {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Artifact {
        source: Some(package.package.clone()),
        version: Some(package.version.clone()),
        size: Some(blob.bytes.len() as u64),
        sha256: Some(blob.sha256.clone()),
        path: Some(format!("/boot/files/{}", blob.name)),
        created_at: Some(now.as_millis() as Millis),
        build_ms: build.map(|build| build.as_millis() as u64),
        ..Artifact::new(&*blob.name, kind, ArtifactState::Done)
    }
}

/// The Debian package that a boot file came in, as the manifest has it. It only names: a manifest that cannot
/// be read is reported where boot files are loaded, and what goes into the image is checked by its digests.
struct BootPackage {
    package: String,
    version: String,
    deb_sha256: String,
}

impl BootPackage {
    fn of(boot_dir: &Path) -> Self {
        Self::of_file(boot_dir, "kernel/vmlinuz")
    }

    fn of_file(boot_dir: &Path, name: &str) -> Self {
        let files = BootManifest::load(boot_dir).map(|manifest| manifest.files).unwrap_or_default();
        match files.into_iter().find(|file| file.name == name) {
            Some(BootFile { package, version, deb_sha256, .. }) => Self { package, version, deb_sha256 },
            None => Self { package: "unknown".into(), version: "unknown".into(), deb_sha256: String::new() },
        }
    }
}

impl fmt::Display for BootPackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.package, self.version, self.deb_sha256)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_is_looked_for_where_it_may_be() {
        let check = |named: Option<&str>, executable: &str, expected: &[&str]| {
            let found = agent_candidates(named.map(PathBuf::from), Some(Path::new(executable)));
            assert_eq!(found, expected.iter().map(PathBuf::from).collect::<Vec<_>>());
        };
        check(Some("/x/agent"), "/usr/bin/ironwake", &["/x/agent"]);
        check(None, "/usr/bin/ironwake", &["/usr/bin/ironwake-agent", PACKAGED_AGENT]);
        check(
            None,
            "/src/target/release/ironwake",
            &[
                "/src/target/x86_64-unknown-linux-musl/agent/ironwake-agent",
                "/src/target/release/ironwake-agent",
                PACKAGED_AGENT,
            ],
        );
    }
}
