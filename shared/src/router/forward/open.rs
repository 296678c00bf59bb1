//! Opens a link: connects, asks for the upgrade, exchanges hellos.

use crate::settings::Secret;
use crate::wire::Hello;
use crate::wire::link::{Frame, LinkError, PATH, UPGRADE, Window, decode, encode};
use bytes::{Bytes, BytesMut};
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// The longest hello.
const MAX_HELLO: usize = 4_096;

/// An open link, before its first request.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) stream: TcpStream,
    /// What came behind the pod's hello.
    pub(super) buffer: BytesMut,
    /// What the pod allows to be unanswered.
    pub(super) window: Window,
}

/// Why a link could not be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error("cannot connect: {0}")]
    Connect(#[from] std::io::Error),
    #[error("no link within {0:?}")]
    Slow(std::time::Duration),
    #[error("the pod refused the upgrade: {0}")]
    Upgrade(#[from] hyper::Error),
    #[error("the pod does not take this router's token; set the same BERTH_SERVICE_TOKENS on both")]
    Token,
    #[error("the pod answered {0} instead of the upgrade")]
    Refused(StatusCode),
    #[error("its address {0} cannot be called")]
    Address(String),
    #[error("the pod did not say hello")]
    NoHello,
    #[error("the pod's hello is malformed: {0}")]
    Malformed(#[from] LinkError),
    #[error("the pod speaks versions {0} to {1} of the link, this router {2} to {3}; update the older one")]
    Versions(u16, u16, u16, u16),
}

/// Opens a link to `address` (`host:port`). `name` is this router's, for the pod's log.
pub(super) async fn open(address: &str, token: &Secret, name: &str) -> Result<Opened, OpenError> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut stream, mut buffer) = upgrade(stream, address, token).await?;
    let hello = Frame::Hello {
        hello: Hello::CURRENT,
        name: name.to_owned(),
        // Counts only from the gateway.
        window: Window { requests: 0, bytes: 0 },
    };
    let mut out = BytesMut::new();
    encode(&hello, &mut out);
    stream.write_all(&out).await?;
    loop {
        buffer.reserve(MAX_HELLO);
        match decode(&mut buffer, MAX_HELLO)? {
            Some(Frame::Hello { hello, window, .. }) => {
                let ours = Hello::CURRENT;
                return match ours.agree(hello) {
                    Some(_) => Ok(Opened { stream, buffer, window }),
                    None => Err(OpenError::Versions(hello.min, hello.max, ours.min, ours.max)),
                };
            }
            Some(_) => return Err(OpenError::NoHello),
            None if stream.read_buf(&mut buffer).await? == 0 => return Err(OpenError::NoHello),
            None => {}
        }
    }
}

async fn upgrade(stream: TcpStream, address: &str, token: &Secret) -> Result<(TcpStream, BytesMut), OpenError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends by itself with the upgrade, and with this function otherwise.
    let mut tasks = JoinSet::new();
    tasks.spawn(connection.with_upgrades());
    let request = Request::get(PATH)
        .header(header::HOST, address)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, UPGRADE)
        .header(header::AUTHORIZATION, format!("Bearer {}", token.expose()))
        .body(Empty::<Bytes>::new())
        .map_err(|_| OpenError::Address(address.to_owned()))?;
    let answer = sender.send_request(request).await?;
    match answer.status() {
        StatusCode::SWITCHING_PROTOCOLS => {}
        StatusCode::UNAUTHORIZED => return Err(OpenError::Token),
        // Among others 503: it starts, stops, or has all the links it takes.
        other => return Err(OpenError::Refused(other)),
    }
    let upgraded = hyper::upgrade::on(answer).await?;
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().map_err(|_| OpenError::NoHello)?;
    Ok((parts.io.into_inner(), BytesMut::from(parts.read_buf.as_ref())))
}
