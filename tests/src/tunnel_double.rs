//! The double of a proxy that leads outside: it notes whom it was to connect somebody to, and connects nobody.

use crate::accept::Accepting;
use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// A running double. It ends with the value.
#[derive(Debug)]
pub struct TunnelDouble {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    _accepting: Accepting,
}

impl TunnelDouble {
    /// Starts it on a free port of this machine.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("a bound listener").port();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let noted = Arc::clone(&asked);
        let accepting = Accepting::start(listener, move |stream| refuse(stream, Arc::clone(&noted)));
        Self { port, asked, _accepting: accepting }
    }

    /// Returns its address, as `HTTPS_PROXY` names it.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns whom it was to connect somebody to so far, `HOST:PORT`.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Reads a request's head, notes its `CONNECT`, and refuses.
async fn refuse(stream: TcpStream, asked: Arc<Mutex<Vec<String>>>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let to = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
    asked.lock().unwrap_or_else(PoisonError::into_inner).extend(to.map(str::to_owned));
    stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await
}
