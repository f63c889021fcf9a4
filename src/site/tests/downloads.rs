//! Downloads that share the few places there are.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::artifact::{Digest, PATIENCE_MILLIS};

const IMAGE_BYTES: usize = 8192;

/// A server of one image, which stalls in the middle of each of the first `stalls` answers. What each request asked for as
/// its range is sent to `ranges`.
async fn serve(image: Vec<u8>, stalls: usize, ranges: tokio::sync::mpsc::UnboundedSender<String>) -> String {
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
    ranges: tokio::sync::mpsc::UnboundedSender<String>,
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
        let (sender, ranges) = tokio::sync::mpsc::unbounded_channel();
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
