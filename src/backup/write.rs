//! Making a backup: what is in it is looked up first, and then sent as it is read.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use age::secrecy::SecretString;
use ironwake_api::Millis;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::manifest::{
    CONFIGURATION, DATABASE, Entry, FORMAT, MANIFEST, Manifest, SSH_HOST_KEY, STATE_FILES,
};
use super::{BACKING_UP, BackupError, WORK};
use crate::artifact::Digest;
use crate::private;
use crate::store::{self, SCHEMA_VERSION};
use crate::systemd::NetworkFiles;

/// A file of keys or settings; the operator's file may have 16 MiB.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Files of the operator's profiles, with all that lies beside them.
const HOST_FILES_MAX: usize = 10_000;
/// Bytes that are read at once.
const PIECE_BYTES: usize = 256 << 10;

/// Where a backup's files are.
pub struct Sources<'s> {
    /// The state directory.
    pub state: &'s Path,
    /// The operator's file.
    pub configuration: &'s Path,
    /// The key, where it is no file of the state directory.
    pub key: Option<&'s Path>,
    /// Files of addresses.
    pub network: &'s NetworkFiles,
    /// Files and folders of the host that settings name; those that cannot be read are left out.
    pub host: &'s [PathBuf],
    /// Digests of images.
    pub images: &'s [Digest],
    /// The key of the SSH server.
    pub ssh_host_key: Option<String>,
    /// What the appliance is called.
    pub hostname: String,
    /// What time it is.
    pub now: Millis,
}

/// A backup that can be sent.
pub struct Prepared {
    manifest: Manifest,
    items: Vec<Item>,
    _folder: Folder,
}

/// The bytes of a file.
enum Item {
    Bytes(Zeroizing<Vec<u8>>),
    File(File),
}

/// A folder that goes with this.
struct Folder(PathBuf);

impl Folder {
    fn make(path: PathBuf) -> Result<Self, BackupError> {
        remove_folder(&path)?;
        DirBuilder::new().mode(0o700).create(&path).map_err(BackupError::file("make", &path))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = remove_folder(&self.0) {
            tracing::warn!(%error, "what a backup needed stays until the next start");
        }
    }
}

/// Removes a folder with all in it, if it is there.
pub(super) fn remove_folder(path: &Path) -> Result<(), BackupError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(BackupError::file("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// Copies the database and looks up everything else. Blocks, for about as long as the database takes to be read.
pub fn prepare(sources: Sources<'_>) -> Result<Prepared, BackupError> {
    let state = sources.state;
    let folder = Folder::make(state.join(BACKING_UP))?;
    let mut collected = Collected::default();
    let database = folder.0.join(DATABASE);
    store::snapshot(&state.join(DATABASE), &database)?;
    let file = File::open(&database).map_err(BackupError::file("read", &database))?;
    let (size, digest) = digest_of(&file).map_err(BackupError::file("read", &database))?;
    let file = File::open(&database).map_err(BackupError::file("read", &database))?;
    collected.add(format!("state/{DATABASE}"), size, digest, Item::File(file));

    for name in STATE_FILES.iter().filter(|name| **name != DATABASE) {
        let bytes = match (*name, sources.key) {
            // Its mode is not looked at: systemd lets the unit's user in by an access list.
            ("site.key", Some(credential)) => {
                Some(fs::read(credential).map_err(BackupError::file("read", credential))?)
            }
            _ => private::read(&state.join(name), FILE_BYTES_MAX)?,
        };
        collected.bytes(format!("state/{name}"), bytes);
    }
    match fs::read(sources.configuration) {
        Ok(bytes) => collected.bytes(CONFIGURATION.into(), Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(BackupError::file("read", sources.configuration)(error)),
    }
    for (name, text) in sources.network.all().map_err(BackupError::file("read", "the files of networks"))? {
        collected.bytes(format!("network/{name}"), Some(text.into_bytes()));
    }
    for path in sources.host {
        collected.host(path);
    }
    collected.bytes(SSH_HOST_KEY.into(), sources.ssh_host_key.map(String::into_bytes));
    for digest in sources.images {
        let path = state.join("imports").join(digest.to_string());
        let file = File::open(&path).map_err(BackupError::file("read", &path))?;
        let size = file.metadata().map_err(BackupError::file("read", &path))?.len();
        collected.add(format!("imports/{digest}"), size, *digest, Item::File(file));
    }
    let manifest = Manifest {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").into(),
        schema: SCHEMA_VERSION,
        made_at: sources.now,
        hostname: sources.hostname,
        artifacts: !sources.images.is_empty(),
        files: collected.entries,
    };
    Ok(Prepared { manifest, items: collected.items, _folder: folder })
}

#[derive(Default)]
struct Collected {
    entries: Vec<Entry>,
    items: Vec<Item>,
}

impl Collected {
    fn add(&mut self, name: String, size: u64, digest: Digest, item: Item) {
        self.entries.push(Entry { name, size, sha256: digest.to_string() });
        self.items.push(item);
    }

    fn bytes(&mut self, name: String, bytes: Option<Vec<u8>>) {
        if let Some(bytes) = bytes.map(Zeroizing::new) {
            self.add(name, bytes.len() as u64, Digest::of(&bytes), Item::Bytes(bytes));
        }
    }

    /// A file of the host, or every file of a folder. What cannot be read is told and left out: it is not the daemon's.
    fn host(&mut self, path: &Path) {
        let mut waiting = vec![path.to_path_buf()];
        while let Some(path) = waiting.pop() {
            if self.entries.len() >= HOST_FILES_MAX {
                tracing::warn!("more than {HOST_FILES_MAX} files: {} is not in the backup", path.display());
                return;
            }
            let mut read = || -> io::Result<Option<Vec<u8>>> {
                let metadata = fs::metadata(&path)?;
                if metadata.is_dir() {
                    let mut below: Vec<PathBuf> =
                        fs::read_dir(&path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
                    below.sort();
                    waiting.extend(below.into_iter().rev());
                    return Ok(None);
                }
                if !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
                    return Err(io::Error::other("it is no file of a reasonable size"));
                }
                fs::read(&path).map(Some)
            };
            match read() {
                Ok(bytes) => {
                    let name = path.to_string_lossy().trim_start_matches('/').to_owned();
                    let name = format!("host/{name}");
                    // A name that could not be put back is of no use.
                    let bytes = bytes.filter(|_| super::manifest::place(&name).is_some());
                    self.bytes(name, bytes);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => tracing::warn!(%error, path = %path.display(), "it is not in the backup"),
            }
        }
    }
}

impl Prepared {
    /// What is in it.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Writes all of it, encrypted. Blocks.
    pub fn write_to(self, passphrase: &str, sink: impl Write) -> Result<(), BackupError> {
        let sent = |error| BackupError::File { what: "send", path: "the backup".into(), source: error };
        let Self { manifest, items, _folder } = self;
        let mut recipient = age::scrypt::Recipient::new(SecretString::from(passphrase.to_owned()));
        recipient.set_work_factor(WORK);
        let recipients = std::iter::once(&recipient as &dyn age::Recipient);
        let sealing =
            age::Encryptor::with_recipients(recipients).map_err(|error| sent(io::Error::other(error)))?;
        let mut tar = tar::Builder::new(sealing.wrap_output(sink).map_err(sent)?);
        let head = serde_json::to_vec_pretty(&manifest).map_err(|error| sent(error.into()))?;
        let header = header(head.len() as u64, manifest.made_at);
        tar.append_data(&mut header.clone(), MANIFEST, &head[..]).map_err(sent)?;
        for (entry, item) in manifest.files.iter().zip(items) {
            let bytes: Box<dyn Read> = match item {
                Item::Bytes(bytes) => Box::new(io::Cursor::new(bytes)),
                Item::File(file) => Box::new(file),
            };
            let mut hashed = Hashed::new(bytes.take(entry.size));
            let mut header = self::header(entry.size, manifest.made_at);
            tar.append_data(&mut header, &entry.name, &mut hashed).map_err(sent)?;
            if hashed.digest().to_string() != entry.sha256 {
                return Err(BackupError::Image(entry.name.clone()));
            }
        }
        let mut sink = tar.into_inner().and_then(|sealed| sealed.finish()).map_err(sent)?;
        sink.flush().map_err(sent)
    }
}

fn header(size: u64, made_at: Millis) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o600);
    header.set_mtime(made_at / 1000);
    header.set_entry_type(tar::EntryType::Regular);
    header
}

/// What a reader gives, and its digest.
pub(super) struct Hashed<R> {
    reader: R,
    hash: Sha256,
}

impl<R: Read> Hashed<R> {
    pub fn new(reader: R) -> Self {
        Self { reader, hash: Sha256::new() }
    }

    /// Of what was read.
    pub fn digest(self) -> Digest {
        <[u8; 32]>::from(self.hash.finalize()).into()
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.hash.update(&buffer[..count]);
        Ok(count)
    }
}

fn digest_of(file: &File) -> io::Result<(u64, Digest)> {
    let mut hashed = Hashed::new(file);
    let mut piece = vec![0; PIECE_BYTES];
    let mut size = 0;
    loop {
        match hashed.read(&mut piece)? {
            0 => return Ok((size, hashed.digest())),
            count => size += count as u64,
        }
    }
}
