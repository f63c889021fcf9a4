//! Where a command finds the daemon: its socket on this host, or a URL with a token.

use std::ffi::OsStr;
use std::path::PathBuf;

use ironwake_api::client::Client;

/// Holds the token of a session, where the socket is one at which people log in. It is never an argument: every user of a
/// host sees those.
const SESSION_VARIABLE: &str = "IRONWAKE_SESSION";
/// Names the socket, where no argument does.
const SOCKET_VARIABLE: &str = "IRONWAKE_SOCKET";

/// Arguments of every command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Socket of the daemon
    #[arg(long, global = true, env = SOCKET_VARIABLE, default_value = crate::config::SOCKET, value_name = "PATH")]
    socket: PathBuf,
    /// A daemon on another host, https://HOST:PORT, in place of the socket; with a token from --token-file or the
    /// variable IRONWAKE_TOKEN
    #[arg(long, visible_alias = "server", global = true, env = "IRONWAKE_URL", value_name = "URL")]
    url: Option<String>,
    /// With --url: the authority that the daemon's certificate is checked by, as `ironwake ca show` prints it; the
    /// host's own list unless given
    #[arg(long, global = true, env = "IRONWAKE_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// With --url: a file that holds the token
    #[arg(long, global = true, env = "IRONWAKE_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl Args {
    /// Whether none was given on the command line; a socket that is the one of the environment was not.
    pub fn is_unset(&self) -> bool {
        let own =
            std::env::var_os(SOCKET_VARIABLE).map_or_else(|| crate::config::SOCKET.into(), PathBuf::from);
        self.socket == own && self.url.is_none() && self.ca.is_none() && self.token_file.is_none()
    }

    /// The same as arguments, for another program that takes them.
    pub fn arguments(&self) -> Vec<&OsStr> {
        let given = [
            ("--socket", Some(self.socket.as_os_str())),
            ("--url", self.url.as_ref().map(OsStr::new)),
            ("--ca", self.ca.as_ref().map(|path| path.as_os_str())),
            ("--token-file", self.token_file.as_ref().map(|path| path.as_os_str())),
        ];
        let pairs = given.into_iter().filter_map(|(name, value)| Some([OsStr::new(name), value?]));
        pairs.flatten().collect()
    }

    /// For a command that speaks to no daemon, and so needs no token.
    pub fn nobody(self) -> Client {
        Client::new(self.socket)
    }

    /// The client that a command speaks through.
    pub fn client(self) -> anyhow::Result<Client> {
        let Some(url) = &self.url else {
            let client = Client::new(self.socket);
            client.set_session(std::env::var(SESSION_VARIABLE).ok().as_deref());
            return Ok(client);
        };
        Ok(Client::at(url, self.ca.as_deref(), self.token_file.as_deref())?)
    }
}
