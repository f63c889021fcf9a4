//! A question to the daemon whose answer may be that the connection goes on as something else (RFC 9110, section 7.8).

use std::{
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

use crate::{
    cmdline::Token,
    server::{ServerError, detail},
};

const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// Bytes in an answer's head; the daemon's have some two hundred.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Bytes of a refusal that are read.
const BODY_BYTES_MAX: u64 = 64 << 10;

/// Posts to `path` on the daemon at `url` and offers to speak `protocol`. The connection, if the daemon takes that up;
/// `None` if there is nothing to speak of. The answer may take `wait`.
pub fn ask(
    url: &str,
    path: &str,
    token: &Token,
    protocol: &str,
    wait: Duration,
) -> Result<Option<TcpStream>, ServerError> {
    let host = url.strip_prefix("http://").unwrap_or(url);
    let mut stream = connect(host).map_err(unreachable)?;
    let asked = stream.set_read_timeout(Some(wait)).and_then(|()| {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\
             Authorization: Bearer {}\r\nUser-Agent: ironwake-agent/{}\r\nContent-Length: 0\r\n\r\n",
            token.expose(),
            env!("CARGO_PKG_VERSION"),
        );
        stream.write_all(head.as_bytes())
    });
    asked.map_err(unreachable)?;
    let status = read_status(&mut stream).map_err(unreachable)?;
    match status {
        101 => {
            stream.set_read_timeout(None).map_err(unreachable)?;
            Ok(Some(stream))
        }
        200..=299 => Ok(None),
        _ => {
            let mut body = Vec::new();
            // What of the reason came is better than none.
            let _ = stream.take(BODY_BYTES_MAX).read_to_end(&mut body);
            Err(ServerError::Refused { status, detail: detail(&body) })
        }
    }
}

fn connect(host: &str) -> io::Result<TcpStream> {
    let with_port = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    let address = with_port.to_socket_addrs()?.next();
    let address = address.ok_or_else(|| io::Error::other(format!("{host} has no address")))?;
    let stream = TcpStream::connect_timeout(&address, CONNECT_WAIT)?;
    // Keys are typed one by one.
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn unreachable(error: io::Error) -> ServerError {
    ServerError::Unreachable(Box::new(ureq::Error::Io(error)))
}

/// Reads to the end of the head and no further: what follows is the other protocol's.
fn read_status(stream: &mut impl Read) -> io::Result<u16> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= HEAD_BYTES_MAX {
            return Err(io::Error::other("the answer's head has no end"));
        }
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let line = String::from_utf8_lossy(&head);
    let status = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    status.ok_or_else(|| io::Error::other("an answer that is not HTTP"))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// What `ask` makes of a daemon that answers so; and what it was asked.
    fn check(answer: &'static str) -> (Result<Option<TcpStream>, ServerError>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let daemon = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut asked = vec![0; 4096];
            let length = stream.read(&mut asked).expect("a request");
            stream.write_all(answer.as_bytes()).expect("answered");
            String::from_utf8_lossy(&asked[..length]).into_owned()
        });
        let token = Token::parse(&"a".repeat(64)).expect("a token");
        let asked = ask(&url, "/x", &token, "ironwake-shell", Duration::from_secs(20));
        (asked, daemon.join().expect("it answered"))
    }

    #[test]
    fn a_connection_goes_on_right_behind_the_answer() {
        let (stream, asked) =
            check("HTTP/1.1 101 Switching Protocols\r\nUpgrade: ironwake-shell\r\n\r\nhello");
        let mut rest = String::new();
        stream.expect("agreed").expect("a connection").read_to_string(&mut rest).expect("bytes");
        assert_eq!(rest, "hello");
        assert!(
            asked.starts_with("POST /x HTTP/1.1\r\n") && asked.contains("\r\nUpgrade: ironwake-shell\r\n")
        );
    }

    #[test]
    fn nothing_to_do_and_refusals_are_told_apart() {
        assert!(check("HTTP/1.1 204 No Content\r\n\r\n").0.expect("heard").is_none());
        let refused =
            check("HTTP/1.1 409 Conflict\r\nConnection: close\r\n\r\nit has ended").0.expect_err("refused");
        assert!(refused.is_final() && refused.to_string().contains("it has ended"), "{refused}");
        assert!(!check("nonsense\r\n\r\n").0.expect_err("not HTTP").is_final());
    }
}
