//! Bytes on a socket, for requests that no client library would send.

use crate::wait::within;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends `bytes` and returns all that comes back until the server closes the connection, at most for `most`. A server
/// that closes while it is still being sent to is no error: what it said before counts.
///
/// # Panics
/// When the connection is refused or stays open longer than `most`.
pub async fn exchange(port: u16, bytes: &[u8], most: Duration) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the port accepts connections");
    let (mut read, mut write) = stream.split();
    let mut answer = Vec::new();
    let receive = async {
        let mut chunk = [0_u8; 4_096];
        while let Ok(n @ 1..) = read.read(&mut chunk).await {
            answer.extend_from_slice(&chunk[..n]);
        }
    };
    let send = async {
        let _ = write.write_all(bytes).await;
    };
    within("the server closes the connection", most, async { tokio::join!(send, receive) }).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// Returns the status of a raw answer; 0 when there is none.
pub fn status(answer: &str) -> u16 {
    answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).and_then(|code| code.parse().ok()).unwrap_or(0)
}
