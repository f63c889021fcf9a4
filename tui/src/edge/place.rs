//! Where the daemon is: its socket on this host, or a URL with a token.

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context as _, bail};
use ironwake_api::client::{Client, Place, Remote};

/// The daemon's socket.
pub const SOCKET: &str = "/run/ironwake/api.sock";
/// Holds the token. It is never an argument: every user of a host sees those.
const TOKEN_VARIABLE: &str = "IRONWAKE_TOKEN";
/// Where hosts keep the authorities that they trust: Debian, then Fedora, then what both link to.
const BUNDLES: &[&str] =
    &["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
/// A token and a line end.
const TOKEN_BYTES_MAX: u64 = 4096;

/// Arguments that say where the daemon is, as the `ironwake` command has them.
#[derive(Debug, clap::Args)]
pub struct PlaceArgs {
    /// Socket of the daemon
    #[arg(long, env = "IRONWAKE_SOCKET", default_value = SOCKET, value_name = "PATH")]
    socket: PathBuf,
    /// A daemon on another host, https://HOST:PORT, in place of the socket; with a token from --token-file or the
    /// variable IRONWAKE_TOKEN
    #[arg(long, env = "IRONWAKE_URL", value_name = "URL")]
    url: Option<String>,
    /// With --url: the authority that the daemon's certificate is checked by, as `ironwake ca show` prints it; the
    /// host's own list unless given
    #[arg(long, env = "IRONWAKE_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// With --url: a file that holds the token
    #[arg(long, env = "IRONWAKE_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl PlaceArgs {
    /// The client of that daemon.
    pub fn client(self) -> anyhow::Result<Client> {
        let Some(url) = &self.url else { return Ok(Client::new(self.socket)) };
        let roots = match &self.ca {
            Some(file) => fs::read(file).with_context(|| format!("read {}", file.display()))?,
            None => BUNDLES.iter().find_map(|file| fs::read(file).ok()).unwrap_or_default(),
        };
        let token = match &self.token_file {
            Some(file) => read_token(file)?,
            None => env::var(TOKEN_VARIABLE).with_context(|| {
                format!("--url needs a token: name a file with --token-file, or set {TOKEN_VARIABLE}")
            })?,
        };
        Ok(Client::remote(Remote::new(url, &roots, token.trim())?))
    }
}

fn read_token(file: &Path) -> anyhow::Result<String> {
    let read = |error| anyhow::Error::from(error).context(format!("read the token {}", file.display()));
    if fs::metadata(file).map_err(read)?.len() > TOKEN_BYTES_MAX {
        bail!("the token {} is larger than {TOKEN_BYTES_MAX} bytes: it should hold one line", file.display());
    }
    fs::read_to_string(file).map_err(read)
}

/// What the appliance is called: this host's name, or the URL's.
pub fn name(place: &Place) -> String {
    match place {
        Place::Socket(_) => {
            let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            if name.trim().is_empty() { "this host".into() } else { name.trim().to_owned() }
        }
        Place::Url(url) => url.trim_start_matches("https://").to_owned(),
    }
}
