//! Where the bench keeps its files: all below the cache that `./dev` fills.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// For the transfer of one large file by TFTP: a kernel and its initramfs.
pub const TFTP_FILE: Payload = Payload { name: "bench-tftp.bin", bytes: 64_000_000 };
/// For many TFTP clients at once.
pub const TFTP_SMALL: Payload = Payload { name: "bench-tftp-small.bin", bytes: 4_000_000 };
/// For HTTP throughput: a large initramfs or a disk image's piece.
pub const HTTP_FILE: Payload = Payload { name: "bench-http.bin", bytes: 200_000_000 };
/// For HTTP requests per second.
pub const HTTP_SMALL: Payload = Payload { name: "bench-http-small.bin", bytes: 4096 };

/// A disk image, long enough that its beginning and end hardly count; it is imported, not published.
const DISK_IMAGE: Payload = Payload { name: "bench-disk.raw", bytes: 512 << 20 };

/// Where loaders are in a folder of boot files; all of them are published.
const LOADERS: &str = "loaders";
/// What describes a folder of boot files.
const MANIFEST: &str = "manifest.json";

const PAYLOADS: [Payload; 4] = [TFTP_FILE, TFTP_SMALL, HTTP_FILE, HTTP_SMALL];

/// A file that every server publishes.
#[derive(Debug, Clone, Copy)]
pub struct Payload {
    /// Its name in the published folder.
    pub name: &'static str,
    /// Its size.
    pub bytes: u64,
}

/// The folders of one run. Leases and databases are on disk, so that what a server promises to keep costs
/// what it costs; only what clients receive goes to memory.
#[derive(Debug)]
pub struct Dirs {
    /// State of the servers; emptied before and after each run.
    run: PathBuf,
    /// What `IRONWAKE_BOOT` names: the payloads beside the boot files, with a manifest.
    pub boot: PathBuf,
    /// What every server publishes, a folder of the former; kept, since its files never change.
    pub published: PathBuf,
    /// Programs that cannot be installed beside each other, unpacked.
    pub peers: PathBuf,
    /// Two benches at once would measure each other: held for as long as this lives.
    _lock: File,
}

impl Dirs {
    /// Makes the folders and files. Needs the private mount namespace of [`super::wire`].
    pub fn prepare() -> Result<Self> {
        let cache = cache()?;
        let bench = cache.join("bench");
        let (run, boot, peers) = (bench.join("run"), bench.join("boot"), cache.join("peers"));
        let published = boot.join(LOADERS);
        fs::create_dir_all(&bench).with_context(|| format!("make {}", bench.display()))?;
        let lock = File::create(bench.join("lock"))?;
        if lock.try_lock().is_err() {
            bail!("another bench is running: {} is locked", bench.join("lock").display());
        }
        if run.exists() {
            fs::remove_dir_all(&run)?;
        }
        for dir in [&run.join("received"), &published, &peers] {
            fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        }
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "bench"]).arg(run.join("received"));
        super::wire::succeed(mount)?;
        for payload in PAYLOADS {
            payload.write(&published)?;
        }
        publish(&cache.join("boot"), &boot)?;
        Ok(Self { run, boot, published, peers, _lock: lock })
    }

    /// An empty folder for one start of one server.
    pub fn state(&self, name: &str) -> Result<PathBuf> {
        let dir = self.run.join(name);
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
        Ok(dir)
    }

    /// The disk image, made at the first call.
    pub fn disk_image(&self) -> Result<PathBuf> {
        let dir = self.boot.with_file_name("images");
        fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
        DISK_IMAGE.write(&dir)?;
        Ok(dir.join(DISK_IMAGE.name))
    }

    /// A file packed with zstd, as it was before.
    pub fn unpacked(&self, packed: &Path) -> Result<PathBuf> {
        let name = packed.file_name().context("a path that names a file")?;
        let raw = self.run.join(name).with_extension("raw");
        let mut zstd = Command::new("zstd");
        zstd.args(["-q", "-d", "-f", "--no-sparse"]).arg(packed).arg("-o").arg(&raw);
        super::wire::succeed(zstd)?;
        Ok(raw)
    }

    /// Where clients put what they fetch; in memory, so that no disk is measured.
    pub fn received(&self) -> PathBuf {
        self.run.join("received")
    }
}

impl Drop for Dirs {
    fn drop(&mut self) {
        // The mount keeps `received` itself busy; the next run removes what is left.
        let _ = fs::remove_dir_all(&self.run);
    }
}

impl Payload {
    /// Writes incompressible, repeatable bytes unless the file is there already.
    fn write(self, dir: &Path) -> Result<()> {
        let path = dir.join(self.name);
        if fs::metadata(&path).is_ok_and(|found| found.len() == self.bytes) {
            return Ok(());
        }
        let mut file =
            BufWriter::new(File::create(&path).with_context(|| format!("write {}", path.display()))?);
        let mut word = 0x9e37_79b9_7f4a_7c15_u64 ^ self.bytes;
        let mut left = self.bytes as usize;
        while left > 0 {
            // xorshift64: long enough a period that no window of the file repeats.
            word ^= word << 13;
            word ^= word >> 7;
            word ^= word << 17;
            let piece = left.min(8);
            file.write_all(&word.to_le_bytes()[..piece])?;
            left -= piece;
        }
        file.flush()?;
        Ok(())
    }
}

/// Writes the manifest of `boot`: the payloads, and the real boot files by links, so that the daemon at rest
/// is one that has built its discovery image.
fn publish(real: &Path, boot: &Path) -> Result<()> {
    let mut files = Vec::new();
    if let Ok(text) = fs::read_to_string(real.join(MANIFEST)) {
        let manifest: Value = serde_json::from_str(&text).context("read the boot files' manifest")?;
        files = manifest["files"].as_array().cloned().unwrap_or_default();
        link_entries(real, boot)?;
        link_entries(&real.join(LOADERS), &boot.join(LOADERS))?;
    }
    for payload in PAYLOADS {
        let path = boot.join(LOADERS).join(payload.name);
        let digest = Sha256::digest(fs::read(&path).with_context(|| format!("read {}", path.display()))?);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let name = format!("{LOADERS}/{}", payload.name);
        files.push(json!({
            "name": name, "package": "bench", "version": "1", "sha256": hex, "size": payload.bytes,
        }));
    }
    let text = json!({ "layout": 1, "files": files }).to_string();
    fs::write(boot.join(MANIFEST), text).context("write the manifest")
}

/// Links every entry of `from` into `to` that is not there yet.
fn link_entries(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("read {}", from.display()))? {
        let entry = entry?;
        let link = to.join(entry.file_name());
        if entry.file_name() != MANIFEST && fs::symlink_metadata(&link).is_err() {
            symlink(entry.path(), &link).with_context(|| format!("link {}", link.display()))?;
        }
    }
    Ok(())
}

fn cache() -> Result<PathBuf> {
    if let Some(cache) = std::env::var_os("IRONWAKE_CACHE") {
        return Ok(PathBuf::from(cache));
    }
    let home = std::env::var_os("HOME").context("neither IRONWAKE_CACHE nor HOME is set")?;
    Ok(Path::new(&home).join(".cache/ironwake"))
}
