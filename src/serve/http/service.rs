//! One request to one answer. The paths that boots are made of are told apart by hand, the agent's
//! few calls go on to the router.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::atomic::Ordering;
use std::time::Instant;

use axum::Router;
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use ironwake_api::{ClientStage, MacAddr};
use tower::ServiceExt;

use super::answer::{file, refusal, script};
use super::body::{Body, Delivery, head_bytes};
use super::link::Written;
use super::query::{decode, describe, mac_of_name};
use crate::serve::Backend;
use crate::site::ScriptRequest;
use crate::tftp::clean_path;

/// The longest path with query that a record keeps.
const RECORDED_PATH_CHARS: usize = 300;

/// What all connections share.
#[derive(Clone)]
pub(super) struct Service {
    pub backend: Backend,
    pub router: Router,
}

/// The two ends of one connection.
#[derive(Clone)]
pub(super) struct Peer {
    pub from: Ipv4Addr,
    /// Where the client reached us.
    pub local: SocketAddrV4,
    pub written: Written,
}

impl Peer {
    pub fn new(from: SocketAddr, local: SocketAddr, written: Written) -> Self {
        let local = SocketAddrV4::new(version_4(local.ip()), local.port());
        Self { from: version_4(from.ip()), local, written }
    }
}

/// Machines boot by IPv4; what comes by IPv6 has no address that any lease knows.
fn version_4(address: IpAddr) -> Ipv4Addr {
    match address.to_canonical() {
        IpAddr::V4(address) => address,
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    }
}

/// An answer, and what the record of it says beside its status.
struct Answered {
    response: Response<Body>,
    mac: Option<MacAddr>,
    plan: Option<String>,
}

impl From<Response<Body>> for Answered {
    fn from(response: Response<Body>) -> Self {
        Self { response, mac: None, plan: None }
    }
}

impl Service {
    pub async fn answer(&self, request: Request<Incoming>, peer: &Peer) -> Response<Body> {
        let started = Instant::now();
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let client = client_of(request.headers());
        let written_before = peer.written.load(Ordering::Relaxed);
        let path = match clean_path(&decode(uri.path())) {
            Ok(path) => path,
            Err(error) => return refusal(StatusCode::NOT_FOUND, &error.to_string()),
        };
        let agent = path.starts_with("boot/v1/");
        let Answered { mut response, mac, plan } = match agent {
            true => self.route(request, &path, peer).await.into(),
            false => self.boot(&method, &path, &uri, request.headers(), client, peer),
        };
        let status = response.status();
        let body_bytes = response.body().len();
        if method == Method::HEAD {
            *response.body_mut() = Body::default();
        }
        // What the agent says is recorded by the site as what it means; only what failed is added here.
        if !agent || status.is_client_error() || status.is_server_error() {
            let head_bytes = head_bytes(response.headers());
            let path: String = uri.to_string().chars().take(RECORDED_PATH_CHARS).collect();
            response.body_mut().record(Delivery {
                site: self.backend.site.clone(),
                from: peer.from,
                mac,
                client,
                method: method.to_string(),
                path,
                status: status.as_u16(),
                plan,
                started,
                head_bytes,
                body_bytes: if method == Method::HEAD { 0 } else { body_bytes },
                written: peer.written.clone(),
                written_before,
            });
        }
        response
    }

    /// Scripts and files; `path` is clean.
    fn boot(
        &self,
        method: &Method,
        path: &str,
        uri: &Uri,
        headers: &HeaderMap,
        client: ClientStage,
        peer: &Peer,
    ) -> Answered {
        if method != Method::GET && method != Method::HEAD {
            let reason = format!("{method} is not allowed on /{path}: only GET and HEAD are");
            let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED, &reason);
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response.into();
        }
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        match (folder, name) {
            (_, "autoexec.ipxe") => return script(self.backend.site.ipxe_bootstrap(peer.local)).into(),
            (_, "grub.cfg") => return self.grub(client, peer),
            ("ipxe", name) => return self.ipxe(name, uri.query().unwrap_or_default(), client, peer),
            _ => {}
        }
        let ranges = method == Method::GET;
        if let Some(name) = path.strip_prefix("boot/files/")
            && let Some(blob) = self.backend.files.by_name(name)
        {
            return file(&blob, headers, ranges, false).into();
        }
        if let Some(sha256) = folder.strip_prefix("artifacts/")
            && let Some(blob) = self.backend.files.by_digest(&sha256.to_ascii_lowercase())
        {
            return file(&blob, headers, ranges, true).into();
        }
        refusal(StatusCode::NOT_FOUND, &format!("no file /{path}")).into()
    }

    fn ipxe(&self, name: &str, query: &str, client: ClientStage, peer: &Peer) -> Answered {
        let described = mac_of_name(name).and_then(|mac| Ok((mac, describe(query)?)));
        let (mac, description) = match described {
            Ok(described) => described,
            Err(error) => return refusal(StatusCode::BAD_REQUEST, &error.to_string()).into(),
        };
        let made = self.backend.site.ipxe_script(&ScriptRequest {
            mac,
            uuid: description.uuid,
            serial: description.serial,
            asset_tag: description.asset_tag,
            client,
            http: peer.local,
            from: peer.from,
        });
        let plan = Some(format!("{}: {}", made.plan.name(), made.plan.why()));
        Answered { response: script(made.text), mac: Some(mac), plan }
    }

    /// GRUB sends nothing that names its machine, so the address must.
    fn grub(&self, client: ClientStage, peer: &Peer) -> Answered {
        let (from, http) = (peer.from, peer.local);
        let Some(mac) = self.backend.site.mac_of(from) else {
            let reason = format!("no machine is known at {from}, so it has no grub.cfg");
            return refusal(StatusCode::NOT_FOUND, &reason).into();
        };
        let request = ScriptRequest { mac, uuid: None, serial: None, asset_tag: None, client, http, from };
        let made = self.backend.site.grub_script(&request);
        let plan = Some(format!("{}: {}", made.plan.name(), made.plan.why()));
        Answered { response: script(made.text), mac: Some(mac), plan }
    }

    async fn route(&self, request: Request<Incoming>, path: &str, peer: &Peer) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        parts.uri = match format!("/{path}{query}").parse() {
            Ok(uri) => uri,
            Err(_) => return refusal(StatusCode::NOT_FOUND, "the path has characters that no path has"),
        };
        parts.extensions.insert(peer.clone());
        let Ok(response) =
            self.router.clone().oneshot(Request::from_parts(parts, axum::body::Body::new(body))).await;
        let (parts, body) = response.into_parts();
        // The router's bodies are small and whole.
        match axum::body::to_bytes(body, super::boot_v1::ANSWER_BYTES_MAX).await {
            Ok(bytes) => Response::from_parts(parts, Body::new(bytes)),
            Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        }
    }
}

/// Programs by how their `User-Agent` begins.
const USER_AGENTS: &[(&str, ClientStage)] = &[
    ("iPXE", ClientStage::Ipxe),
    ("GRUB", ClientStage::Grub),
    ("UefiHttpBoot", ClientStage::Firmware),
    ("ironwake-agent", ClientStage::Agent),
];

fn client_of(headers: &HeaderMap) -> ClientStage {
    let user_agent = headers.get(header::USER_AGENT).map(HeaderValue::as_bytes).unwrap_or_default();
    let row = USER_AGENTS.iter().find(|(start, _)| user_agent.starts_with(start.as_bytes()));
    row.map_or(ClientStage::Os, |(_, client)| *client)
}
