//! What is asked of Litestream, on its control socket; and what the agent asks: that for an upload, and the store for the lineage's
//! seal. Decides nothing; an answer other than 200 is none.

use super::agent::Replica;
use futures_util::future::BoxFuture;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tokio::net::UnixStream;

/// The largest answer that is read.
const ANSWER: usize = 64 << 10;
/// What Litestream is given beyond the time it was told: its own answer is better than none.
const GRACE: Duration = Duration::from_secs(2);

/// Why Litestream has not done what it was asked.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Nobody listens on its socket.
    Gone(String),
    /// It said no, or nothing.
    Said(String),
}

impl From<Refusal> for String {
    fn from(why: Refusal) -> Self {
        match why {
            Refusal::Gone(why) | Refusal::Said(why) => why,
        }
    }
}

/// Asks Litestream on `socket` for what `path` names, and waits for that as long as it takes.
///
/// # Errors
/// [`Refusal`].
pub(crate) async fn ask(socket: &Path, path: &'static str, body: &Value) -> Result<(), Refusal> {
    let stream = connect(socket).await.map_err(Refusal::Gone)?;
    exchange(stream, path, body).await.map_err(Refusal::Said)
}

async fn connect(socket: &Path) -> Result<UnixStream, String> {
    let nobody = |why| format!("Litestream does not listen on {}: {why}; is it running?", socket.display());
    UnixStream::connect(socket).await.map_err(nobody)
}

async fn exchange(stream: UnixStream, path: &'static str, body: &Value) -> Result<(), String> {
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|why| format!("Litestream's socket: {why}"))?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::HOST, "litestream")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body.to_string())))
        .map_err(|why| why.to_string())?;
    let exchange = async {
        let answer = sender.send_request(request).await.map_err(|why| format!("Litestream's socket: {why}"))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER).collect().await;
        let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        if status == StatusCode::OK { Ok(()) } else { Err(said(status, &body)) }
    };
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        biased;
        done = &mut exchange => done,
        // What was read of the answer before the end counts; without one the exchange ends with an error.
        _ = connection => exchange.await,
    }
}

/// Who can say whether a lineage is sealed.
pub(crate) trait Seals: fmt::Debug + Send + Sync + 'static {
    /// Reads the seal, past every cache.
    fn is_sealed(&self) -> BoxFuture<'_, Result<bool, String>>;

    /// Returns the lineage's path below the base, once it is known.
    fn lineage(&self) -> Option<String> {
        None
    }
}

/// A Litestream beside this process, and the store it writes to.
#[derive(Debug)]
pub(crate) struct ControlSocket<S> {
    socket: PathBuf,
    database: PathBuf,
    timeout: Duration,
    seals: S,
    gone: AtomicBool,
}

impl<S: Seals> ControlSocket<S> {
    /// Makes the way to a Litestream that listens on `socket` and replicates `database`.
    pub(crate) fn new(socket: PathBuf, database: PathBuf, timeout: Duration, seals: S) -> Self {
        // Litestream knows it by the name in its configuration, which is the whole path.
        let database = std::path::absolute(&database).unwrap_or(database);
        Self { socket, database, timeout, seals, gone: AtomicBool::new(false) }
    }

    async fn ask(&self) -> Result<(), String> {
        let asked = json!({"path": self.database, "wait": true, "timeout": self.timeout.as_secs().max(1)});
        let connected = connect(&self.socket).await;
        // Known before it has answered, which may take longer than anybody waits.
        self.gone.store(connected.is_err(), Ordering::Relaxed);
        exchange(connected?, "/sync", &asked).await
    }
}

impl<S: Seals> Replica for ControlSocket<S> {
    fn sync(&self) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async {
            let most = self.timeout + GRACE;
            tokio::time::timeout(most, self.ask())
                .await
                .unwrap_or_else(|_| Err(format!("Litestream has not uploaded within {most:?}")))
        })
    }

    fn is_sealed(&self) -> BoxFuture<'_, Result<bool, String>> {
        Box::pin(async {
            tokio::time::timeout(self.timeout, self.seals.is_sealed())
                .await
                .unwrap_or_else(|_| Err("the seal could not be read in time".to_owned()))
        })
    }

    fn lineage(&self) -> Option<String> {
        self.seals.lineage()
    }

    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }
}

/// Litestream's own words, as far as they are short.
fn said(status: StatusCode, body: &[u8]) -> String {
    let text =
        serde_json::from_slice::<Value>(body).ok().and_then(|body| Some(body.get("error")?.as_str()?.to_owned()));
    let text: String = text.unwrap_or_default().chars().take(300).collect();
    format!("Litestream answered {}: {text}", status.as_u16())
}

#[cfg(test)]
mod tests;
