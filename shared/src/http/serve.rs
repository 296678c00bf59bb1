//! The accept loop. `axum::serve` leaves half a head open for ever and bounds nothing; this one bounds heads, connections,
//! the time a head may take and a reader may sleep, refuses ambiguous `Host` headers, and stops in order.

mod head;
mod patient;

use crate::shutdown::Shutdown;
use axum::{Router, body::Body};
use head::{HeadTimer, Heard};
use http::{Request, Response, StatusCode, Version, header};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use patient::Patient;
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// The bounds of a listener.
#[derive(Debug, Clone, clap::Args)]
pub struct ServeLimits {
    /// Largest request head in bytes; larger heads get 431
    #[arg(long, env = "BERTH_MAX_HEAD_BYTES", default_value_t = 16_384, value_name = "BYTES", help_heading = "Limits")]
    pub max_head_bytes: usize,
    /// Most request headers; more get 431
    #[arg(long, env = "BERTH_MAX_HEADERS", default_value_t = 100, value_name = "N", help_heading = "Limits")]
    pub max_headers: usize,
    /// How long a request head may take, from its first byte or the opening of the connection
    #[arg(long, env = "BERTH_HEAD_TIMEOUT", default_value = "5s", value_parser = crate::settings::duration, value_name = "TIME", help_heading = "Limits")]
    pub head_timeout: Duration,
    /// How long a connection may stay without a request; longer than a proxy in front keeps its own
    #[arg(long, env = "BERTH_IDLE_TIMEOUT", default_value = "75s", value_parser = crate::settings::duration, value_name = "TIME", help_heading = "Limits")]
    pub idle_timeout: Duration,
    /// How long a reader may take nothing of what is sent to it
    #[arg(long, env = "BERTH_WRITE_TIMEOUT", default_value = "10s", value_parser = crate::settings::duration, value_name = "TIME", help_heading = "Limits")]
    pub write_timeout: Duration,
    /// Most connections at once; more wait to be accepted
    #[arg(long, env = "BERTH_MAX_CONNECTIONS", default_value_t = 10_000, value_name = "N", help_heading = "Limits")]
    pub max_connections: usize,
    /// How long running requests may take when the service stops
    #[arg(long, env = "BERTH_STOP_TIMEOUT", default_value = "5s", value_parser = crate::settings::duration, value_name = "TIME", help_heading = "Limits")]
    pub stop_timeout: Duration,
}

impl Default for ServeLimits {
    fn default() -> Self {
        let second = Duration::from_secs(1);
        Self {
            max_head_bytes: 16_384,
            max_headers: 100,
            head_timeout: 5 * second,
            idle_timeout: 75 * second,
            write_timeout: 10 * second,
            max_connections: 10_000,
            stop_timeout: 5 * second,
        }
    }
}

/// A listener with the address it really has.
#[derive(Debug)]
pub struct BoundListener {
    /// The listener.
    pub listener: TcpListener,
    /// Its address; the port is the real one when 0 was asked for.
    pub address: SocketAddr,
}

/// Who opened the connection a request came on; among the request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// Binds an address.
///
/// # Errors
/// The cause, with the address named and the flag to change it.
pub async fn bind(address: SocketAddr, flag: &str) -> io::Result<BoundListener> {
    let listener = TcpListener::bind(address).await.map_err(|why| {
        let text = match why.kind() {
            io::ErrorKind::AddrInUse => {
                format!("port {} of {} is taken; choose another with {flag}", address.port(), address.ip())
            }
            _ => format!("cannot listen on {address}: {why}; choose another address with {flag}"),
        };
        io::Error::new(why.kind(), text)
    })?;
    let address = listener.local_addr()?;
    Ok(BoundListener { listener, address })
}

/// Serves `router` until `shutdown`, then lets running requests end within `stop_timeout`.
///
/// # Errors
/// Never for a single connection; only when accepting itself is impossible for good.
pub async fn serve(bound: BoundListener, router: Router, limits: ServeLimits, shutdown: Shutdown) -> io::Result<()> {
    let (slots, tracker) = (Arc::new(tokio::sync::Semaphore::new(limits.max_connections)), TaskTracker::new());
    loop {
        let permit = tokio::select! {
            () = shutdown.cancelled() => break,
            permit = Arc::clone(&slots).acquire_owned() => permit.map_err(io::Error::other)?,
        };
        let (stream, peer) = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = bound.listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(why) => {
                    // Out of descriptors or a connection that is gone already: wait a little, do not spin.
                    tracing::warn!(error = %why, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        let (router, limits, shutdown) = (router.clone(), limits.clone(), shutdown.clone());
        tracker.spawn(async move {
            connection(stream, Peer(peer), router, &limits, shutdown).await;
            drop(permit);
        });
    }
    tracker.close();
    if tokio::time::timeout(limits.stop_timeout, tracker.wait()).await.is_err() {
        tracing::warn!(connections = tracker.len(), "connections were still open at the end of the stop timeout");
    }
    Ok(())
}

async fn connection(stream: TcpStream, peer: Peer, router: Router, limits: &ServeLimits, shutdown: Shutdown) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |mut request: Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer);
        let router = router.clone();
        async move {
            if let Some(refused) = ambiguous_host(&request) {
                return Ok(refused);
            }
            router.oneshot(request.map(Body::new)).await
        }
    });
    let heard = Heard::default();
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(HeadTimer::new(heard.clone(), limits.head_timeout, limits.idle_timeout))
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(limits.max_head_bytes.max(8_192))
        .max_headers(limits.max_headers)
        .serve_connection(TokioIo::new(Patient::new(stream, limits.write_timeout, heard)), service)
        .with_upgrades();
    tokio::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(why) = result {
        tracing::debug!(error = %why, "connection ended");
    }
}

/// RFC 9112, section 3.2: exactly one `Host` in HTTP/1.1. Two invite each proxy to read another one.
fn ambiguous_host<B>(request: &Request<B>) -> Option<Response<Body>> {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    let wrong = hosts > 1 || (hosts == 0 && request.version() == Version::HTTP_11);
    wrong.then(|| {
        let mut answer = Response::new(Body::from("send exactly one Host header\n"));
        *answer.status_mut() = StatusCode::BAD_REQUEST;
        answer
    })
}

#[cfg(test)]
mod tests;
