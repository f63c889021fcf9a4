//! Against a double of the daemon on the loopback interface.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    thread,
};

use ironwake_api::{Inventory, MacAddr, OrderKind};

use super::*;

/// Answers one request with this status and body; gives back the request's line and body.
fn daemon(status: &'static str, body: &'static str) -> (Server, thread::JoinHandle<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let server = Server::new(&format!("http://{}", listener.local_addr().expect("its address")));
    let double = thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        let mut reader = BufReader::new(stream.try_clone().expect("the stream"));
        let (mut first, mut length) = (String::new(), 0);
        reader.read_line(&mut first).expect("a request");
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).expect("a header");
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut sent = vec![0; length];
        reader.read_exact(&mut sent).expect("a body");
        let answer =
            format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
        (&stream).write_all(answer.as_bytes()).expect("an answer");
        (first.trim().to_owned(), String::from_utf8_lossy(&sent).into_owned())
    });
    (server, double)
}

const MAC: MacAddr = MacAddr([0x52, 0x54, 0, 0xab, 0, 1]);

fn request() -> EnrollRequest {
    EnrollRequest { agent: "0".into(), boot_mac: MAC, inventory: Inventory::default() }
}

#[test]
fn enrolling_sends_the_inventory() {
    let (server, double) =
        daemon("201 Created", r#"{"machine":"m1","enrolled":false,"idle_reboot_secs":600}"#);
    let answer = server.enroll(&request(), None).expect("an answer");
    assert_eq!((answer.machine.as_str(), answer.idle_reboot_secs), ("m1", 600));
    let (line, body) = double.join().expect("the double");
    assert_eq!(line, "POST /boot/v1/enroll HTTP/1.1");
    assert_eq!(serde_json::from_str::<EnrollRequest>(&body).expect("a request"), request());
}

#[test]
fn a_refusal_says_what_is_wrong() {
    let problem = r#"{"type":"urn:ironwake:problem:invalid","title":"Bad Request","status":400,
        "detail":"the request is wrong","errors":[{"field":"boot_mac","message":"is multicast"}]}"#;
    let (server, double) = daemon("400 Bad Request", problem);
    let error = server.enroll(&request(), None).expect_err("a refusal");
    assert_eq!(error.to_string(), "400: the request is wrong; boot_mac: is multicast");
    double.join().expect("the double");
}

#[test]
fn orders_come_or_do_not() {
    let (server, double) = daemon("200 OK", r#"{"order":"power_off","reason":"retired"}"#);
    let order = server.orders("m1").expect("an answer").expect("an order");
    assert_eq!((order.order, order.reason.as_deref()), (OrderKind::PowerOff, Some("retired")));
    assert_eq!(double.join().expect("the double").0, "GET /boot/v1/machines/m1/orders?wait_secs=30 HTTP/1.1");
    let (server, _double) = daemon("204 No Content", "");
    assert_eq!(server.orders("m1").expect("an answer"), None);
    let (server, _double) = daemon("404 Not Found", "no such machine");
    assert!(server.orders("m1").expect_err("a refusal").is_unknown_machine());
}

#[test]
fn nonsense_and_silence_are_errors() {
    let (server, _double) = daemon("200 OK", "<html>");
    assert!(matches!(server.enroll(&request(), None), Err(ServerError::Nonsense(_))));
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address");
    let server = Server::new(&format!("http://{closed}"));
    assert!(matches!(server.enroll(&request(), None), Err(ServerError::Unreachable(_))));
}

#[test]
fn a_claim_is_answered_once_or_refused() {
    let token = Token::parse("0123456789abcdef0123456789abcdef").expect("a token");
    let request = ClaimRequest { machine: "m1".into(), boot_mac: MAC };
    let (server, double) = daemon("200 OK", r#"{"operation":"o1","kind":"rescue","work":{"do":"rescue"}}"#);
    assert_eq!(server.claim(&token, &request).expect("a claim").operation, "o1");
    let (line, body) = double.join().expect("the double");
    assert_eq!(line, "POST /boot/v1/operations/claim HTTP/1.1");
    assert!(!body.contains(token.expose()), "the token is in the header alone");
    for (status, is_final) in [
        ("401 Unauthorized", true),
        ("409 Conflict", true),
        ("410 Gone", true),
        ("429 Too Many Requests", false),
        ("503 Service Unavailable", false),
    ] {
        let (server, _double) = daemon(status, "no");
        assert_eq!(server.claim(&token, &request).expect_err("a refusal").is_final(), is_final, "{status}");
    }
    let (server, double) = daemon("204 No Content", "");
    server.report_work(&token, "o1", &WorkReport::Began).expect("heard");
    let (line, body) = double.join().expect("the double");
    assert_eq!(
        (line.as_str(), body.as_str()),
        ("POST /boot/v1/operations/o1/report HTTP/1.1", r#"{"report":"began"}"#)
    );
}
