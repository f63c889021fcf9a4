//! What a redirect may lead to: a server elsewhere must not make the appliance ask itself, or its neighbours on a link.
//!
//! Hosts that the operator's own URLs name are asked whatever they are. For any other name the addresses count that are
//! connected to, not what the name looks like.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use nix::ifaddrs::getifaddrs;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Proxies come from the environment; their hosts are the administrator's choice.
const PROXY_VARIABLES: [&str; 6] =
    ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// A redirect leads to a place that is not asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "it redirects to {host}, which is an address of this host or of its link ({address}): only a URL that an operator \
     gave leads there; give the one that is meant"
)]
pub(super) struct TooNear {
    host: String,
    address: Shown,
}

/// An address, or that there is none but such.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Shown {
    Address(IpAddr),
    Proxy,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Proxy => f.write_str("the proxy's"),
        }
    }
}

/// Which hosts may be asked whatever their addresses are.
#[derive(Debug, Clone, Default)]
pub(super) struct Reach(Arc<Hosts>);

#[derive(Debug, Default)]
struct Hosts {
    /// Of the operator's own URLs.
    own: Vec<String>,
    proxies: Vec<String>,
}

impl Reach {
    /// For somebody who gave these URLs.
    pub fn of(urls: &[&str]) -> Self {
        let hosts = |urls: Vec<String>| urls.iter().filter_map(|url| host_of(url)).collect();
        let proxies = PROXY_VARIABLES.iter().filter_map(|name| std::env::var(name).ok()).collect();
        Self(Arc::new(Hosts {
            own: hosts(urls.iter().map(|url| (*url).to_owned()).collect()),
            proxies: hosts(proxies),
        }))
    }

    /// Refuses a redirect to an address, or to a proxy, that the operator did not name. A name is judged by [`Resolve`].
    pub fn check(&self, url: &Url) -> Result<(), TooNear> {
        let host = url.host_str().unwrap_or_default();
        let refused = |address| Err(TooNear { host: host.to_owned(), address });
        if self.0.own.iter().any(|own| own == host) {
            return Ok(());
        }
        match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            Ok(address) if is_near(address, &own_addresses()) => refused(Shown::Address(address)),
            Err(_) if self.0.proxies.iter().any(|proxy| proxy == host) => refused(Shown::Proxy),
            _ => Ok(()),
        }
    }

    /// Of a name's addresses those that may be connected to by a host that has the addresses `here`.
    fn allowed(
        &self,
        name: &str,
        found: Vec<SocketAddr>,
        here: &[IpAddr],
    ) -> Result<Vec<SocketAddr>, TooNear> {
        if self.0.own.iter().chain(&self.0.proxies).any(|host| host == name) {
            return Ok(found);
        }
        let (near, far): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|address| is_near(address.ip(), here));
        match near.first().filter(|_| far.is_empty()) {
            Some(near) => Err(TooNear { host: name.to_owned(), address: Shown::Address(near.ip()) }),
            None => Ok(far),
        }
    }
}

impl Resolve for Reach {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed = reach.allowed(name.as_str(), found, &own_addresses())?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// The addresses of this host's interfaces, which change while it runs.
fn own_addresses() -> Vec<IpAddr> {
    let address = |entry: nix::ifaddrs::InterfaceAddress| {
        let address = entry.address?;
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    };
    getifaddrs().into_iter().flatten().filter_map(address).collect()
}

/// Whether an address is of this host, which has those `here`, or of neighbours that no router leads to.
fn is_near(address: IpAddr, here: &[IpAddr]) -> bool {
    let address = address.to_canonical();
    if here.contains(&address) {
        return true;
    }
    match address {
        // 0.0.0.0/8 is this host (RFC 1122, section 3.2.1.3).
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local() || v4.octets()[0] == 0,
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unspecified() || v6.is_unicast_link_local(),
    }
}

/// A proxy may be given without a scheme.
fn host_of(url: &str) -> Option<String> {
    let parsed = if url.contains("://") { Url::parse(url) } else { Url::parse(&format!("http://{url}")) };
    parsed.ok()?.host_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::super::http::{HttpClient, HttpError};
    use super::*;

    /// The operator's host; every address of 127.0.0.0/8 is this one.
    const OWN: &str = "127.0.0.5";

    /// A server on every address that answers `/` with a redirect, and everything else with a word.
    async fn server(location: &str) -> u16 {
        let listener = TcpListener::bind("0.0.0.0:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let location = location.replace("PORT", &port.to_string());
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                let mut request = [0; 4096];
                let length = stream.read(&mut request).await.unwrap_or_default();
                let answer = match request[..length].starts_with(b"GET / ") {
                    true => format!("302 Found\r\nLocation: {location}\r\nContent-Length: 0"),
                    false => "200 OK\r\nContent-Length: 0".to_owned(),
                };
                let answer = format!("HTTP/1.1 {answer}\r\nConnection: close\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        port
    }

    /// Whether a redirect to `location` is followed by somebody who named `others` too.
    async fn check(location: &str, others: &[&str], followed: bool) {
        let url = format!("http://{OWN}:{}/", server(location).await);
        let client = HttpClient::new(&[&[&*url], others].concat()).expect("a client");
        match client.get(&url, &[]).await {
            Ok(answer) => assert!(followed && answer.status() == 200, "{location}"),
            Err(HttpError::Lasting(why)) => {
                assert!(!followed && why.contains("only a URL that an operator gave"), "{location}: {why}");
            }
            Err(HttpError::Passing(why)) => panic!("{location}: {why}"),
        }
    }

    #[tokio::test]
    async fn a_redirect_leads_to_no_near_address_that_the_operator_did_not_name() {
        for location in [
            "http://localhost:PORT/x",
            "http://LOCALHOST:PORT/x",
            "http://127.0.0.1:PORT/x",
            "http://127.1:PORT/x",
            "http://2130706433:PORT/x",
            "http://0.0.0.0:PORT/x",
            "http://[::1]:PORT/x",
            "http://[::]:PORT/x",
            "http://[::ffff:127.0.0.1]:PORT/x",
            "http://[::ffff:7f00:1]:PORT/x",
            "http://169.254.169.254/latest",
            "http://[::ffff:169.254.169.254]/latest",
            "http://[fe80::1]:PORT/x",
        ] {
            check(location, &[], false).await;
        }
        for address in own_addresses() {
            let host = match address {
                IpAddr::V4(v4) => v4.to_string(),
                IpAddr::V6(v6) => format!("[{v6}]"),
            };
            check(&format!("http://{host}:PORT/x"), &[], false).await;
        }
        check("/x", &[], true).await;
        check("http://127.0.0.5:PORT/x", &[], true).await;
        check("http://127.5:PORT/x", &[], true).await;
        check("http://localhost:PORT/x", &["http://localhost/SHA256SUMS"], true).await;
        check("http://127.0.0.1:PORT/x", &["https://127.0.0.1:1/a.sig"], true).await;
    }

    #[test]
    fn a_name_is_judged_by_what_is_connected_to() {
        let reach = Reach::of(&["http://own.example/"]);
        let addresses = |texts: &[&str]| -> Vec<SocketAddr> {
            texts.iter().map(|text| SocketAddr::new(text.parse().expect("an address"), 0)).collect()
        };
        let both = addresses(&["127.0.0.1", "192.0.2.7", "::1", "::ffff:127.0.0.1", "2001:db8::1"]);
        assert_eq!(reach.allowed("own.example", both.clone(), &[]), Ok(both.clone()));
        assert_eq!(reach.allowed("other.example", both, &[]), Ok(addresses(&["192.0.2.7", "2001:db8::1"])));
        for near in ["127.0.0.1", "0.0.0.0", "0.1.2.3", "::", "::1", "fe80::1", "::ffff:169.254.0.1"] {
            assert!(reach.allowed("other.example", addresses(&[near]), &[]).is_err(), "{near}");
        }
        for far in ["10.0.0.1", "192.168.1.1", "fd00::1", "8.8.8.8"] {
            let found = addresses(&[far]);
            assert!(reach.allowed("other.example", found.clone(), &[]).is_ok(), "{far}");
            let here = [found[0].ip()];
            assert!(reach.allowed("other.example", found.clone(), &here).is_err(), "{far} of this host");
            assert!(reach.allowed("own.example", found, &here).is_ok(), "{far} as the operator named it");
        }
        let here = [addresses(&["10.0.0.1"])[0].ip()];
        assert!(reach.allowed("other.example", addresses(&["::ffff:10.0.0.1"]), &here).is_err());
    }
}
