//! What an installer calls: its answers, and its word that it is done.

use axum::extract::{Extension, Path, State};
use bytes::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::{Request, Response, StatusCode};
use ironwake_api::PhoneHome;
use serde_json::Value;

use super::answer::json;
use super::body::Body;
use super::boot_v1::{Shared, carried, carried_by_token, either, whole};
use super::service::Peer;

/// The largest report of an installer: Proxmox's has every property of every disk.
const INSTALLED_BYTES_MAX: usize = 1 << 20;

/// One answer file; for whom and how often is the site's to say.
pub(super) async fn answer_file(
    State(shared): State<Shared>,
    Extension(peer): Extension<Peer>,
    Path((id, token, name)): Path<(String, String, String)>,
) -> axum::response::Response {
    let answer = async {
        let site = shared.backend.site.clone();
        let file =
            carried(async move { site.answer_file(&id, &token, &name, peer.from, peer.local).await }).await?;
        let mut response = Response::new(Body::new(Bytes::from(file.content)));
        let length = response.body().len();
        let content_type = HeaderValue::from_str(&file.content_type);
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            content_type.unwrap_or(HeaderValue::from_static("application/octet-stream")),
        );
        headers.insert(header::CONTENT_LENGTH, length.into());
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    };
    either(answer.await)
}

/// HEAD takes no answer, and tells nothing.
pub(super) async fn no_answer() -> axum::response::Response {
    either(Ok(Response::new(Body::default())))
}

/// The installer is done. It is answered with 200, which is all that some take.
pub(super) async fn installed(
    State(shared): State<Shared>,
    Extension(peer): Extension<Peer>,
    Path((id, token)): Path<(String, String)>,
    request: Request<axum::body::Body>,
) -> axum::response::Response {
    let answer = async {
        let call = report(&whole(request, INSTALLED_BYTES_MAX).await?);
        let site = shared.backend.site.clone();
        carried_by_token(async move { site.installed(&id, &token, call, peer.from).await }).await?;
        Ok(json(StatusCode::OK, &serde_json::json!({})))
    };
    either(answer.await)
}

/// Whatever is understood of what installers send: fields of a phone-home, or those of Proxmox's webhook (its schema 1.2).
fn report(body: &[u8]) -> PhoneHome {
    let Ok(value) = serde_json::from_slice::<Value>(body) else { return PhoneHome::default() };
    let text = |at: &str| value.pointer(at).and_then(Value::as_str).map(str::to_owned);
    let key = |kind: &str| {
        text(&format!("/ssh-public-host-keys/{kind}")).or_else(|| text(&format!("/pub_key_{kind}")))
    };
    PhoneHome {
        hostname: text("/hostname"),
        fqdn: text("/fqdn"),
        pub_key_rsa: key("rsa"),
        pub_key_ecdsa: key("ecdsa"),
        pub_key_ed25519: key("ed25519"),
        ..PhoneHome::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_keys_are_taken_from_what_installers_send() {
        let proxmox = br#"{"$schema":{"version":"1.2"},"fqdn":"pve.example.org",
            "ssh-public-host-keys":{"ed25519":"ssh-ed25519 AAAA","rsa":"ssh-rsa BBBB"},"disks":[]}"#;
        let call = report(proxmox);
        assert_eq!(call.fqdn.as_deref(), Some("pve.example.org"));
        assert_eq!(call.pub_key_ed25519.as_deref(), Some("ssh-ed25519 AAAA"));
        assert_eq!(call.pub_key_rsa.as_deref(), Some("ssh-rsa BBBB"));
        let debian = report(br#"{"hostname":"node-1","pub_key_ecdsa":"ecdsa CCCC"}"#);
        assert_eq!(
            (debian.hostname.as_deref(), debian.pub_key_ecdsa.as_deref()),
            (Some("node-1"), Some("ecdsa CCCC"))
        );
        for nonsense in [&b""[..], b"a=b", b"[]", b"{\"ssh-public-host-keys\":7}"] {
            assert_eq!(report(nonsense), PhoneHome::default());
        }
    }
}
