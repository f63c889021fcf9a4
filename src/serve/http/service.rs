//! One request to one answer. The paths that boots are made of are told apart by hand, the agent's
//! few calls go on to the router.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::atomic::Ordering;
use std::time::Instant;

use axum::Router;
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use ironwake_api::{CLAIM_BYTES_MAX, ClientStage, MacAddr};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::answer::{self, file, refusal, script};
use super::body::{Body, Delivery, head_bytes};
use super::boot_v1::{ANSWER_BYTES_MAX, CLAIM_PATH};
use super::link::Written;
use super::problem::site_problem;
use super::query::{decode, describe, mac_of_name};
use super::shell::shell_of;
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
    /// Cancelled when the daemon ends.
    pub shutdown: CancellationToken,
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
pub(super) fn version_4(address: IpAddr) -> Ipv4Addr {
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
        let armed = armed_kernel(&path);
        let agent = armed.is_none() && path.starts_with("boot/v1/");
        let Answered { mut response, mac, plan } = match (agent, armed) {
            (true, _) if let Some(id) = shell_of(&path) => self.shell(request, id, peer).await.into(),
            (true, _) => self.route(request, &path, peer).await.into(),
            (false, Some((id, token))) => self.armed(&method, id, token, request.headers(), peer).await,
            (false, None) => self.boot(&method, &path, &uri, request.headers(), client, peer),
        };
        // Saved before it is answered: where its disk is written, this is its first boot. Whoever only looks boots nothing.
        if let Some(mac) = mac.filter(|_| method == Method::GET)
            && let Err(error) = self.backend.site.sent_to_disk(mac).await
        {
            tracing::warn!(%mac, %error, "that the machine was sent to its disk was not noted");
        }
        let status = response.status();
        let body_bytes = response.body().len();
        if method == Method::HEAD {
            *response.body_mut() = Body::default();
        }
        // What the agent says is recorded by the site as what it means; only what failed is added here.
        if !agent || status.is_client_error() || status.is_server_error() {
            let head_bytes = head_bytes(response.headers());
            let path = match operation_of(&path) {
                // Whoever reads the record must not learn a token, of whatever kind and wherever it stands.
                Some(id) => format!("/boot/v1/operations/{id}/***"),
                None => uri.to_string().chars().take(RECORDED_PATH_CHARS).collect(),
            };
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
            (_, "grub.cfg") => return self.grub(method, client, peer),
            ("ipxe", name) => return self.ipxe(method, name, uri.query().unwrap_or_default(), client, peer),
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
            self.backend.site.fetched(&blob.sha256);
            return file(&blob, headers, ranges, true).into();
        }
        refusal(StatusCode::NOT_FOUND, &format!("no file /{path}")).into()
    }

    /// The kernel of an armed boot, once. HEAD tells no more than that there is something.
    async fn armed(
        &self,
        method: &Method,
        id: &str,
        token: &str,
        headers: &HeaderMap,
        peer: &Peer,
    ) -> Answered {
        match *method {
            Method::GET => {}
            Method::HEAD => return Response::new(Body::default()).into(),
            _ => return refusal(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are allowed here").into(),
        }
        let (site, id, token) = (self.backend.site.clone(), id.to_owned(), token.to_owned());
        let (from, local) = (peer.from, peer.local);
        // In a task of its own: a client that leaves halfway must not leave memory behind the store.
        let serving = tokio::spawn(async move { site.serve_armed(&id, &token, from, local).await });
        let kernel = match serving.await {
            Ok(Ok(kernel)) => kernel,
            Ok(Err(error)) => return answer::problem(&site_problem(error)).into(),
            Err(error) => return refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()).into(),
        };
        let sha256 =
            kernel.strip_prefix("/artifacts/").and_then(|path| path.split('/').next()).unwrap_or_default();
        match self.backend.files.by_digest(sha256) {
            Some(blob) => file(&blob, headers, false, false).into(),
            None => refusal(StatusCode::NOT_FOUND, "the discovery image is not published").into(),
        }
    }

    fn ipxe(&self, method: &Method, name: &str, query: &str, client: ClientStage, peer: &Peer) -> Answered {
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
            only_looks: method == Method::HEAD,
        });
        let plan = Some(format!("{}: {}", made.plan.name(), made.plan.why()));
        Answered { response: script(made.text), mac: Some(mac), plan }
    }

    /// GRUB sends nothing that names its machine, so the address must.
    fn grub(&self, method: &Method, client: ClientStage, peer: &Peer) -> Answered {
        let (from, http) = (peer.from, peer.local);
        let Some(mac) = self.backend.site.mac_of(from) else {
            let reason = format!("no machine is known at {from}, so it has no grub.cfg");
            return refusal(StatusCode::NOT_FOUND, &reason).into();
        };
        let only_looks = method == Method::HEAD;
        let request =
            ScriptRequest { mac, uuid: None, serial: None, asset_tag: None, client, http, from, only_looks };
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
        whole(response, answer_bytes_max(path)).await
    }
}

/// The router's bodies are small and whole.
async fn whole(response: Response<axum::body::Body>, bytes_max: usize) -> Response<Body> {
    let (parts, body) = response.into_parts();
    match axum::body::to_bytes(body, bytes_max).await {
        Ok(bytes) => Response::from_parts(parts, Body::new(bytes)),
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// The largest answer of the router at a path.
fn answer_bytes_max(path: &str) -> usize {
    match path {
        CLAIM_PATH => CLAIM_BYTES_MAX,
        _ => ANSWER_BYTES_MAX,
    }
}

/// Operation and token of the path of an armed boot's kernel.
fn armed_kernel(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix("boot/v1/operations/")?.strip_suffix("/vmlinuz")?.split_once('/')
}

/// The operation that a path is about.
fn operation_of(path: &str) -> Option<&str> {
    path.strip_prefix("boot/v1/operations/")?.split('/').next()
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Work holds the files of a whole profile, and every other answer some lines.
    #[tokio::test]
    async fn a_claim_may_be_as_large_as_the_agent_takes_it() {
        let answered = async |path, bytes: usize| {
            let response = Response::new(axum::body::Body::from(vec![b'x'; bytes]));
            let answer = whole(response, answer_bytes_max(path)).await;
            (answer.status(), answer.body().len())
        };
        for bytes in [ANSWER_BYTES_MAX, ANSWER_BYTES_MAX + 1, CLAIM_BYTES_MAX] {
            assert_eq!(answered("boot/v1/operations/claim", bytes).await, (StatusCode::OK, bytes as u64));
        }
        let too_large = answered("boot/v1/operations/claim", CLAIM_BYTES_MAX + 1).await;
        assert_eq!(too_large.0, StatusCode::INTERNAL_SERVER_ERROR);
        let other = answered("boot/v1/health", ANSWER_BYTES_MAX + 1).await;
        assert_eq!(other.0, StatusCode::INTERNAL_SERVER_ERROR);
    }
}
