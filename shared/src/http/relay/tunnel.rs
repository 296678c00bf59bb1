//! Two connections that have left HTTP, joined: bytes go both ways until one side is done, nothing moves any more, or it
//! is told to end. Knows nothing of what is said.

use super::body::{Flow, quiet};
use crate::shutdown::Shutdown;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};

/// What is held per direction.
const BUFFER: usize = 8 << 10;

/// Two ends that are about to leave HTTP.
#[derive(Debug)]
pub struct Tunnel {
    /// Whoever asked.
    pub client: OnUpgrade,
    /// Whoever agreed.
    pub server: OnUpgrade,
}

/// Why a tunnel ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TunnelEnd {
    /// Both sides were done.
    Done,
    /// One side broke off, or never left HTTP.
    Broken,
    /// Nothing moved for too long.
    Idle,
    /// It was told to end.
    Cut,
}

impl TunnelEnd {
    /// Returns the word it is counted by.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Broken => "broken",
            Self::Idle => "idle",
            Self::Cut => "cut",
        }
    }
}

impl Tunnel {
    /// Carries bytes both ways. Nothing moves for `idle`: it ends; so it does with `cut`.
    pub async fn run(self, idle: Duration, cut: &Shutdown) -> TunnelEnd {
        let flow = Flow::new();
        let carry = async {
            let (Ok(client), Ok(server)) = tokio::join!(self.client, self.server) else { return TunnelEnd::Broken };
            let (mut client, mut server) = (Counted::new(client, &flow), Counted::new(server, &flow));
            match copy_bidirectional_with_sizes(&mut client, &mut server, BUFFER, BUFFER).await {
                Ok(_) => TunnelEnd::Done,
                Err(_) => TunnelEnd::Broken,
            }
        };
        tokio::select! {
            end = carry => end,
            () = quiet(&flow, idle) => TunnelEnd::Idle,
            () = cut.cancelled() => TunnelEnd::Cut,
        }
    }
}

/// A connection that counts what it reads.
struct Counted {
    stream: TokioIo<Upgraded>,
    flow: Flow,
}

impl Counted {
    fn new(stream: Upgraded, flow: &Flow) -> Self {
        Self { stream: TokioIo::new(stream), flow: flow.clone() }
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.flow.moved();
        }
        read
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
