//! A proxy in front of Litestream's control socket that stands for a store that is slow, refuses, or is cut off after it has
//! taken an upload. What Litestream itself does is real; only when the pod hears of it, and whether, is decided here.

use crate::accept::Accepting;
use std::{path::PathBuf, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{UnixListener, UnixStream},
    sync::watch,
};

/// What becomes of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Does {
    /// Nothing is in its way.
    Passes,
    /// It takes so much longer.
    Slow(Duration),
    /// The store answers with an error.
    Fails,
    /// It is done, and the connection is gone before anybody hears so.
    CutAfter,
    /// Nothing answers.
    Hangs,
}

/// A running proxy. It ends with the value.
#[derive(Debug)]
pub struct SyncProxy {
    does: watch::Sender<Does>,
    accepting: Accepting,
}

impl SyncProxy {
    /// Listens on `socket`, instead of whoever did before, in front of the Litestream that listens, or will, on `behind`.
    ///
    /// # Panics
    /// When it cannot listen.
    pub fn start(socket: PathBuf, behind: PathBuf) -> Self {
        // There is none the first time.
        let _ = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).unwrap_or_else(|why| panic!("{}: {why}", socket.display()));
        let does = watch::Sender::new(Does::Passes);
        let told = does.clone();
        let accepting = Accepting::start(listener, move |client| {
            let (mut told, behind) = (told.subscribe(), behind.clone());
            async move {
                let does = *told.borrow_and_update();
                serve(client, does, &behind, &mut told).await
            }
        });
        Self { does, accepting }
    }

    /// Ends: whoever asks from now on finds nobody.
    pub async fn end(&mut self) {
        self.accepting.end().await;
    }

    /// From now on it does this with every upload that begins.
    pub fn now(&self, does: Does) {
        self.does.send_replace(does);
    }
}

async fn serve(
    mut client: UnixStream,
    does: Does,
    behind: &PathBuf,
    told: &mut watch::Receiver<Does>,
) -> std::io::Result<()> {
    match does {
        Does::Passes => {
            copy_bidirectional(&mut client, &mut UnixStream::connect(behind).await?).await?;
        }
        Does::Slow(by) => {
            tokio::time::sleep(by).await;
            copy_bidirectional(&mut client, &mut UnixStream::connect(behind).await?).await?;
        }
        Does::Fails => {
            let mut request = vec![0; 4_096];
            let _read = client.read(&mut request).await?;
            let body = r#"{"error":"the store said 500"}"#;
            let head = format!("HTTP/1.1 500 Internal Server Error\r\ncontent-length: {}\r\n\r\n", body.len());
            client.write_all((head + body).as_bytes()).await?;
        }
        Does::CutAfter => {
            let mut server = UnixStream::connect(behind).await?;
            let (mut request, mut answer) = (vec![0; 4_096], vec![0; 4_096]);
            let read = client.read(&mut request).await?;
            server.write_all(&request[..read]).await?;
            let _answered = server.read(&mut answer).await?;
        }
        Does::Hangs => {
            // Until something else is said; then the connection goes.
            let _ = told.wait_for(|does| *does != Does::Hangs).await;
        }
    }
    Ok(())
}
