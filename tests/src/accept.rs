//! Whoever listens in a story: each connection is served beside the others, and all end with the listener. What is said on
//! them is the doubles' and proxies' business.

use std::{
    future::poll_fn,
    io,
    task::{Context, Poll, ready},
};
use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    task::{JoinHandle, JoinSet},
};

/// A socket that listens.
pub(crate) trait Listens: Send + Sync + 'static {
    /// What comes of it.
    type Stream: Send + 'static;

    /// Returns the next connection once there is one.
    fn poll(&self, context: &mut Context<'_>) -> Poll<io::Result<Self::Stream>>;
}

impl Listens for TcpListener {
    type Stream = TcpStream;

    fn poll(&self, context: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        let (stream, _) = ready!(self.poll_accept(context))?;
        // One that is gone already serves nobody.
        let _ = stream.set_nodelay(true);
        Poll::Ready(Ok(stream))
    }
}

impl Listens for UnixListener {
    type Stream = UnixStream;

    fn poll(&self, context: &mut Context<'_>) -> Poll<io::Result<UnixStream>> {
        Poll::Ready(Ok(ready!(self.poll_accept(context))?.0))
    }
}

/// A listener at work. It ends with the value, and all its connections with it.
#[derive(Debug)]
pub(crate) struct Accepting(JoinHandle<()>);

impl Accepting {
    /// Serves each connection of `listener`. How one ends is nobody's business.
    pub(crate) fn start<L, F>(listener: L, mut serve: impl FnMut(L::Stream) -> F + Send + 'static) -> Self
    where
        L: Listens,
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        Self(shared::shutdown::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok(stream) = poll_fn(|context| listener.poll(context)).await {
                connections.spawn(serve(stream));
                while connections.try_join_next().is_some() {}
            }
        }))
    }

    /// Ends it: whoever comes from now on finds nobody.
    pub(crate) async fn end(&mut self) {
        self.0.abort();
        // It was asked to end.
        let _ = (&mut self.0).await;
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        self.0.abort();
    }
}
