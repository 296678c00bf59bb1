//! A proxy in front of an S3-compatible store that makes it slow, failing, gone or forgetful, and notes what was asked of it.
//! What the store does is real; only whether and when a request and its answer arrive is decided here, and how old a list says
//! that something is.

mod aged;
mod asked;

pub use asked::{Asked, Bucket, Verb};

use crate::accept::Accepting;
use bytes::Bytes;
use http::{HeaderName, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client, server, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Mutex as Turn, watch},
};

/// Headers that belong to one connection.
const OF_A_CONNECTION: [HeaderName; 3] = [header::CONNECTION, header::TRANSFER_ENCODING, header::EXPECT];

/// Which requests something happens to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// All.
    All,
    /// Those of one kind.
    Only(Verb),
    /// Those that may write only where nothing is (`If-None-Match: *`).
    Conditional,
    /// Those of one kind whose key has this in it.
    Below(Verb, String),
}

impl To {
    fn means(&self, asked: &Asked, conditional: bool) -> bool {
        match self {
            Self::All => true,
            Self::Only(verb) => asked.verb == *verb,
            Self::Conditional => conditional,
            Self::Below(verb, part) => asked.verb == *verb && asked.key.contains(part.as_str()),
        }
    }
}

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Does {
    /// Nothing: it passes.
    Passes,
    /// It takes so much longer.
    Slow(Duration),
    /// It is answered with this status, and never reaches the store.
    Answers(u16),
    /// The store does it; the connection is gone before anybody hears so.
    CutAfter,
    /// Nobody is there: connections end as soon as they begin.
    Gone,
    /// Nothing answers, until something else happens.
    Hangs,
    /// The connection is cut, and the store does it only when [`StoreProxy::release`] says so.
    Late,
}

#[derive(Debug)]
struct Shared {
    port: u16,
    happens: watch::Sender<(To, Does)>,
    asked: Mutex<Vec<Asked>>,
    late: Mutex<Vec<Request<Full<Bytes>>>>,
    /// What keys have in them, and so many days older lists say that they are.
    aged: Mutex<Vec<(String, u32)>>,
    /// Amazon's store lets one of several conditional writers win; the stores of the stories look first and write then.
    turn: Turn<()>,
}

/// A running proxy. It ends with the value.
#[derive(Debug)]
pub struct StoreProxy {
    port: u16,
    shared: Arc<Shared>,
    _accepting: Accepting,
}

impl StoreProxy {
    /// Starts a proxy in front of the store that listens on `port` of this machine.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let own = listener.local_addr().expect("a bound listener").port();
        let happens = watch::Sender::new((To::All, Does::Passes));
        let (asked, late, aged, turn) = Default::default();
        let shared = Arc::new(Shared { port, happens, asked, late, aged, turn });
        let known = Arc::clone(&shared);
        let accepting = Accepting::start(listener, move |stream| {
            let shared = Arc::clone(&known);
            async move {
                if *shared.happens.borrow() == (To::All, Does::Gone) {
                    return Ok(());
                }
                let service = service_fn(|request| shared.serve(request));
                server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await
                    .map_err(io::Error::other)
            }
        });
        Self { port: own, shared, _accepting: accepting }
    }

    /// Returns its address, as a store's endpoint. It has a name: where there is only a number, no client would put a bucket before it.
    pub fn url(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    /// From now on this happens to these requests, and nothing to others.
    pub fn now(&self, to: To, does: Does) {
        self.shared.happens.send_replace((to, does));
    }

    /// From now on everything passes.
    pub fn well(&self) {
        self.now(To::All, Does::Passes);
    }

    /// From now on lists say that whatever has `part` in its key is so many days older than it is.
    pub fn age(&self, part: &str, days: u32) {
        locked(&self.shared.aged).push((part.to_owned(), days));
    }

    /// Returns what has been asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        locked(&self.shared.asked).clone()
    }

    /// Returns how many requests of a kind there were so far.
    pub fn count(&self, verb: Verb) -> usize {
        locked(&self.shared.asked).iter().filter(|asked| asked.verb == verb).count()
    }

    /// Returns how many requests wait to be late.
    pub fn late(&self) -> usize {
        locked(&self.shared.late).len()
    }

    /// Lets the late requests reach the store, in order; says how many it took.
    ///
    /// # Panics
    /// When the store is not there.
    pub async fn release(&self) -> usize {
        let late = std::mem::take(&mut *locked(&self.shared.late));
        let mut taken = 0;
        for request in late {
            let answer = self.shared.forward(request).await.expect("the store answers");
            taken += usize::from(answer.status().is_success());
        }
        taken
    }
}

impl Shared {
    /// Does with a request what is to happen to it. An error ends its connection without an answer.
    async fn serve(&self, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
        let asked = Asked::of(&request);
        let conditional = request.headers().contains_key(header::IF_NONE_MATCH);
        locked(&self.asked).push(asked.clone());
        let (mut head, body) = request.into_parts();
        // An upload is taken whole before anything happens to it.
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        OF_A_CONNECTION.iter().for_each(|name| drop(head.headers.remove(name)));
        let request = Request::from_parts(head, Full::new(body));
        let mut happens = self.happens.subscribe();
        let now = happens.borrow_and_update().clone();
        let does = if now.0.means(&asked, conditional) { now.1 } else { Does::Passes };
        let _turn = if conditional { Some(self.turn.lock().await) } else { None };
        match does {
            Does::Passes => self.forward(request).await,
            Does::Slow(by) => {
                tokio::time::sleep(by).await;
                self.forward(request).await
            }
            Does::Answers(status) => Ok(refusal(status)),
            Does::CutAfter => {
                self.forward(request).await?;
                Err(io::ErrorKind::ConnectionAborted.into())
            }
            Does::Gone => Err(io::ErrorKind::ConnectionReset.into()),
            Does::Hangs => {
                // The proxy may end first.
                let _ = happens.wait_for(|then| *then != now).await;
                Err(io::ErrorKind::ConnectionReset.into())
            }
            Does::Late => {
                locked(&self.late).push(request);
                Err(io::ErrorKind::ConnectionReset.into())
            }
        }
    }

    async fn forward(&self, request: Request<Full<Bytes>>) -> io::Result<Response<Full<Bytes>>> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let (mut sender, connection) =
            client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let exchange = async {
            let (mut head, body) = sender.send_request(request).await?.into_parts();
            let mut body = body.collect().await?.to_bytes();
            OF_A_CONNECTION.iter().for_each(|name| drop(head.headers.remove(name)));
            for (part, days) in locked(&self.aged).iter() {
                if let Some(older) = aged::list(&body, part, *days) {
                    head.headers.remove(header::CONTENT_LENGTH);
                    body = older;
                }
            }
            Ok::<_, hyper::Error>(Response::from_parts(head, Full::new(body)))
        };
        let mut exchange = std::pin::pin!(exchange);
        let answer = tokio::select! {
            biased;
            answer = &mut exchange => answer,
            _ = connection => exchange.await,
        };
        answer.map_err(io::Error::other)
    }
}

fn refusal(status: u16) -> Response<Full<Bytes>> {
    let code = if status == 501 { "NotImplemented" } else { "InternalError" };
    let text = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>a story</Message></Error>");
    let mut answer = Response::new(Full::from(text));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
