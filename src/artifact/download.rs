//! Downloads as values: what was asked for, what a server's answer means, and how long to wait before the next try.

use std::time::Duration;

use ironwake_api::{Actor, ImportRequest, Millis};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{Digest, Expected};

/// Longest URL.
const URL_BYTES_MAX: usize = 2048;
/// Largest keyring: a distribution's has some ten keys.
const KEYRING_BYTES_MAX: usize = 512 << 10;
/// Tries that bring nothing before it is given up: with the pauses between them about an hour.
const TRIES_MAX: u32 = 20;
/// Times that all that had come was of no use before it is given up: a server that cannot go on from there has to send
/// the whole of it at once some time.
const LOSSES_MAX: u32 = 20;
/// The first pause; it doubles with each try that brings nothing.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest pause, and the longest that a server may ask for.
const PAUSE_MAX: Duration = Duration::from_secs(5 * 60);

/// An image that an operator wants to have by URL, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Download {
    /// Name that it gets.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// The digest, as [`Expected`] is shown; or it is in `checksums`.
    pub expected: Option<String>,
    /// A list of checksums that names it.
    pub checksums: Option<String>,
    /// A detached signature of the list, or of the image where there is none.
    pub signature: Option<String>,
    /// Public keys, one of which signed.
    pub keyring: Option<String>,
    /// When it was asked for.
    pub asked_at: Millis,
    /// Who asked.
    pub asked_by: Actor,
    /// Why it was given up, if it was.
    pub failed: Option<String>,
}

/// A field of a request that is wrong: which, and why.
pub type WrongField = (&'static str, String);

impl Download {
    /// What a request asks for, or everything that is wrong with it.
    pub fn new(
        name: &str,
        request: ImportRequest,
        asked_at: Millis,
        asked_by: Actor,
    ) -> Result<Self, Vec<WrongField>> {
        let mut wrong = Vec::new();
        let urls = [
            ("url", Some(&request.url)),
            ("checksums", request.checksums.as_ref()),
            ("signature", request.signature.as_ref()),
        ];
        for (field, url) in urls {
            if let Some(Err(why)) = url.map(|url| check_url(url)) {
                wrong.push((field, why));
            }
        }
        let digests = [("sha256", &request.sha256), ("sha512", &request.sha512)];
        let given = digests.iter().filter(|(_, digest)| digest.is_some()).count()
            + usize::from(request.checksums.is_some());
        match given {
            0 => wrong.push(("sha256", NO_DIGEST.into())),
            1 => {}
            _ => wrong.push(("sha256", "sha256, sha512 and checksums exclude each other: give one".into())),
        }
        let mut expected = None;
        for (field, digest) in digests {
            let Some(digest) = digest else { continue };
            match format!("{field}:{digest}").parse::<Expected>() {
                Ok(digest) => expected = Some(digest.to_string()),
                Err(_) => {
                    let digits = if field == "sha256" { 64 } else { 128 };
                    wrong.push((field, format!("{digest:?} is not {digits} hex digits")));
                }
            }
        }
        if request.signature.is_some() != request.keyring.is_some() {
            let (field, why) = match request.keyring {
                None => ("keyring", "a signature is worth as much as the keys it is checked with: give them"),
                Some(_) => ("signature", "a keyring without a signature checks nothing: give its URL too"),
            };
            wrong.push((field, why.into()));
        }
        if request.keyring.as_ref().is_some_and(|keys| keys.len() > KEYRING_BYTES_MAX) {
            wrong
                .push(("keyring", format!("it is larger than {KEYRING_BYTES_MAX} bytes, the limit for one")));
        }
        match wrong.is_empty() {
            false => Err(wrong),
            true => Ok(Self {
                name: name.to_owned(),
                url: request.url,
                expected,
                checksums: request.checksums,
                signature: request.signature,
                keyring: request.keyring,
                asked_at,
                asked_by,
                failed: None,
            }),
        }
    }

    /// Names its bytes while they come: another URL or digest means other bytes.
    pub fn key(&self) -> Digest {
        let asked = [Some(&self.name), Some(&self.url), self.expected.as_ref(), self.checksums.as_ref()];
        let texts: Vec<&str> = asked.into_iter().map(|text| text.map_or("", String::as_str)).collect();
        // No URL or name has a line break.
        Digest::of(texts.join("\n").as_bytes())
    }

    /// The file that the URL names, as a list of checksums would.
    pub fn file(&self) -> String {
        file_of(&self.url)
    }

    /// The URL as it may be shown: what stands behind `?` may be a permission.
    pub fn shown_url(&self) -> String {
        shown_url(&self.url)
    }
}

/// Said where no digest is given.
const NO_DIGEST: &str = "a digest is needed, or nobody could tell what came: --sha256 or --sha512 with what the \
                         publisher says, or --checksums with the URL of its list (often SHA256SUMS or SHA512SUMS \
                         beside the image)";

/// Whether something can be fetched from here.
fn check_url(text: &str) -> Result<(), String> {
    if text.len() > URL_BYTES_MAX {
        return Err(format!("it is longer than {URL_BYTES_MAX} bytes"));
    }
    // What it holds may be secret: it is not repeated.
    let url = Url::parse(text).map_err(|error| format!("it is no URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("{:?} is fetched by nothing here: use http:// or https://", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it has a user or password, which would be kept and shown: use a URL without".into());
    }
    match url.host_str() {
        None | Some("") => Err("it has no host".into()),
        Some(_) => Ok(()),
    }
}

/// A URL without what stands behind `?` and `#`.
pub fn shown_url(url: &str) -> String {
    url.split(['?', '#']).next().unwrap_or_default().to_owned()
}

fn file_of(url: &str) -> String {
    let url = shown_url(url);
    let last = url.rsplit('/').next().unwrap_or_default();
    let mut bytes = Vec::new();
    let mut rest = last.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let escaped = after.first_chunk::<2>().and_then(|hex| std::str::from_utf8(hex).ok());
        let escaped = escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| *byte == b'%');
        bytes.push(escaped.unwrap_or(*byte));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What is known of the bytes at a URL, so that a later try goes on with the same ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// How many there are.
    pub total_bytes: Option<u64>,
    /// A strong `ETag`, or `Last-Modified` where there is none (RFC 9110 section 13.1.5).
    pub validator: Option<String>,
}

/// The head of a server's answer, as far as it matters.
#[derive(Debug, Clone, Default)]
pub struct Head {
    /// Status.
    pub status: u16,
    /// `Content-Type`
    pub content_type: Option<String>,
    /// `Content-Length`
    pub content_length: Option<u64>,
    /// `Content-Range`
    pub content_range: Option<String>,
    /// `ETag`
    pub etag: Option<String>,
    /// `Last-Modified`
    pub last_modified: Option<String>,
    /// `Retry-After` in seconds.
    pub retry_after_secs: Option<u64>,
}

impl Head {
    /// What it says of the bytes; weak tags compare meanings, not bytes.
    fn known(&self, total_bytes: Option<u64>) -> Known {
        let strong = self.etag.clone().filter(|tag| !tag.starts_with("W/"));
        Known { total_bytes, validator: strong.or_else(|| self.last_modified.clone()) }
    }
}

/// What to do with an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Its body is what comes behind the bytes that are there.
    GoOn(Known),
    /// Its body is everything, from the first byte.
    FromStart(Known),
    /// All is there.
    Whole,
    /// What is there is of no use: ask for everything.
    StartAgain,
}

/// Why a download does not go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The server does not give it.
    #[error("the server answered {status}{hint}")]
    Refused {
        /// Its status.
        status: u16,
        /// What may be wrong.
        hint: &'static str,
    },
    /// The server has trouble of its own.
    #[error("the server answered {status}")]
    Server {
        /// Its status.
        status: u16,
        /// How long it asks to wait.
        wait: Option<Duration>,
    },
    /// A page for people came.
    #[error("a web page came instead of an image: look at the URL in a browser, it has to be the file's own")]
    WebPage,
    /// More than is taken.
    #[error("it has {bytes} bytes, and {max} is the limit for one")]
    TooLarge {
        /// What was announced.
        bytes: u64,
        /// What is taken.
        max: u64,
    },
    /// The connection ended early.
    #[error("the connection broke off after {have} bytes{}: {why}", of(*.total))]
    Broke {
        /// Bytes that are there.
        have: u64,
        /// How many there should be.
        total: Option<u64>,
        /// What happened.
        why: String,
    },
    /// The file there is another one than it was.
    #[error("the file there is another one by now: it is fetched from the start")]
    Changed,
    /// The server sent more than it announced.
    #[error("the server sent more than the {total} bytes that it announced")]
    Longer {
        /// What it announced.
        total: u64,
    },
    /// No answer at all.
    #[error("{0}")]
    Unreachable(String),
    /// It cannot become better by itself, such as redirects in a circle.
    #[error("{0}")]
    Hopeless(String),
}

fn of(total: Option<u64>) -> String {
    total.map(|total| format!(" of {total}")).unwrap_or_default()
}

impl Trouble {
    /// Whether another try may help.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Server { .. }
                | Self::Broke { .. }
                | Self::Changed
                | Self::Unreachable(_)
                | Self::Longer { .. }
        )
    }

    /// How long the server asks to wait.
    pub fn wait(&self) -> Option<Duration> {
        match self {
            Self::Server { wait, .. } => *wait,
            _ => None,
        }
    }
}

/// What an answer means to somebody who has `have` bytes, and asked for the rest of what is `known`.
pub fn judge(head: &Head, have: u64, known: &Known, bytes_max: u64) -> Result<Verdict, Trouble> {
    match head.status {
        200 | 206 => {}
        416 if have > 0 => {
            // `Content-Range: bytes */TOTAL` (RFC 9110 section 15.5.17)
            let total = head.content_range.as_deref().and_then(|range| range.strip_prefix("bytes */"));
            let whole = total.and_then(|total| total.parse().ok()) == Some(have);
            return Ok(if whole { Verdict::Whole } else { Verdict::StartAgain });
        }
        status @ (408 | 425 | 429 | 500 | 502..=504) => {
            let wait = head.retry_after_secs.map(|secs| Duration::from_secs(secs).min(PAUSE_MAX));
            return Err(Trouble::Server { status, wait });
        }
        status => {
            let hint = match status {
                401 | 403 | 407 => ": it wants a permission, which a download has not",
                404 | 410 => {
                    ": the file is not there; distributions remove older versions, so compare the URL"
                }
                _ => "",
            };
            return Err(Trouble::Refused { status, hint });
        }
    }
    let page = |kind: &str| ["text/html", "application/xhtml"].iter().any(|page| kind.starts_with(page));
    if head.content_type.as_deref().is_some_and(|kind| page(&kind.to_ascii_lowercase())) {
        return Err(Trouble::WebPage);
    }
    let (from, total) = match head.status {
        206 => match head.content_range.as_deref().and_then(parse_range) {
            Some(range) => range,
            None => return Ok(Verdict::StartAgain),
        },
        _ => (0, head.content_length),
    };
    if let Some(bytes) = total.filter(|bytes| *bytes > bytes_max) {
        return Err(Trouble::TooLarge { bytes, max: bytes_max });
    }
    let found = head.known(total);
    if from == 0 {
        return Ok(Verdict::FromStart(found));
    }
    let differs = |a: &Option<u64>, b: &Option<u64>| a.is_some() && b.is_some() && a != b;
    let other = known.validator.is_some() && found.validator.is_some() && known.validator != found.validator;
    match from != have || other || differs(&known.total_bytes, &found.total_bytes) {
        true => Ok(Verdict::StartAgain),
        false => Ok(Verdict::GoOn(Known {
            total_bytes: found.total_bytes.or(known.total_bytes),
            validator: found.validator.or_else(|| known.validator.clone()),
        })),
    }
}

/// `bytes FIRST-LAST/TOTAL`: the first, and the total where it is known.
fn parse_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let first = range.split_once('-')?.0.parse().ok()?;
    match total {
        "*" => Some((first, None)),
        total => Some((first, Some(total.parse().ok()?))),
    }
}

/// Whether bytes begin like a page for people: servers send those with any status and type.
pub fn is_web_page(head: &[u8]) -> bool {
    let text = head.trim_ascii_start();
    let begins = |word: &[u8]| text.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word));
    begins(b"<!doctype html") || begins(b"<html")
}

/// What the tries of a download have come to, over all its turns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tries {
    /// So many in a row brought nothing to go on from.
    pub in_vain: u32,
    /// So many made what had come of no use.
    pub losses: u32,
}

impl Tries {
    /// One more failed. `lost` says that it made what had come of no use, and `brought` that there is more than before.
    pub fn failed(self, lost: bool, brought: bool) -> Self {
        // What goes on from what is there may go on for ever. What a server sends anew it may send for ever too.
        let in_vain = if brought && !lost { 1 } else { self.in_vain.saturating_add(1) };
        Self { in_vain, losses: self.losses.saturating_add(lost.into()) }
    }

    /// What was asked for came.
    pub fn came(self) -> Self {
        Self { in_vain: 0, ..self }
    }

    /// Whether there is no sense in another.
    pub fn are_over(self) -> bool {
        self.in_vain >= TRIES_MAX || self.losses >= LOSSES_MAX
    }
}

/// How long to wait after so many tries that brought nothing.
pub fn pause(tries: u32) -> Duration {
    PAUSE_MIN.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(PAUSE_MAX)
}

#[cfg(test)]
#[path = "download_tests.rs"]
mod tests;
