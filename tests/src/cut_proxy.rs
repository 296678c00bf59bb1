//! A proxy in front of PostgreSQL's socket that cuts a connection at the COMMIT of a chosen transaction: before the server
//! has it, or after the server has done it and before the client hears so. Either way the client cannot know the outcome.

use crate::accept::Accepting;
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
};

/// Where the connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The COMMIT never reaches the server: nothing is committed.
    BeforeCommit,
    /// The server has committed; its answer is lost.
    AfterCommit,
}

/// What is to be cut next.
#[derive(Debug, Clone)]
struct Plan {
    word: Vec<u8>,
    cut: Cut,
}

/// A running proxy. It ends with the value; connections through it do too.
#[derive(Debug)]
pub struct CutProxy {
    folder: TempDir,
    plan: Arc<Mutex<Option<Plan>>>,
    cuts: Arc<AtomicU64>,
    _accepting: Accepting,
}

impl CutProxy {
    /// Starts a proxy in front of the server that listens on `socket`.
    ///
    /// # Panics
    /// When it cannot listen.
    pub fn start(socket: PathBuf) -> Self {
        let folder = tempfile::Builder::new().prefix("berth-cut").tempdir_in("/tmp").expect("a folder in /tmp");
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).expect("a socket");
        let (plan, cuts) = (Arc::<Mutex<Option<Plan>>>::default(), Arc::<AtomicU64>::default());
        let (known, counted) = (Arc::clone(&plan), Arc::clone(&cuts));
        let accepting = Accepting::start(listener, move |client| {
            let (plan, cuts, socket) = (Arc::clone(&known), Arc::clone(&counted), socket.clone());
            async move {
                // A server that is away refuses the client too.
                let server = UnixStream::connect(&socket).await?;
                serve(client, server, &plan, &cuts).await
            }
        });
        Self { folder, plan, cuts, _accepting: accepting }
    }

    /// Returns the URL of a database through the proxy, from its own one over the server's socket.
    pub fn url(&self, direct: &str, socket: &Path) -> String {
        let own = socket.parent().unwrap_or(socket).display().to_string();
        direct.replace(&own, &self.folder.path().display().to_string())
    }

    /// Cuts the next transaction that names `word`, once.
    pub fn arm(&self, word: &str, cut: Cut) {
        let plan = Plan { word: word.as_bytes().to_vec(), cut };
        *self.plan.lock().unwrap_or_else(PoisonError::into_inner) = Some(plan);
    }

    /// Returns how many connections were cut so far.
    pub fn cuts(&self) -> u64 {
        self.cuts.load(Ordering::SeqCst)
    }
}

async fn serve(
    mut client: UnixStream,
    mut server: UnixStream,
    plan: &Mutex<Option<Plan>>,
    cuts: &AtomicU64,
) -> std::io::Result<()> {
    let (mut up, mut down) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    // What the transaction under way has sent so far.
    let mut said = Vec::new();
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let piece = &up[..read?];
                if piece.is_empty() {
                    return Ok(());
                }
                said.extend_from_slice(piece);
                let ends = find(piece, b"COMMIT\0") || find(piece, b"ROLLBACK\0");
                let cut = if find(piece, b"COMMIT\0") { take(plan, &said) } else { None };
                match cut {
                    Some(Cut::BeforeCommit) => {
                        cuts.fetch_add(1, Ordering::SeqCst);
                        return Ok(());
                    }
                    Some(Cut::AfterCommit) => {
                        server.write_all(piece).await?;
                        // The server answers a COMMIT when it has done it.
                        let _answer = server.read(&mut down).await?;
                        cuts.fetch_add(1, Ordering::SeqCst);
                        return Ok(());
                    }
                    None => server.write_all(piece).await?,
                }
                if ends {
                    said.clear();
                }
            }
            read = server.read(&mut down) => {
                let piece = &down[..read?];
                if piece.is_empty() {
                    return Ok(());
                }
                client.write_all(piece).await?;
            }
        }
    }
}

fn take(plan: &Mutex<Option<Plan>>, said: &[u8]) -> Option<Cut> {
    let mut plan = plan.lock().unwrap_or_else(PoisonError::into_inner);
    plan.take_if(|plan| find(said, &plan.word)).map(|plan| plan.cut)
}

fn find(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|part| part == word)
}
