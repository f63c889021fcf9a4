//! Downloads that share the few places there are.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::artifact::{Digest, PATIENCE_MILLIS};

const IMAGE_BYTES: usize = 8192;

/// A server of one image, which stalls in the middle of each of the first `stalls` answers. What each request asked for as
/// its range is sent to `ranges`.
async fn serve(image: Vec<u8>, stalls: usize, ranges: UnboundedSender<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/disk.img", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.expect("a connection");
            tokio::spawn(answer(stream, image.clone(), number < stalls, ranges.clone()));
        }
    });
    url
}

async fn answer(
    stream: TcpStream,
    image: Vec<u8>,
    stalls: bool,
    ranges: UnboundedSender<String>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut range = String::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        match line.trim().to_ascii_lowercase().strip_prefix("range: ") {
            Some(value) => range = value.to_owned(),
            None if line.trim().is_empty() => break,
            None => {}
        }
    }
    let _ = ranges.send(range.clone());
    let from = range.strip_prefix("bytes=").and_then(|range| range.strip_suffix('-')?.parse().ok());
    let from: usize = from.unwrap_or_default();
    let status = match from {
        0 => "200 OK\r\n".to_owned(),
        _ => format!(
            "206 Partial Content\r\ncontent-range: bytes {from}-{}/{}\r\n",
            image.len() - 1,
            image.len()
        ),
    };
    let length = image.len() - from;
    let head =
        format!("HTTP/1.1 {status}content-length: {length}\r\netag: \"a\"\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let end = if stalls { from + length / 2 } else { image.len() };
    stream.write_all(&image[from..end]).await?;
    stream.flush().await?;
    if stalls {
        // Until the other side has had enough.
        let _ = stream.read(&mut [0]).await;
    }
    Ok(())
}

#[tokio::test]
async fn slow_downloads_give_their_places_to_those_that_wait_and_go_on_later() {
    let Fixture { site, state: _state, .. } = Fixture::new().await;
    let site = SharedSite::new(site);
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(run_downloads(site.clone(), shutdown.clone()));
    let mut asked = Vec::new();
    for (number, (name, stalls)) in [("slow-1", 1), ("slow-2", 1), ("quick", 0)].into_iter().enumerate() {
        let image = vec![number as u8 + 1; IMAGE_BYTES];
        let (sender, ranges) = unbounded_channel();
        let request = ImportRequest {
            sha256: Some(Digest::of(&image).to_string()),
            url: serve(image, stalls, sender).await,
            ..ImportRequest::default()
        };
        site.download(name, request, Actor::Operator("root".into())).await.expect("begun");
        advance(Duration::from_secs(1));
        asked.push((name, ranges));
    }
    let state = |name: &str| site.artifact(name).expect("it").state;
    let came = |name: &str| site.artifact(name).expect("it").download.map_or(0, |d| d.progress.done_bytes);
    while came("slow-1") == 0 || came("slow-2") == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(state("quick"), ArtifactState::Queued, "both places are taken");

    // Time goes by. One of the slow makes way; its next turn comes when the quick one is here.
    let done = |name: &str| state(name) == ArtifactState::Done;
    while !done("quick") || !(done("slow-1") || done("slow-2")) {
        advance(Duration::from_millis(PATIENCE_MILLIS / 100));
        tokio::task::yield_now().await;
    }
    let mut ranges = asked
        .into_iter()
        .map(|(_, mut ranges)| std::iter::from_fn(|| ranges.try_recv().ok()).collect::<Vec<String>>());
    let half = format!("bytes={}-", IMAGE_BYTES / 2);
    let [first, second, quick] = [ranges.next(), ranges.next(), ranges.next()].map(Option::unwrap_or_default);
    assert_eq!(quick, [""]);
    // It went on from what was there.
    assert!(
        [&first, &second].iter().any(|ranges| ***ranges == ["".to_owned(), half.clone()]),
        "{first:?} {second:?}"
    );
    let events = site.store().events_after(0, None, 1000).await.expect("events");
    let order: Vec<&str> = events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::ArtifactReady { name, .. } => Some(&**name),
            _ => None,
        })
        .collect();
    assert_eq!(order[0], "quick");
    let gave = |kind: &EventKind| matches!(kind, EventKind::ArtifactTrouble { reason, .. } if reason.contains("gives its place"));
    assert!(events.iter().any(|event| gave(&event.kind)));
    shutdown.cancel();
    running.await.expect("ended");
}

/// Seconds that the busy server asks to wait: as long as it may.
const BUSY_SECS: u64 = 300;

/// A server that has no time for anybody. Each connection is told of to `asked`.
async fn serve_busy(path: &str, asked: UnboundedSender<()>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/{path}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let _ = asked.send(());
            let _ = stream.read(&mut [0; 4096]).await;
            let head = format!(
                "HTTP/1.1 503 Busy\r\nretry-after: {BUSY_SECS}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
            let _ = stream.write_all(head.as_bytes()).await;
        }
    });
    url
}

async fn ask(site: &SharedSite, name: &str, url: String, image: &[u8]) {
    let sha256 = Some(Digest::of(image).to_string());
    let request = ImportRequest { sha256, url, ..ImportRequest::default() };
    site.download(name, request, Actor::Operator("root".into())).await.expect("begun");
    advance(Duration::from_secs(1));
}

#[tokio::test]
async fn a_server_that_asked_to_wait_is_not_asked_before_whoever_had_turns_in_between() {
    let Fixture { site, state: _state, .. } = Fixture::new().await;
    let site = SharedSite::new(site);
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(run_downloads(site.clone(), shutdown.clone()));
    let (sender, mut asked) = unbounded_channel();
    for name in ["busy-1", "busy-2"] {
        ask(&site, name, serve_busy(name, sender.clone()).await, name.as_bytes()).await;
    }
    let step = |name: &str| site.artifact(name).expect("it").download.map(|download| download.step);
    while [step("busy-1"), step("busy-2")] != [Some(DownloadStep::Retrying); 2] {
        tokio::task::yield_now().await;
    }
    // The first one gets its place as a busy one makes way, the other one while that waits, and has waited longest.
    let (sender, _ranges) = unbounded_channel();
    for name in ["quick", "quicker"] {
        let image = vec![name.len() as u8; IMAGE_BYTES];
        site.measure_downloads();
        ask(&site, name, serve(image.clone(), 0, sender.clone()).await, &image).await;
        advance(Duration::from_millis(PATIENCE_MILLIS));
        site.measure_downloads();
        while site.artifact(name).expect("it").state != ArtifactState::Done {
            tokio::task::yield_now().await;
        }
    }
    let count = |asked: &mut UnboundedReceiver<()>| std::iter::from_fn(|| asked.try_recv().ok()).count();
    assert_eq!(count(&mut asked), 2, "each once");
    advance(Duration::from_secs(BUSY_SECS));
    asked.recv().await.expect("it is asked again");
    shutdown.cancel();
    running.await.expect("ended");
}

#[tokio::test]
async fn a_list_that_does_not_come_keeps_nothing_up() {
    let Fixture { site, state: _state, .. } = Fixture::new().await;
    let site = SharedSite::new(site);
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(run_downloads(site.clone(), shutdown.clone()));
    // A list of which half has come, for ever.
    let (sender, mut asked) = unbounded_channel();
    let url = serve(vec![b'0'; IMAGE_BYTES], usize::MAX, sender).await;
    let request = ImportRequest {
        checksums: Some(url.replace("disk.img", "SHA256SUMS")),
        url,
        ..ImportRequest::default()
    };
    let operator = || Actor::Operator("root".into());
    site.download("disk", request, operator()).await.expect("begun");
    asked.recv().await.expect("it is asked");
    let step = site.artifact("disk").expect("it").download.map(|download| download.step);
    assert_eq!(step, Some(DownloadStep::Fetching), "the network's turn");
    let gone = site.downloads.running();
    site.delete_import("disk", operator()).await.expect("ended");
    while site.downloads.running() == gone {
        tokio::task::yield_now().await;
    }
    shutdown.cancel();
    running.await.expect("ended");
}
