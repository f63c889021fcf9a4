//! Against a server that breaks off, comes back, and has something else.

use ironwake_api::Packing;
use sha2::{Digest, Sha256};

use super::*;
use crate::work::pieces;
use crate::work::testing::{Answer, Double, Request, image_bytes};

const SIZE: usize = 3 << 20;

fn source(bytes: &[u8]) -> ImageSource {
    ImageSource {
        path: "/artifacts/image".into(),
        packing: Packing::Raw,
        size_bytes: bytes.len() as u64,
        sha256: String::new(),
        disk_bytes: None,
    }
}

/// What comes from a server with this handler: bytes and digest, or the error.
fn fetched(
    patience: Duration,
    handler: impl FnMut(&Request) -> Answer + Send + 'static,
) -> (Result<(Vec<u8>, String), FetchError>, Double) {
    let double = Double::start(handler);
    let (source, meter) = (source(&image_bytes(SIZE)), Meter::default());
    let fetch = Fetch::new(&double.url, &source, &meter, true).giving_up_after(patience);
    let (sending, digesting, mut pieces) = pieces::way();
    let result = thread::scope(|scope| {
        let fetching = scope.spawn(move || fetch.run(&sending));
        let digesting = scope.spawn(move || digesting.run());
        let mut bytes = Vec::new();
        pieces.read_to_end(&mut bytes).expect("pieces");
        let digest = digesting.join().expect("no panic");
        fetching.join().expect("no panic").map(|()| (bytes, digest))
    });
    (result, double)
}

#[track_caller]
fn check(handler: impl FnMut(&Request) -> Answer + Send + 'static) -> Double {
    let (result, double) = fetched(GIVE_UP, handler);
    let (bytes, digest) = result.expect("fetched");
    assert!(bytes == image_bytes(SIZE));
    let expected: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest, expected);
    double
}

#[track_caller]
fn check_fails(handler: impl FnMut(&Request) -> Answer + Send + 'static, expected: &str) {
    let error = fetched(GIVE_UP, handler).0.expect_err("an error").to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn what_breaks_goes_on_where_it_broke() {
    let mut asked = 0;
    let double = check(move |request| {
        asked += 1;
        let answer = Answer::file(request, &image_bytes(SIZE));
        match asked {
            1 => Answer { cut: 1_000_001, ..answer },
            2 => Answer { cut: 300_000, ..answer },
            _ => answer,
        }
    });
    let ranges: Vec<_> =
        double.requests().iter().map(|request| request.headers.get("range").cloned()).collect();
    assert_eq!(ranges, [None, Some("bytes=1000001-".into()), Some("bytes=1300001-".into())]);
    let tags: Vec<_> =
        double.requests().iter().map(|request| request.headers.get("if-range").cloned()).collect();
    assert_eq!(tags, [None, Some("\"1\"".into()), Some("\"1\"".into())]);
}

#[test]
fn a_server_without_ranges_begins_again() {
    let mut asked = 0;
    check(move |_| {
        asked += 1;
        Answer { cut: if asked == 1 { 1_000_000 } else { usize::MAX }, ..Answer::new(200, image_bytes(SIZE)) }
    });
}

#[test]
fn a_busy_server_is_asked_again_and_a_refusing_one_is_not() {
    let mut asked = 0;
    check(move |request| {
        asked += 1;
        if asked == 1 {
            return Answer { cut: 5, ..Answer::file(request, &image_bytes(SIZE)) };
        }
        if asked == 2 { Answer::new(503, "soon") } else { Answer::file(request, &image_bytes(SIZE)) }
    });
    check_fails(|_| Answer::new(404, "gone"), "/artifacts/image is not served: status 404");
}

#[test]
fn another_file_is_not_taken_for_the_image() {
    check_fails(|_| Answer::new(200, image_bytes(SIZE - 1)), "3145727 bytes instead of 3145728");
    let mut asked = 0;
    check_fails(
        move |request| {
            asked += 1;
            let answer = Answer::file(request, &image_bytes(SIZE));
            if asked == 1 {
                Answer { cut: 1000, ..answer }
            } else {
                Answer { headers: vec!["etag: \"2\"".into()], ..Answer::new(200, image_bytes(SIZE)) }
            }
        },
        "it changed while it was fetched",
    );
    check_fails(
        |request| match request.headers.get("range") {
            None => Answer { cut: 1000, ..Answer::file(request, &image_bytes(SIZE)) },
            Some(_) => Answer {
                headers: vec![format!("content-range: bytes 7-{}/{SIZE}", SIZE - 1)],
                ..Answer::new(206, image_bytes(SIZE))
            },
        },
        "asked for bytes from 1000",
    );
}

#[test]
fn a_server_that_stays_away_is_given_up() {
    let error = fetched(Duration::ZERO, |_| Answer::new(500, "broken")).0.expect_err("an error").to_string();
    assert!(error.contains("stopped at byte 0") && error.contains("status 500"), "{error}");
}
