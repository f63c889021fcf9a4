//! Unpacking a backup beside the state, and checking all of it, before any of it counts.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use age::secrecy::SecretString;
use age::{DecryptError, Decryptor};
use ironwake_api::{Restored, Secret};
use nix::sys::statvfs::statvfs;

use super::manifest::{DATABASE, Entry, FORMAT, MANIFEST, Manifest, Place, place};
use super::take_up::Note;
use super::write::{Hashed, remove_folder};
use super::{BackupError, COMMITTED, MANIFEST_BYTES_MAX, STAGING, WORK_MAX};
use crate::artifact::Digest;
use crate::config::SETTINGS;
use crate::private;
use crate::store::{self, SCHEMA_VERSION};

/// A file that is held in memory: keys and settings.
const TEXT_BYTES_MAX: u64 = 16 << 20;
/// So much stays free beside what is unpacked.
const FREE_BYTES_MIN: u64 = 64 << 20;
/// How age's files begin.
const BEGINNING: &[u8] = b"age-encryption.org/v1\n";
/// How the last line of their head does.
const HEAD_END: &[u8] = b"\n--- ";
/// One passphrase takes 150 bytes of it.
const HEAD_BYTES_MAX: u64 = 1024;
/// Files of a backup.
const FILES_MAX: usize = 100_000;

/// What the settings of this appliance become, from the operator's file and the settings of the one that was backed up.
pub type Settle<'f> = &'f dyn Fn(&str, &str) -> Result<String, String>;

/// A backup that is unpacked and whole. It goes unless it is committed.
pub struct Staged {
    state: PathBuf,
    /// What it says of itself.
    pub manifest: Manifest,
    machines: u64,
    images: u64,
    /// Names of images whose bytes are neither in it nor here.
    images_missing: Vec<String>,
    /// Files of the host that are not here as they are in it.
    by_hand: Vec<String>,
    ssh_host_key: Option<String>,
    /// Files of the state directory that are unpacked.
    files: Vec<String>,
    committed: bool,
}

impl Staged {
    /// Reads a backup to its end and unpacks it in the state directory, where nothing looks at it. `credential` is the key
    /// that this daemon is passed, if it is. Blocks.
    pub fn unpack(
        body: impl Read,
        passphrase: &str,
        state: &Path,
        credential: Option<&Path>,
        settle: Settle<'_>,
    ) -> Result<Self, BackupError> {
        if state.join(COMMITTED).exists() {
            return Err(BackupError::Busy);
        }
        let plain = decrypt(body, passphrase)?;
        let mut archive = tar::Archive::new(plain);
        let mut entries = archive.entries().map_err(broken)?;
        let manifest = manifest(entries.next())?;
        check_room(state, manifest.bytes())?;
        let folder = state.join(STAGING);
        remove_folder(&folder)?;
        make_folder(&folder)?;
        let mut staged = Self {
            state: state.into(),
            manifest,
            machines: 0,
            images: 0,
            images_missing: Vec::new(),
            by_hand: Vec::new(),
            ssh_host_key: None,
            files: Vec::new(),
            committed: false,
        };
        for name in ["state", "imports", "network"] {
            make_folder(&folder.join(name))?;
        }
        let mut lower = String::new();
        for expected in staged.manifest.files.clone() {
            let entry = entries.next().ok_or_else(|| damaged(format!("{} is missing", expected.name)))?;
            let entry = entry.map_err(broken)?;
            check_entry(&entry, &expected)?;
            if let Some(text) = staged.take(entry, &expected)? {
                lower = text;
            }
        }
        if entries.next().is_some() {
            return Err(damaged("there is more in it than it says".into()));
        }
        // What encrypted it vouches for its end only once that is read.
        io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(broken)?;
        staged.judge(&lower, credential, settle)?;
        Ok(staged)
    }

    /// Takes one file in; returns the operator's file, if it is that.
    fn take(&mut self, entry: impl Read, expected: &Entry) -> Result<Option<String>, BackupError> {
        let folder = self.state.join(STAGING);
        let kept = match place(&expected.name) {
            Some(Place::State(name)) => {
                self.files.push(name.to_owned());
                folder.join("state").join(name)
            }
            Some(Place::Import(digest)) => {
                self.images += 1;
                folder.join("imports").join(digest.to_string())
            }
            Some(Place::Network(name)) => folder.join("network").join(name),
            Some(Place::Configuration) => return self.text(entry, expected).map(Some),
            Some(Place::SshHostKey) => {
                self.ssh_host_key = Some(self.text(entry, expected)?);
                return Ok(None);
            }
            Some(Place::Host(path)) => {
                digested(entry, expected, &mut io::sink())?;
                let here = Path::new("/").join(path);
                if fs::read(&here).map(|bytes| Digest::of(&bytes).to_string()).ok()
                    != Some(expected.sha256.clone())
                {
                    self.by_hand.push(here.display().to_string());
                }
                return Ok(None);
            }
            None => return Err(damaged(format!("nobody knows where {:?} belongs", expected.name))),
        };
        let failed = |source| BackupError::file("write", &kept)(source);
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&kept).map_err(failed)?;
        digested(entry, expected, &mut file)?;
        file.sync_all().map_err(failed)?;
        Ok(None)
    }

    fn text(&self, entry: impl Read, expected: &Entry) -> Result<String, BackupError> {
        if expected.size > TEXT_BYTES_MAX {
            return Err(damaged(format!("{} is too large", expected.name)));
        }
        let mut bytes = Vec::new();
        digested(entry, expected, &mut bytes)?;
        String::from_utf8(bytes).map_err(|_| damaged(format!("{} is not text", expected.name)))
    }

    /// Looks whether a daemon could go on from it.
    fn judge(
        &mut self,
        lower: &str,
        credential: Option<&Path>,
        settle: Settle<'_>,
    ) -> Result<(), BackupError> {
        let folder = self.state.join(STAGING).join("state");
        if !self.files.iter().any(|name| name == DATABASE)
            || !self.files.iter().any(|name| name == "site.key")
        {
            return Err(damaged("it has no database or no site.key".into()));
        }
        let found = store::inspect(&folder.join(DATABASE))?;
        if found.schema != self.manifest.schema {
            let (is, said) = (found.schema, self.manifest.schema);
            return Err(damaged(format!("its database has schema {is}, and it says {said}")));
        }
        self.machines = found.machines;
        let here: HashSet<String> = match fs::read_dir(self.state.join("imports")) {
            Ok(entries) => {
                entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
            }
            Err(_) => HashSet::new(),
        };
        let has = |sha256: &str| here.contains(sha256) || self.manifest.has(&format!("imports/{sha256}"));
        self.images_missing =
            found.imports.into_iter().filter(|(_, sha256)| !has(sha256)).map(|(name, _)| name).collect();

        if let Some(credential) = credential {
            let passed = fs::read(credential).map_err(BackupError::file("read", credential))?;
            let key = folder.join("site.key");
            if private::read(&key, TEXT_BYTES_MAX)?.is_some_and(|kept| kept != passed) {
                return Err(BackupError::Credential);
            }
            // Whoever binds the key to this machine does not want it in a file.
            fs::remove_file(&key).map_err(BackupError::file("remove", &key))?;
            self.files.retain(|name| name != "site.key");
        }
        let settings = folder.join(SETTINGS);
        let upper = private::read(&settings, TEXT_BYTES_MAX)?.unwrap_or_default();
        let upper = String::from_utf8(upper).map_err(|_| damaged(format!("{SETTINGS} is not text")))?;
        let settled = settle(lower, &upper).map_err(BackupError::Settings)?;
        private::write(&settings, settled.as_bytes())?;
        if !self.files.iter().any(|name| name == SETTINGS) {
            self.files.push(SETTINGS.into());
        }
        Ok(())
    }

    /// As it is told to whoever restores it.
    pub fn shown(&self) -> Restored {
        Restored {
            made_at: self.manifest.made_at,
            version: self.manifest.version.clone(),
            hostname: self.manifest.hostname.clone(),
            machines: self.machines,
            images: self.images,
            images_missing: self.images_missing.clone(),
            by_hand: self.by_hand.clone(),
            ssh_host_key: self.ssh_host_key.clone().map(Secret),
        }
    }

    /// Makes it count: the next daemon goes on from it, and from nothing else. What the running one saves from here on is
    /// lost, so it ends at once.
    pub fn commit(mut self, note: Note) -> Result<(), BackupError> {
        let folder = self.state.join(STAGING);
        let note = Note { state: std::mem::take(&mut self.files), ..note };
        let text = serde_json::to_vec(&note).unwrap_or_default();
        private::write(&folder.join(super::NOTE), &text)?;
        give_to_owner(&folder, &self.state)?;
        for name in ["state", "imports", "network", ""] {
            sync_folder(&folder.join(name))?;
        }
        let committed = self.state.join(COMMITTED);
        fs::rename(&folder, &committed).map_err(BackupError::file("rename to", &committed))?;
        self.committed = true;
        sync_folder(&self.state)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.committed
            && let Err(error) = remove_folder(&self.state.join(STAGING))
        {
            tracing::warn!(%error, "what was unpacked of a backup stays until the next start");
        }
    }
}

/// What root unpacks belongs to whom the state directory does.
fn give_to_owner(folder: &Path, state: &Path) -> Result<(), BackupError> {
    let owner = fs::metadata(state).map_err(BackupError::file("look at", state))?;
    if !nix::unistd::geteuid().is_root() || owner.uid() == 0 {
        return Ok(());
    }
    let give = |path: &Path| std::os::unix::fs::lchown(path, Some(owner.uid()), Some(owner.gid()));
    let mut waiting = vec![folder.to_path_buf()];
    while let Some(path) = waiting.pop() {
        let mut given = || -> io::Result<()> {
            give(&path)?;
            if path.is_dir() {
                for entry in fs::read_dir(&path)? {
                    waiting.push(entry?.path());
                }
            }
            Ok(())
        };
        given().map_err(BackupError::file("give away", &path))?;
    }
    Ok(())
}

fn make_folder(path: &Path) -> Result<(), BackupError> {
    DirBuilder::new().mode(0o700).create(path).map_err(BackupError::file("make", path))
}

pub(super) fn sync_folder(path: &Path) -> Result<(), BackupError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(BackupError::file("save", path))
}

fn decrypt<R: Read>(body: R, passphrase: &str) -> Result<impl Read + use<R>, BackupError> {
    let foreign = |why: &str| BackupError::Foreign(why.to_owned());
    let told = |error: DecryptError| match error {
        DecryptError::NoMatchingKeys | DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => {
            BackupError::Passphrase
        }
        DecryptError::InvalidHeader | DecryptError::UnknownFormat => foreign("it is not encrypted by age"),
        DecryptError::InvalidMac => damaged("its head is not what it was".into()),
        DecryptError::ExcessiveWork { required, .. } => {
            foreign(&format!("its passphrase takes 2^{required} rounds, and 2^{WORK_MAX} are taken at most"))
        }
        DecryptError::Io(error) => broken(error),
    };
    // What reads a head holds all of it, so it is looked at before.
    let mut body = BufReader::new(body);
    let mut head = Vec::new();
    body.by_ref().take(HEAD_BYTES_MAX).read_to_end(&mut head).map_err(broken)?;
    let short = (head.len() as u64) < HEAD_BYTES_MAX;
    if !head.starts_with(BEGINNING) {
        return Err(match BEGINNING.starts_with(&head) {
            true => damaged("it ends in its head".into()),
            false => foreign("it is not encrypted by age"),
        });
    }
    if !head.windows(HEAD_END.len()).any(|bytes| bytes == HEAD_END) {
        return Err(match short {
            true => damaged("it ends in its head".into()),
            false => foreign("its head is too long for a passphrase"),
        });
    }
    let sealed = Decryptor::new(io::Cursor::new(head).chain(body)).map_err(told)?;
    if !sealed.is_scrypt() {
        return Err(foreign("it is encrypted to a key and not with a passphrase"));
    }
    let mut identity = age::scrypt::Identity::new(SecretString::from(passphrase.to_owned()));
    identity.set_max_work_factor(WORK_MAX);
    sealed.decrypt(std::iter::once(&identity as &dyn age::Identity)).map_err(told)
}

/// What reading failed with: bytes that are not what they were, or none where there should be some.
fn broken(error: io::Error) -> BackupError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<BrokenOff>()) {
        Some(BrokenOff) => BackupError::BrokenOff,
        None => damaged(error.to_string()),
    }
}

fn damaged(what: String) -> BackupError {
    BackupError::Damaged(what)
}

/// That what was read is not all, as the error of a reader.
#[derive(Debug, thiserror::Error)]
#[error("it was not sent to its end")]
pub struct BrokenOff;

/// What every version of a manifest has.
#[derive(serde::Deserialize)]
struct Head {
    format: u32,
    version: String,
    schema: u32,
}

fn manifest<R: Read>(first: Option<io::Result<tar::Entry<'_, R>>>) -> Result<Manifest, BackupError> {
    let foreign = |why: &str| BackupError::Foreign(why.to_owned());
    let Some(first) = first else { return Err(foreign("it is empty")) };
    let mut first = first.map_err(broken)?;
    if first.path_bytes().as_ref() != MANIFEST.as_bytes() {
        return Err(foreign("it does not begin with backup.json"));
    }
    if first.size() > MANIFEST_BYTES_MAX {
        return Err(foreign("its backup.json is too large"));
    }
    let mut text = Vec::new();
    first.read_to_end(&mut text).map_err(broken)?;
    let head: Head =
        serde_json::from_slice(&text).map_err(|error| BackupError::Foreign(error.to_string()))?;
    if head.format > FORMAT || head.schema > SCHEMA_VERSION {
        let Head { format, version, schema } = head;
        return Err(BackupError::Newer { version, format, schema });
    }
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|error| BackupError::Foreign(error.to_string()))?;
    if manifest.files.len() > FILES_MAX {
        return Err(foreign("it has too many files"));
    }
    Ok(manifest)
}

fn check_entry<R: Read>(entry: &tar::Entry<'_, R>, expected: &Entry) -> Result<(), BackupError> {
    let name = entry.path_bytes();
    let regular = entry.header().entry_type() == tar::EntryType::Regular;
    if name.as_ref() != expected.name.as_bytes() || entry.size() != expected.size || !regular {
        let found = String::from_utf8_lossy(&name);
        return Err(damaged(format!("{found} is where {} should be", expected.name)));
    }
    Ok(())
}

/// Copies a file, and refuses other bytes than were announced.
fn digested(entry: impl Read, expected: &Entry, sink: &mut impl Write) -> Result<(), BackupError> {
    let mut hashed = Hashed::new(entry);
    // Reading and writing fail for different reasons.
    let mut piece = vec![0; 256 << 10];
    let mut size = 0;
    loop {
        let count = hashed.read(&mut piece).map_err(broken)?;
        if count == 0 {
            break;
        }
        size += count as u64;
        sink.write_all(&piece[..count]).map_err(BackupError::file("write", &expected.name))?;
    }
    if size != expected.size || hashed.digest().to_string() != expected.sha256 {
        return Err(damaged(format!("{} is not what it was", expected.name)));
    }
    Ok(())
}

fn check_room(state: &Path, bytes: u64) -> Result<(), BackupError> {
    let filesystem = statvfs(state).map_err(|errno| BackupError::file("look at", state)(errno.into()))?;
    let free = filesystem.blocks_available() as u64 * filesystem.fragment_size() as u64;
    let wanted = bytes.saturating_add(FREE_BYTES_MIN);
    match free >= wanted {
        true => Ok(()),
        false => Err(BackupError::NoRoom { dir: state.into(), free, wanted }),
    }
}
