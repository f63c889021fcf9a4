//! A raw HTTP/1.1 client, so that tests see exactly what is sent and answered.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::error::LabError;
use super::net::Namespace;

/// A server that says nothing for this long fails the test.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// An answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Header lines as they came.
    pub headers: Vec<(String, String)>,
    /// Body; chunked coding is left as it is.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of a name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let split = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..split]).ok()?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(key, value)| (key.to_owned(), value.trim().to_owned()))
            .collect();
        Some(Self { status, headers, body: bytes[split + 4..].to_vec() })
    }
}

/// Sends one request from inside `namespace` and reads the answer to the connection's end.
pub fn request(
    namespace: &Namespace,
    server: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> Result<Response, LabError> {
    let what = format!("{method} http://{server}{path}");
    let text =
        format!("{method} {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n{headers}\r\n{body}");
    let bytes = namespace
        .enter(|| -> std::io::Result<Vec<u8>> {
            let mut stream = TcpStream::connect_timeout(&server, SILENCE_MAX)?;
            stream.set_read_timeout(Some(SILENCE_MAX))?;
            stream.write_all(text.as_bytes())?;
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes)?;
            Ok(bytes)
        })?
        .map_err(LabError::io(what.clone()))?;
    Response::parse(&bytes)
        .ok_or_else(|| LabError::Unexpected { what, text: String::from_utf8_lossy(&bytes).into_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_split() {
        let response =
            Response::parse(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno").expect("parse");
        assert_eq!((response.status, response.header("content-length")), (404, Some("2")));
        assert_eq!(response.text(), "no");
        assert!(Response::parse(b"HTTP/1.1 200").is_none());
    }
}
