//! The image's bytes as served: broken connections go on where they broke.

use std::{
    io::{self, Read},
    thread,
    time::{Duration, Instant},
};

use ironwake_api::ImageSource;
use ureq::{
    Agent, Body,
    http::{Response, header},
};

use super::{
    meter::Meter,
    pieces::{PIECE_BYTES, Sending},
};
use crate::{backoff::Backoff, chance};

/// A connection on which nothing came for so long is dead, whatever TCP believes.
const SILENCE_MAX: Duration = Duration::from_secs(30);
const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// After so long without a byte the daemon does not come back; a disk stays unwritten at its start as long.
const GIVE_UP: Duration = Duration::from_secs(600);

/// Why the image did not come.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The daemon will not serve it.
    #[error("{url} is not served: status {status}")]
    Refused {
        /// Where it was looked for.
        url: String,
        /// HTTP status.
        status: u16,
    },
    /// It is another file than the one that was promised.
    #[error("{url} is not the promised image: {found}")]
    Different {
        /// Where it is.
        url: String,
        /// In what it differs.
        found: String,
    },
    /// Nothing came any more.
    #[error("{url} stopped at byte {offset} and did not go on for {} s: {reason}", GIVE_UP.as_secs())]
    Silent {
        /// Where it is.
        url: String,
        /// How much had come.
        offset: u64,
        /// The last error.
        reason: String,
    },
    /// Nobody takes the bytes any more; why is known elsewhere.
    #[error("nobody takes the image's bytes")]
    Stopped,
}

/// One image on its way.
#[derive(Debug)]
pub struct Fetch<'a> {
    agent: Agent,
    url: String,
    source: &'a ImageSource,
    meter: &'a Meter,
    /// Whether served bytes are what the meter counts.
    counts: bool,
    etag: Option<String>,
    give_up: Duration,
}

impl<'a> Fetch<'a> {
    /// `base_url` has no slash at its end. `counts` makes the meter count served bytes.
    pub fn new(base_url: &str, source: &'a ImageSource, meter: &'a Meter, counts: bool) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_WAIT))
            .timeout_recv_response(Some(SILENCE_MAX))
            .timeout_per_read(Some(SILENCE_MAX))
            .user_agent(concat!("ironwake-agent/", env!("CARGO_PKG_VERSION")))
            .max_redirects(0)
            .proxy(None)
            .build();
        let url = format!("{base_url}{}", source.path);
        Self { agent: config.into(), url, source, meter, counts, etag: None, give_up: GIVE_UP }
    }

    /// Gives up sooner.
    #[cfg(test)]
    pub fn giving_up_after(mut self, patience: Duration) -> Self {
        self.give_up = patience;
        self
    }

    /// Sends all bytes to `pieces`.
    pub fn run(mut self, pieces: &Sending) -> Result<(), FetchError> {
        let (mut offset, mut backoff, mut heard) = (0, Backoff::default(), Instant::now());
        while offset < self.source.size_bytes {
            let before = offset;
            let reason = match self.ask(offset)? {
                Ok(body) => self.take(body, &mut offset, pieces)?,
                Err(reason) => reason,
            };
            if offset > before {
                heard = Instant::now();
                backoff.reset();
            }
            if self.meter.has_ended() {
                return Err(FetchError::Stopped);
            }
            if heard.elapsed() > self.give_up {
                return Err(FetchError::Silent { url: self.url, offset, reason });
            }
            if offset < self.source.size_bytes {
                thread::sleep(backoff.next(chance::jitter()));
            }
        }
        Ok(())
    }

    /// The outer error is final; after the inner one it is worth asking again.
    fn ask(&mut self, offset: u64) -> Result<Result<Body, String>, FetchError> {
        let mut request = self.agent.get(&self.url);
        if offset > 0 {
            request = request.header(header::RANGE, format!("bytes={offset}-"));
            if let Some(etag) = &self.etag {
                request = request.header(header::IF_RANGE, etag);
            }
        }
        let response = match request.call() {
            Ok(response) => response,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let status = response.status().as_u16();
        match status {
            200 | 206 => {}
            408 | 429 | 500.. => return Ok(Err(format!("status {status}"))),
            _ => return Err(FetchError::Refused { url: self.url.clone(), status }),
        }
        self.compare(&response, offset)?;
        let mut body = response.into_body();
        if status == 200 && offset > 0 {
            // A server without ranges begins again; the digest says whether these are the same bytes.
            let skipped = io::copy(&mut body.as_reader().take(offset), &mut io::sink());
            if let Err(error) = skipped {
                return Ok(Err(error.to_string()));
            }
        }
        Ok(Ok(body))
    }

    /// Whether this is the promised image, from the promised byte.
    fn compare(&mut self, response: &Response<Body>, offset: u64) -> Result<(), FetchError> {
        let text = |name: header::HeaderName| {
            response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let different = |found: String| FetchError::Different { url: self.url.clone(), found };
        let size = self.source.size_bytes;
        if response.status().as_u16() == 206 {
            let range = text(header::CONTENT_RANGE).unwrap_or_default();
            if range != format!("bytes {offset}-{}/{size}", size - 1) {
                return Err(different(format!("asked for bytes from {offset} of {size}, got {range:?}")));
            }
        } else if let Some(length) = text(header::CONTENT_LENGTH)
            && length != size.to_string()
        {
            return Err(different(format!("it has {length} bytes instead of {size}")));
        }
        let etag = text(header::ETAG);
        if let (Some(before), Some(etag)) = (&self.etag, &etag)
            && before != etag
        {
            return Err(different("it changed while it was fetched".to_owned()));
        }
        // A weak tag is not allowed in If-Range.
        self.etag = etag.filter(|etag| !etag.starts_with("W/")).or(self.etag.take());
        Ok(())
    }

    /// Takes what comes; gives back why it ended.
    fn take(&self, mut body: Body, offset: &mut u64, pieces: &Sending) -> Result<String, FetchError> {
        let mut reader = body.as_reader();
        loop {
            let left = self.source.size_bytes - *offset;
            let mut piece = pieces.piece(PIECE_BYTES.min(usize::try_from(left).unwrap_or(PIECE_BYTES)));
            let mut filled = 0;
            let mut ended = None;
            while filled < piece.len() && ended.is_none() {
                match reader.read(&mut piece[filled..]) {
                    Ok(0) => ended = Some("the connection ended".to_owned()),
                    Ok(more) => filled += more,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => ended = Some(error.to_string()),
                }
            }
            piece.truncate(filled);
            if filled > 0 {
                *offset += filled as u64;
                if self.counts {
                    self.meter.add(filled as u64);
                }
                pieces.send(piece).map_err(|_| FetchError::Stopped)?;
            }
            if self.meter.has_ended() {
                return Err(FetchError::Stopped);
            }
            match ended {
                Some(reason) => return Ok(reason),
                None if *offset == self.source.size_bytes => return Ok(String::new()),
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
