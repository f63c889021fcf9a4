//! Tokens of the API: how long they are good, and that a restart keeps them.

use std::net::IpAddr;

use ironwake_api::{Scope, TokenNew};

use super::operations::operator;
use super::*;

const FROM: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7));

#[tokio::test]
async fn a_token_ends_when_it_was_to_end_and_survives_a_restart_until_then() {
    let lab = Fixture::new().await;
    let new = |name: &str, expires_secs| TokenNew { name: name.into(), scope: Scope::Operator, expires_secs };
    let short = lab.site.make_token(new("short", Some(60)), operator()).await.expect("a token").secret;
    let long = lab.site.make_token(new("long", None), operator()).await.expect("a token").secret;
    let lab = lab.restart().await;
    let admitted = lab.site.admit(FROM, Some(&short)).expect("it is good");
    assert_eq!((admitted.name.as_str(), admitted.scope), ("short", Scope::Operator));
    advance(Duration::from_secs(60));
    let denied = lab.site.admit(FROM, Some(&short)).expect_err("it has ended");
    assert_eq!(denied, Denied::Expired { name: "short".into() });
    assert_eq!(lab.site.admit(FROM, Some(&long)).expect("it does not end").name, "long");
    assert_eq!(lab.site.tokens().len(), 2, "what has ended is shown until it is revoked");
    lab.site.revoke_token("long", operator()).await.expect("revoked");
    let lab = lab.restart().await;
    assert_eq!(lab.site.admit(FROM, Some(&long)).expect_err("it is gone"), Denied::Wrong);
}
