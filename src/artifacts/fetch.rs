//! An image by URL: fetched, from the bytes on that an earlier try has brought, checked, and converted.
//!
//! What comes stands in `KEY.download`, and what the server said of it in `KEY.download.json`, which is on the disk
//! before the first byte of that answer: after a crash it is known which bytes these are.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use ironwake_api::{DownloadStep, Millis};
use tempfile::TempPath;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::imports::DOWNLOAD;
use super::intake::Intake;
use super::received::{Checked, PARTIAL, Whole};
use super::room::{check_room, failed};
use super::{Gauge, IMAGE_BYTES_MAX, ImportError, Received};
use crate::artifact::{
    CHECKSUMS_BYTES_MAX, Download, Expected, Head, Keyring, Known, SIGNATURE_BYTES_MAX, Tries, Trouble,
    Verdict, find_checksum, judge, pause,
};
use crate::remote::http::{Answer, HttpClient, HttpError};

/// Pieces of a body between the connection and the disk, each some ten kilobytes.
const PIECES_WAITING_MAX: usize = 64;

/// Why an image does not come.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The server, or the way to it.
    #[error("{what}: {trouble}")]
    Server {
        /// What was asked for.
        what: &'static str,
        /// What happened.
        trouble: Trouble,
    },
    /// The list of checksums is of no help.
    #[error("the list of checksums: {0}")]
    Checksums(String),
    /// What came is not taken.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The daemon ends, or others go on instead: it is gone on with later.
    #[error("it was interrupted")]
    Ending,
}

/// Told of every try that failed, with the pause until the next.
pub type Told<'t> = &'t (dyn Fn(&str, Duration) + Send + Sync);

/// A download, ready to begin.
pub struct Fetch {
    download: Download,
    dir: PathBuf,
    gauge: Gauge,
}

/// An image that came by URL.
pub struct Fetched {
    /// It.
    pub received: Received,
    /// The digest that it had to have.
    pub expected: Expected,
    /// Whose signature was checked.
    pub signed_by: Option<String>,
}

impl Fetch {
    /// Behind the tries of earlier turns.
    pub(super) fn new(download: Download, dir: PathBuf, tries: Tries) -> Self {
        let gauge = Gauge::default();
        gauge.set_tries(tries);
        Self { download, dir, gauge }
    }

    /// How far it is.
    pub fn gauge(&self) -> Gauge {
        self.gauge.clone()
    }

    /// Removes what an earlier try has brought.
    pub fn discard(&self) {
        self.forget(&[self.notes(), self.partial()]);
    }

    /// Fetches it. Dropped or ended in between, it leaves what has come, for a later one to go on with; given up, it
    /// leaves nothing.
    pub async fn run(self, now: Millis, told: Told<'_>) -> Result<Fetched, FetchError> {
        let fetched = self.fetch(now, told).await;
        match fetched {
            // The bytes are what was received.
            Ok(_) => self.forget(&[self.notes()]),
            Err(FetchError::Ending) => {}
            Err(_) => self.discard(),
        }
        fetched
    }

    async fn fetch(&self, now: Millis, told: Told<'_>) -> Result<Fetched, FetchError> {
        let Download { url, checksums, signature, .. } = &self.download;
        let own: Vec<&str> = [Some(url), checksums.as_ref(), signature.as_ref()]
            .into_iter()
            .flatten()
            .map(|url| &**url)
            .collect();
        let client = HttpClient::new(&own).map_err(|error| server("the image", error))?;
        let keyring =
            self.download.keyring.as_deref().map(|keys| Keyring::parse(keys.as_bytes())).transpose();
        let keyring = keyring.map_err(ImportError::from)?;
        // What is there counts as there while the list of checksums comes.
        self.gauge.set(fs::metadata(self.partial()).map_or(0, |file| file.len()));
        let (expected, mut signed_by) = self.expected(&client, keyring.as_ref(), now, told).await?;
        let checked = self.checked(&client, expected, told).await?;
        let signature = self.download.signature.as_deref().filter(|_| self.download.checksums.is_none());
        let checked = match (signature, keyring) {
            (Some(url), Some(keyring)) => {
                let signature = self.text(&client, "the signature", url, SIGNATURE_BYTES_MAX, told).await;
                if matches!(signature, Err(FetchError::Ending)) {
                    checked.keep();
                    return Err(FetchError::Ending);
                }
                let signature = signature?;
                let (signer, checked) = blocking(move || {
                    let signer = keyring.verify("the image", &signature, checked.bytes(), now)?;
                    Ok((signer, checked))
                })
                .await?;
                signed_by = Some(signer);
                checked
            }
            _ => checked,
        };
        let gauge = self.gauge.clone();
        let received = match blocking(move || checked.receive(gauge, None)).await {
            Err(FetchError::Import(ImportError::Cancelled)) if !self.gauge.is_cancelled() => {
                return Err(FetchError::Ending);
            }
            received => received?,
        };
        Ok(Fetched { received, expected, signed_by })
    }

    /// All of it, with the digest that it has to have.
    async fn checked(
        &self,
        client: &HttpClient,
        expected: Expected,
        told: Told<'_>,
    ) -> Result<Checked, FetchError> {
        let mut again = false;
        loop {
            let (intake, resumed) = self.bytes(client, told).await?;
            let (gauge, path, dir) = (self.gauge.clone(), self.partial(), self.dir.clone());
            let checked = blocking(move || {
                let taken = intake.finish()?;
                // From here on it is used up, or of no use.
                let path = TempPath::try_from_path(path).map_err(|source| failed(&dir, source))?;
                Whole { path, dir, taken }.check(Some(expected), &gauge)
            });
            match checked.await {
                // Parts of two files, or what a power loss left of one: the whole of one may be right.
                Err(FetchError::Import(error @ ImportError::Mismatch { .. })) if resumed && !again => {
                    again = true;
                    told(
                        &format!("{error}; it came in parts, and is fetched from the start"),
                        Duration::ZERO,
                    );
                }
                checked => return checked,
            }
        }
    }

    /// The digest that it has to have, and who signed the list that says so.
    async fn expected(
        &self,
        client: &HttpClient,
        keyring: Option<&Keyring>,
        now: Millis,
        told: Told<'_>,
    ) -> Result<(Expected, Option<String>), FetchError> {
        let wrong = |error: &dyn std::fmt::Display| FetchError::Checksums(error.to_string());
        if let Some(expected) = &self.download.expected {
            return Ok((expected.parse().map_err(|error| wrong(&error))?, None));
        }
        let url = self.download.checksums.as_deref().ok_or_else(|| wrong(&"none was given"))?;
        let list = self.text(client, "the list of checksums", url, CHECKSUMS_BYTES_MAX, told).await?;
        let signed_by = match (&self.download.signature, keyring) {
            (Some(url), Some(keyring)) => {
                let signature = self.text(client, "the signature", url, SIGNATURE_BYTES_MAX, told).await?;
                let signer = keyring.verify("the list of checksums", &signature, &list, now);
                Some(signer.map_err(ImportError::from)?)
            }
            _ => None,
        };
        let found = find_checksum(&String::from_utf8_lossy(&list), &self.download.file());
        Ok((found.map_err(|error| wrong(&error))?, signed_by))
    }

    async fn text(
        &self,
        client: &HttpClient,
        what: &'static str,
        url: &str,
        bytes_max: usize,
        told: Told<'_>,
    ) -> Result<Vec<u8>, FetchError> {
        let mut tries = self.gauge.tries();
        loop {
            // A server that is slow with it keeps a place as well. The bytes shown stay those of the image.
            self.gauge.enter(DownloadStep::Fetching);
            let error = match self.unless_over(client.text(url, bytes_max)).await? {
                Ok(text) => {
                    self.gauge.set_tries(tries.came());
                    return Ok(text);
                }
                Err(error) => error,
            };
            tries = tries.failed(false, false);
            self.wait(what, trouble(error), tries, told).await?;
        }
    }

    /// All bytes of it, in the partial file; whether they came in parts.
    async fn bytes(&self, client: &HttpClient, told: Told<'_>) -> Result<(Intake, bool), FetchError> {
        self.gauge.enter(DownloadStep::Checking);
        let (mut intake, mut known) = self.resume().await?;
        let (mut tries, mut resumed) = (self.gauge.tries(), false);
        loop {
            let before = intake.size_bytes();
            resumed |= before > 0;
            self.gauge.set(before);
            self.gauge.set_total(known.total_bytes);
            self.gauge.enter(DownloadStep::Fetching);
            let tried = self.attempt(client, intake, &mut known).await?;
            intake = tried.intake;
            let Some(trouble) = tried.trouble else {
                self.gauge.set_tries(tries.came());
                return Ok((intake, resumed));
            };
            tries = tries.failed(tried.lost, intake.size_bytes() > before);
            self.wait("the image", trouble, tries, told).await?;
        }
    }

    /// What an earlier try has brought, and what is known of it.
    async fn resume(&self) -> Result<(Intake, Known), FetchError> {
        let (partial, notes, dir) = (self.partial(), self.notes(), self.dir.clone());
        let resumed = blocking(move || {
            let known = fs::read(&notes).ok().and_then(|text| serde_json::from_slice(&text).ok());
            let file = File::options().read(true).write(true).create(true).truncate(false).open(&partial);
            let file = file.map_err(|source| failed(&dir, source))?;
            let mut intake = match Intake::resume(file, &dir) {
                Ok(intake) => intake,
                // It was not wanted then either, or cannot be read any more.
                Err(_) => Intake::new(File::create(&partial).map_err(|source| failed(&dir, source))?, &dir),
            };
            // Bytes of which nothing is known are of no use.
            if known.is_none() {
                intake.restart()?;
            }
            Ok((intake, known.unwrap_or_default()))
        });
        resumed.await
    }

    /// One request, and what becomes of its body.
    async fn attempt(
        &self,
        client: &HttpClient,
        mut intake: Intake,
        known: &mut Known,
    ) -> Result<Tried, FetchError> {
        let have = intake.size_bytes();
        if have > 0 && known.total_bytes == Some(have) {
            return Ok(Tried::whole(intake));
        }
        let mut headers = Vec::new();
        // Without a way to tell, the digest tells in the end, and another download would be needed.
        if have > 0
            && let Some(validator) = &known.validator
        {
            headers.push(("range", format!("bytes={have}-")));
            headers.push(("if-range", validator.clone()));
        }
        let mut answer = match self.unless_over(client.get(&self.download.url, &headers)).await? {
            Ok(answer) => answer,
            Err(error) => return Ok(Tried::failed(intake, trouble(error))),
        };
        let mut lost = false;
        let found = match judge(&head(&answer), have, known, IMAGE_BYTES_MAX) {
            Ok(Verdict::Whole) => return Ok(Tried::whole(intake)),
            Ok(Verdict::GoOn(found)) => found,
            Ok(verdict) => {
                lost = have > 0;
                let restarted = blocking(move || intake.restart().map(|()| intake)).await?;
                match verdict {
                    Verdict::FromStart(found) => {
                        intake = restarted;
                        found
                    }
                    _ => {
                        *known = Known::default();
                        return Ok(Tried { lost, ..Tried::failed(restarted, Trouble::Changed) });
                    }
                }
            }
            Err(trouble) => return Ok(Tried::failed(intake, trouble)),
        };
        let missing = found.total_bytes.unwrap_or_default().saturating_sub(intake.size_bytes());
        check_room(&self.dir, missing)?;
        self.note(&found).await?;
        self.gauge.set(intake.size_bytes());
        self.gauge.set_total(found.total_bytes);
        *known = found;
        let tried = self.body(&mut answer, intake, known.total_bytes).await?;
        Ok(Tried { lost: lost || tried.lost, ..tried })
    }

    /// Writes a body to the disk as it comes.
    async fn body(
        &self,
        answer: &mut Answer,
        intake: Intake,
        total: Option<u64>,
    ) -> Result<Tried, FetchError> {
        let (pieces, waiting) = mpsc::channel(PIECES_WAITING_MAX);
        let gauge = self.gauge.clone();
        let writing = blocking(move || write(intake, waiting, total, &gauge));
        // What has come is written to its end, whatever ends the coming.
        let came = self.unless_over(forward(answer, pieces));
        let (written, came) = tokio::join!(writing, came);
        let (intake, longer) = written?;
        let trouble = match (came?, longer, total) {
            (_, true, Some(total)) => Some(Trouble::Longer { total }),
            (Err(why), ..) => Some(Trouble::Broke { have: intake.size_bytes(), total, why }),
            (Ok(()), _, Some(total)) if intake.size_bytes() < total => {
                let why = "the server ended it".to_owned();
                Some(Trouble::Broke { have: intake.size_bytes(), total: Some(total), why })
            }
            _ => None,
        };
        Ok(Tried { intake, trouble, lost: longer })
    }

    /// Waits before the next try, unless there is no sense in one.
    async fn wait(
        &self,
        what: &'static str,
        trouble: Trouble,
        tries: Tries,
        told: Told<'_>,
    ) -> Result<(), FetchError> {
        self.gauge.set_tries(tries);
        if !trouble.may_pass() || tries.are_over() {
            return Err(FetchError::Server { what, trouble });
        }
        let pause = trouble.wait().unwrap_or_default().max(pause(tries.in_vain));
        self.gauge.enter(DownloadStep::Retrying);
        told(&format!("{what}: {trouble}"), pause);
        self.unless_over(tokio::time::sleep(pause)).await
    }

    /// Waits for something, unless nobody wants it any more.
    async fn unless_over<T>(&self, wanted: impl Future<Output = T>) -> Result<T, FetchError> {
        tokio::select! {
            done = wanted => Ok(done),
            () = self.gauge.over() => Err(match self.gauge.is_cancelled() {
                true => ImportError::Cancelled.into(),
                false => FetchError::Ending,
            }),
        }
    }

    /// Keeps what a server said, durably, before its bytes.
    async fn note(&self, known: &Known) -> Result<(), FetchError> {
        let text = serde_json::to_vec(known).expect("text and numbers are JSON");
        let (notes, dir) = (self.notes(), self.dir.clone());
        blocking(move || replace(&notes, &dir, &text).map_err(|source| failed(&dir, source))).await
    }

    fn partial(&self) -> PathBuf {
        self.dir.join(format!("{}{DOWNLOAD}", self.download.key()))
    }

    fn notes(&self) -> PathBuf {
        self.dir.join(format!("{}{DOWNLOAD}.json", self.download.key()))
    }

    fn forget(&self, paths: &[PathBuf]) {
        for path in paths {
            // It may be gone already.
            let _ = fs::remove_file(path);
        }
    }
}

/// What a try has brought.
struct Tried {
    intake: Intake,
    /// Nothing, where all is there.
    trouble: Option<Trouble>,
    /// What had come before is of no use.
    lost: bool,
}

impl Tried {
    fn whole(intake: Intake) -> Self {
        Self { intake, trouble: None, lost: false }
    }

    fn failed(intake: Intake, trouble: Trouble) -> Self {
        Self { intake, trouble: Some(trouble), lost: false }
    }
}

fn write(
    mut intake: Intake,
    mut pieces: mpsc::Receiver<Bytes>,
    total: Option<u64>,
    gauge: &Gauge,
) -> Result<(Intake, bool), ImportError> {
    while let Some(piece) = pieces.blocking_recv() {
        if total.is_some_and(|total| intake.size_bytes() + piece.len() as u64 > total) {
            intake.restart()?;
            return Ok((intake, true));
        }
        intake.write(&piece)?;
        gauge.set(intake.size_bytes());
    }
    Ok((intake, false))
}

/// Hands on what comes; ends early when nobody takes it.
async fn forward(answer: &mut Answer, pieces: mpsc::Sender<Bytes>) -> Result<(), String> {
    loop {
        match answer.next().await {
            Ok(None) => return Ok(()),
            Ok(Some(piece)) => {
                if pieces.send(piece).await.is_err() {
                    return Ok(());
                }
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}

fn head(answer: &Answer) -> Head {
    let number = |name| answer.header(name).and_then(|text| text.trim().parse().ok());
    Head {
        status: answer.status(),
        content_type: answer.header("content-type"),
        content_length: number("content-length"),
        content_range: answer.header("content-range"),
        etag: answer.header("etag"),
        last_modified: answer.header("last-modified"),
        retry_after_secs: number("retry-after"),
    }
}

fn trouble(error: HttpError) -> Trouble {
    match error {
        HttpError::Lasting(why) => Trouble::Hopeless(why),
        HttpError::Passing(why) => Trouble::Unreachable(why),
    }
}

fn server(what: &'static str, error: HttpError) -> FetchError {
    FetchError::Server { what, trouble: trouble(error) }
}

fn replace(path: &Path, dir: &Path, text: &[u8]) -> std::io::Result<()> {
    let mut file = tempfile::Builder::new().suffix(PARTIAL).tempfile_in(dir)?;
    file.write_all(text)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(dir)?.sync_all()
}

/// Work that waits for the disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ImportError> + Send + 'static,
) -> Result<T, FetchError> {
    match spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(FetchError::Ending),
        },
    }
}
