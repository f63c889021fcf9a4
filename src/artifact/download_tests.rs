use super::*;

const A: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const URL: &str = "https://example.org/images/disk%201.qcow2?token=abc#x";

fn asked(change: impl FnOnce(&mut ImportRequest)) -> Result<Download, Vec<WrongField>> {
    let mut request = ImportRequest { url: URL.into(), sha256: Some(A.into()), ..ImportRequest::default() };
    change(&mut request);
    Download::new("disk", request, 1, Actor::Daemon)
}

#[track_caller]
fn check_wrong(change: impl FnOnce(&mut ImportRequest), field: &str, part: &str) {
    let wrong = asked(change).expect_err("refused");
    let found = wrong.iter().any(|(name, why)| *name == field && why.contains(part));
    assert!(found, "{wrong:?} lacks {field}: {part}");
}

#[test]
fn what_is_asked_for_is_checked_before_anything_is_fetched() {
    let download = asked(|_| {}).expect("legal");
    assert_eq!(download.expected.as_deref(), Some(&*format!("sha256:{A}")));
    assert_eq!(download.file(), "disk 1.qcow2");
    assert_eq!(download.shown_url(), "https://example.org/images/disk%201.qcow2");
    check_wrong(|request| request.sha256 = None, "sha256", "--checksums");
    check_wrong(|request| request.sha256 = Some("12".into()), "sha256", "64 hex digits");
    check_wrong(|request| request.sha512 = Some(A.into()), "sha512", "128 hex digits");
    check_wrong(|request| request.checksums = Some("https://example.org/s".into()), "sha256", "exclude");
    check_wrong(|request| request.url = "ftp://example.org/a".into(), "url", "http:// or https://");
    check_wrong(|request| request.url = "disk.qcow2".into(), "url", "no URL");
    check_wrong(|request| request.url = "https://me:secret@example.org/".into(), "url", "password");
    check_wrong(|request| request.url = format!("https://example.org/{}", "a".repeat(2048)), "url", "longer");
    check_wrong(|request| request.signature = Some("https://example.org/s".into()), "keyring", "keys");
    check_wrong(|request| request.keyring = Some("keys".into()), "signature", "URL");
    let wrong = asked(|request| request.url = "https://me:secret@example.org/".into()).expect_err("refused");
    assert!(!format!("{wrong:?}").contains("secret"));
}

#[test]
fn other_bytes_have_another_key() {
    let key = |change: fn(&mut Download)| {
        let mut download = asked(|_| {}).expect("legal");
        change(&mut download);
        download.key()
    };
    let base = key(|_| {});
    assert_eq!(base, key(|download| download.asked_at = 2));
    assert_eq!(base, key(|download| download.failed = Some("a reason".into())));
    assert_ne!(base, key(|download| download.url.push('1')));
    assert_ne!(base, key(|download| download.name.push('1')));
    assert_ne!(base, key(|download| download.expected = None));
}

fn head(status: u16, range: Option<&str>) -> Head {
    Head {
        status,
        content_length: Some(100),
        content_range: range.map(str::to_owned),
        etag: Some("\"a\"".into()),
        ..Head::default()
    }
}

fn known(total_bytes: u64) -> Known {
    Known { total_bytes: Some(total_bytes), validator: Some("\"a\"".into()) }
}

#[test]
fn an_answer_goes_on_only_where_the_bytes_are_the_same() {
    let check = |head: &Head, have, expected: Verdict| {
        assert_eq!(judge(head, have, &known(100), 1000), Ok(expected), "{head:?}");
    };
    check(&head(200, None), 0, Verdict::FromStart(known(100)));
    check(&head(206, Some("bytes 40-99/100")), 40, Verdict::GoOn(known(100)));
    check(&head(206, Some("bytes 40-99/*")), 40, Verdict::GoOn(known(100)));
    // A server without ranges, or with other bytes by then.
    check(&head(200, None), 40, Verdict::FromStart(known(100)));
    check(&head(206, Some("bytes 30-99/100")), 40, Verdict::StartAgain);
    check(&head(206, Some("bytes 40-99/101")), 40, Verdict::StartAgain);
    check(&head(206, Some("items 40-99/100")), 40, Verdict::StartAgain);
    check(&head(206, None), 40, Verdict::StartAgain);
    let other = Head { etag: Some("\"b\"".into()), ..head(206, Some("bytes 40-99/100")) };
    check(&other, 40, Verdict::StartAgain);
    check(&head(416, Some("bytes */100")), 100, Verdict::Whole);
    check(&head(416, Some("bytes */90")), 100, Verdict::StartAgain);
    check(&head(416, None), 100, Verdict::StartAgain);
    let weak = Head { etag: Some("W/\"a\"".into()), last_modified: Some("then".into()), ..head(200, None) };
    let found = Known { total_bytes: Some(100), validator: Some("then".into()) };
    check(&weak, 0, Verdict::FromStart(found));
}

#[test]
fn what_cannot_pass_is_given_up_at_once() {
    let check = |head: Head, passes: bool, text: &str| {
        let trouble = judge(&head, 0, &Known::default(), 99).expect_err("trouble");
        assert_eq!(trouble.may_pass(), passes, "{trouble}");
        assert!(trouble.to_string().contains(text), "{trouble} lacks {text}");
    };
    check(head(404, None), false, "distributions remove");
    check(head(403, None), false, "permission");
    check(head(300, None), false, "answered 300");
    check(head(416, None), false, "answered 416");
    check(head(503, None), true, "answered 503");
    check(head(200, None), false, "100 bytes, and 99 is the limit");
    let page = Head { content_type: Some("Text/HTML; charset=utf-8".into()), ..head(200, None) };
    check(page, false, "web page");
    let busy = Head { retry_after_secs: Some(1 << 40), ..head(429, None) };
    assert_eq!(judge(&busy, 0, &Known::default(), 99).expect_err("trouble").wait(), Some(PAUSE_MAX));
    let broke = Trouble::Broke { have: 5, total: Some(9), why: "reset".into() };
    assert_eq!(broke.to_string(), "the connection broke off after 5 bytes of 9: reset");
}

#[test]
fn pages_are_told_by_their_first_bytes() {
    for page in [&b"<!DOCTYPE html>"[..], b"\r\n  <html lang=en>", b"<HTML>"] {
        assert!(is_web_page(page));
    }
    for other in [&b""[..], b"<", b"<?xml", b"QFI\xfb", b"\0<html>"] {
        assert!(!is_web_page(other));
    }
}

#[test]
fn pauses_grow_to_a_limit() {
    assert_eq!([1, 2, 3].map(pause), [1, 2, 4].map(Duration::from_secs));
    assert_eq!([0, 40, u32::MAX].map(pause), [PAUSE_MIN, PAUSE_MAX, PAUSE_MAX]);
    let all: Duration = (1..TRIES_MAX).map(pause).sum();
    assert!(all > Duration::from_secs(50 * 60), "{all:?}");
}

#[test]
fn tries_that_get_nowhere_come_to_an_end() {
    /// How many tries there are, of those that fail in this way over and over; a hundred stand for no end.
    #[track_caller]
    fn check(fails: &[(bool, bool)], expected: usize) {
        let (mut tries, mut count) = (Tries::default(), 0);
        for (lost, brought) in fails.iter().cycle().take(100) {
            tries = tries.failed(*lost, *brought);
            count += 1;
            if tries.are_over() {
                break;
            }
        }
        assert_eq!(count, expected, "{fails:?}");
    }
    check(&[(false, false)], TRIES_MAX as usize);
    check(&[(false, true)], 100);
    check(&[(false, false), (false, true)], 100);
    // Sent from the start each time, each time a little more.
    check(&[(true, true)], LOSSES_MAX as usize);
    check(&[(true, true), (false, true)], 2 * LOSSES_MAX as usize - 1);
    check(&[(true, false), (false, true), (false, true)], 3 * LOSSES_MAX as usize - 2);
    let tries = Tries { in_vain: 7, losses: 3 };
    assert_eq!(tries.came(), Tries { in_vain: 0, losses: 3 });
    assert_eq!(tries.failed(false, true).in_vain, 1);
}
