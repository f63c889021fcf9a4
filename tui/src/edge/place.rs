//! Where the daemon is: its socket on this host, or a URL with a token.

use std::fs;
use std::path::PathBuf;

use ironwake_api::client::{Client, Place};

/// The daemon's socket for operators.
pub const SOCKET: &str = "/run/ironwake/api.sock";
/// Its socket for the SSH server, where each client logs in.
pub const SSH_SOCKET: &str = "/run/ironwake/ssh.sock";
/// Arguments that say where the daemon is, as the `ironwake` command has them.
#[derive(Debug, clap::Args)]
pub struct PlaceArgs {
    /// Socket of the daemon [default: /run/ironwake/api.sock, with --ssh /run/ironwake/ssh.sock]
    #[arg(long, env = "IRONWAKE_SOCKET", value_name = "PATH")]
    socket: Option<PathBuf>,
    /// A daemon on another host, https://HOST:PORT, in place of the socket; with a token from --token-file or the
    /// variable IRONWAKE_TOKEN
    #[arg(long, visible_alias = "server", env = "IRONWAKE_URL", value_name = "URL")]
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
    /// The client of that daemon; of the one at `socket`, if nothing says where it is.
    pub fn client(self, socket: &str) -> anyhow::Result<Client> {
        let Some(url) = &self.url else {
            return Ok(Client::new(self.socket.unwrap_or_else(|| socket.into())));
        };
        Ok(Client::at(url, self.ca.as_deref(), self.token_file.as_deref())?)
    }
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
