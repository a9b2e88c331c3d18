//! Probes: does a server answer in its own protocol? They use the standard library only.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(2);

fn connect(port: u16) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Sends `question` and reads an answer of `length` bytes.
fn ask(port: u16, question: &[u8], length: usize) -> std::io::Result<Vec<u8>> {
    let mut stream = connect(port)?;
    stream.write_all(question)?;
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

/// Returns true if a server accepts connections on this port.
pub fn accepts(port: u16) -> bool {
    connect(port).is_ok()
}

/// Returns true if Redis answers this user and has loaded its data.
pub fn redis(port: u16, user: &str, password: &str) -> bool {
    let question = format!("AUTH {user} {password}\r\nPING\r\n");
    ask(port, question.as_bytes(), 12).is_ok_and(|answer| answer == b"+OK\r\n+PONG\r\n")
}

/// Returns true if a broker speaks AMQP 0-9-1: it answers the greeting with a frame of `connection.start`.
pub fn amqp(port: u16) -> bool {
    ask(port, b"AMQP\x00\x00\x09\x01", 11).is_ok_and(|answer| answer[0] == 1 && answer[7..] == [0, 10, 0, 10])
}

/// Returns true if Neo4j speaks Bolt 5 or 4.
pub fn bolt(port: u16) -> bool {
    let greeting = [0x60, 0x60, 0xB0, 0x17, 0, 4, 4, 5, 0, 4, 4, 4, 0, 0, 0, 0, 0, 0, 0, 0];
    ask(port, &greeting, 4).is_ok_and(|version| version[3] >= 4)
}

/// Returns the status of `GET path`, with or without a user. `None`: no answer.
pub fn http(port: u16, path: &str, user: Option<(&str, &str)>) -> Option<u16> {
    let authorization = user.map_or_else(String::new, |(name, password)| {
        format!("Authorization: Basic {}\r\n", base64(format!("{name}:{password}").as_bytes()))
    });
    let question = format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n{authorization}\r\n");
    let answer = ask(port, question.as_bytes(), 12).ok()?;
    std::str::from_utf8(&answer).ok()?.split(' ').nth(1)?.parse().ok()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits =
            chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn base64_fills_up_with_equals_signs() {
        assert_eq!(base64(b"a:bc"), "YTpiYw==");
        assert_eq!(base64(b"a:b"), "YTpi");
        assert_eq!(base64(b"ab:cd"), "YWI6Y2Q=");
    }

    #[test]
    fn a_status_is_read_and_silence_is_none() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("has one").port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut request = [0; 512];
            let read = stream.read(&mut request).expect("reads");
            stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\n\r\n").expect("writes");
            String::from_utf8_lossy(&request[..read]).into_owned()
        });
        assert_eq!(http(port, "/readyz", Some(("a", "b"))), Some(503));
        let request = server.join().expect("the server ends");
        assert!(request.starts_with("GET /readyz HTTP/1.0\r\n"), "{request}");
        assert!(request.contains("Authorization: Basic YTpi\r\n"), "{request}");
        assert_eq!(http(port, "/readyz", None), None);
    }
}
