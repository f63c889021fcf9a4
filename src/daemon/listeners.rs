//! What the daemon listens on: sockets that systemd passed, or its own. A part that is started again gets its
//! socket again.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use tokio::net::{TcpListener, UnixListener};
use tracing::{info, warn};

use crate::{http, systemd};

/// Where machines fetch from.
pub(super) struct HttpListener {
    address: SocketAddr,
    passed: Option<std::net::TcpListener>,
}

impl HttpListener {
    /// The passed socket `http`, or what is to be listened on. That address may come later than the daemon.
    pub fn find(configured: SocketAddr) -> anyhow::Result<Self> {
        let Some(passed) = systemd::tcp_listener("http") else {
            return Ok(Self { address: configured, passed: None });
        };
        let address = passed.local_addr().context("read the address of the passed socket `http`")?;
        let passed = passed.into_std().context("take over the passed socket `http`")?;
        info!(%address, "HTTP is served on the socket that systemd passed");
        Ok(Self { address, passed: Some(passed) })
    }

    /// Where it listens, or will.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A listening socket.
    pub async fn get(&self) -> anyhow::Result<TcpListener> {
        let listen = self.address;
        let got = match &self.passed {
            Some(passed) => passed.try_clone().and_then(TcpListener::from_std),
            None => TcpListener::bind(listen).await,
        };
        got.map_err(|error| {
            let why = match error.kind() {
                io::ErrorKind::AddrNotAvailable => format!("this host has no address {}", listen.ip()),
                io::ErrorKind::AddrInUse => format!("another program holds port {}", listen.port()),
                _ => error.to_string(),
            };
            anyhow::anyhow!("listen on {listen} for HTTP: {why}")
        })
    }
}

/// A Unix socket of the API: where operators ask, or where people log in.
pub(super) struct ApiListener(std::os::unix::net::UnixListener);

impl ApiListener {
    /// Takes the passed socket of this name (`api`, `console`, `ssh`), or has `bind` listen on `path`. What was passed stays
    /// where it is: its path belongs to systemd, which listens on while no daemon runs.
    pub fn open(
        name: &str,
        path: &Path,
        bind: impl FnOnce(&Path) -> Result<UnixListener, http::HttpError>,
    ) -> anyhow::Result<Self> {
        let listener = match systemd::unix_listener(name) {
            Some(listener) => {
                let address = listener.local_addr();
                let address =
                    address.with_context(|| format!("read the address of the passed socket `{name}`"))?;
                let passed = address.as_pathname().unwrap_or(Path::new("(without a path)"));
                let socket = passed.display();
                info!(%socket, "the API is served on the socket `{name}` that systemd passed");
                if passed != path {
                    let set = path.display();
                    warn!(%socket, %set, "nothing listens on the path that is set: the .socket unit of `{name}` has another");
                }
                listener
            }
            None => bind(path)?,
        };
        Ok(Self(listener.into_std().context("keep the socket of the API")?))
    }

    /// The listening socket.
    pub fn get(&self) -> io::Result<UnixListener> {
        self.0.try_clone().and_then(UnixListener::from_std)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(listen: &str, expected: &str) {
        let listener = HttpListener::find(listen.parse().expect("an address")).expect("nothing is passed");
        let error = listener.get().await.expect_err("nobody can listen there");
        assert_eq!(error.to_string(), expected);
    }

    #[tokio::test]
    async fn what_cannot_be_listened_on_is_said_with_its_reason() {
        let held = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = held.local_addr().expect("an address").port();
        let listen = format!("127.0.0.1:{port}");
        check(&listen, &format!("listen on {listen} for HTTP: another program holds port {port}")).await;
        let nobodys = "192.0.2.1:8080";
        check(nobodys, "listen on 192.0.2.1:8080 for HTTP: this host has no address 192.0.2.1").await;
        drop(held);
        let listener = HttpListener::find(listen.parse().expect("an address")).expect("nothing is passed");
        listener.get().await.expect("it is free again");
    }

    #[tokio::test]
    async fn the_api_listens_on_when_its_part_is_started_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("api.sock");
        let listener = ApiListener::open("api", &path, http::bind).expect("a socket");
        drop(listener.get().expect("the first part's"));
        let second = listener.get().expect("the second part's");
        let (client, served) = tokio::join!(tokio::net::UnixStream::connect(&path), second.accept());
        client.and(served.map(drop)).expect("a connection");
    }
}
