//! A handler that goes wrong on request: a server over plain TCP that writes exactly the bytes it is told to. What is
//! wrong with them is the stories' business.

use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

/// The pause between two bytes of a drip.
const DRIP: Duration = Duration::from_millis(100);

/// A request that arrived.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// Method and path, for example `POST /v1/events`.
    pub route: String,
    /// The headers as they came, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as JSON; null when it is none.
    pub body: Value,
}

/// What is said to a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Says {
    /// A whole answer in JSON.
    Json(u16, Value),
    /// A whole answer with this body, whatever it is.
    Text(u16, String),
    /// These bytes, and then the end of the connection.
    Bytes(Vec<u8>),
    /// These bytes; the connection stays.
    Loose(Vec<u8>),
    /// These bytes, one by one.
    Drip(Vec<u8>),
    /// These bytes, again and again.
    Flood(Vec<u8>),
    /// Nothing, for as long as the other side waits.
    Nothing,
    /// A JSON answer after a while.
    After(Duration, Value),
}

/// The double. Its threads end with the process.
#[derive(Debug)]
pub struct HandlerDouble {
    port: u16,
}

impl HandlerDouble {
    /// Starts a handler that serves connections beside each other.
    ///
    /// # Panics
    /// When no port is free.
    pub fn start(says: impl Fn(&Asked) -> Says + Send + Sync + 'static) -> Self {
        let says = Arc::new(says);
        Self::listen(move |stream| {
            let says = Arc::clone(&says);
            drop(thread::spawn(move || conversation(stream, &*says)));
        })
    }

    /// Starts a handler on a port that is known before, as [`HandlerDouble::start`].
    ///
    /// # Panics
    /// When the port is taken.
    pub fn start_on(port: u16, says: impl Fn(&Asked) -> Says + Send + Sync + 'static) -> Self {
        let says = Arc::new(says);
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
        Self::serve(listener, move |stream| {
            let says = Arc::clone(&says);
            drop(thread::spawn(move || conversation(stream, &*says)));
        })
    }

    /// Starts a handler that serves one connection until it ends, and only then the next.
    ///
    /// # Panics
    /// When no port is free.
    pub fn start_one_at_a_time(says: impl Fn(&Asked) -> Says + Send + Sync + 'static) -> Self {
        Self::listen(move |stream| conversation(stream, &says))
    }

    fn listen(serve: impl Fn(TcpStream) + Send + 'static) -> Self {
        Self::serve(TcpListener::bind(("127.0.0.1", 0)).expect("a free port"), serve)
    }

    fn serve(listener: TcpListener, serve: impl Fn(TcpStream) + Send + 'static) -> Self {
        let port = listener.local_addr().expect("a bound listener").port();
        drop(thread::spawn(move || listener.incoming().flatten().for_each(serve)));
        Self { port }
    }

    /// Returns its URL.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

fn conversation(stream: TcpStream, says: &dyn Fn(&Asked) -> Says) {
    let _ = stream.set_nodelay(true);
    let mut reader = BufReader::new(stream);
    while let Some(asked) = read(&mut reader) {
        let (bytes, ends) = match says(&asked) {
            Says::Json(status, value) => (whole(status, &value.to_string()), false),
            Says::Text(status, text) => (whole(status, &text), false),
            Says::Bytes(bytes) => (bytes, true),
            Says::Loose(bytes) => (bytes, false),
            Says::Drip(bytes) => {
                for byte in bytes {
                    thread::sleep(DRIP);
                    if reader.get_mut().write_all(&[byte]).is_err() {
                        return;
                    }
                }
                return;
            }
            Says::Flood(bytes) => {
                while reader.get_mut().write_all(&bytes).is_ok() {}
                return;
            }
            Says::Nothing => {
                // The other side gives up, and that ends it.
                let _ = reader.read(&mut [0]);
                return;
            }
            Says::After(pause, value) => {
                thread::sleep(pause);
                (whole(200, &value.to_string()), false)
            }
        };
        if reader.get_mut().write_all(&bytes).is_err() || ends {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        Some(line.trim_end().to_owned())
    };
    let mut first = line()?;
    first.truncate(first.rfind(' ')?);
    let mut headers = Vec::new();
    loop {
        match line()? {
            line if line.is_empty() => break,
            line => headers.push(line.split_once(':').map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned()))?),
        }
    }
    let length = headers.iter().find(|(name, _)| name == "content-length").map_or(Ok(0), |(_, n)| n.parse()).ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { route: first, headers, body: serde_json::from_slice(&body).unwrap_or_default() })
}

/// Returns the bytes of a whole answer.
pub fn whole(status: u16, body: &str) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body.as_bytes()].concat()
}
