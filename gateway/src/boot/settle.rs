//! After a gateway that was killed: the replica and the database are made one again, before anything is written. Decides nothing
//! about which lineage that is.
//!
//! A commit is whole in the WAL before SQLite counts it. Litestream reads the WAL's frames, and uploads a transaction that a writer left
//! like that when it was killed; to SQLite it is not there, and as long as Litestream has the database open the next frames are
//! written over it. From then on the replica has pages that the database has not. A Litestream that is stopped meanwhile, a WAL that is
//! moved into the file and begun anew, and a whole copy after that end it.

use super::{BootError, steps};
use crate::{
    Options,
    folder::{Folder, writing::Writing},
    replication::{Refusal, ask},
    store::{
        self,
        checkpoint::{Settled, settle},
    },
};
use serde_json::json;
use std::{path::Path, time::Duration};
use tokio::time::{Instant, sleep};

/// How long Litestream may upload what it has before it lets the database go, in seconds: its store may be down.
const UPLOADS: u64 = 3;
/// How long an answer may take.
const ANSWERS: Duration = Duration::from_secs(10);
/// How long the database may be held by somebody: a Litestream that is only just beginning does not listen yet.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is tried.
const TRY: Duration = Duration::from_millis(200);

/// Has the replicated database in a folder written from now on, until the first of what this returns says that it is closed. The other is
/// dropped once the database is open.
///
/// # Errors
/// When the writer before was killed, and Litestream or somebody else does not let the database go; it can be tried again.
pub(crate) async fn begin_writing(options: &Options, folder: &Folder) -> Result<(Writing, Option<Settled>), BootError> {
    let path = folder.path();
    let settled = match Writing::was_killed(path).map_err(BootError::io(path))? {
        true => Some(after_a_kill(path, &steps::socket(options, path)?).await?),
        false => None,
    };
    Ok((Writing::begin(path).map_err(BootError::io(path))?, settled))
}

/// Settles the database in `folder`, which no gateway has open.
async fn after_a_kill(folder: &Path, socket: &Path) -> Result<Settled, BootError> {
    let file = folder.join(store::FILE);
    let path = std::path::absolute(&file).map_err(BootError::io(&file))?;
    let wal = std::fs::metadata(folder.join(format!("{}-wal", store::FILE))).map_or(0, |wal| wal.len());
    let begun = Instant::now();
    let settled = loop {
        let stopped = tell(socket, "/stop", &json!({"path": path, "timeout": UPLOADS})).await;
        let (at, mut held) = (folder.to_owned(), None);
        if !matches!(stopped, Err(Refusal::Said(_))) {
            let done = tokio::task::spawn_blocking(move || settle(&at, wal)).await;
            let done = done.map_err(|why| BootError::io(folder)(std::io::Error::other(why)))?;
            held = done.map_err(BootError::store(folder))?;
        }
        match held {
            Some(settled) => break settled,
            None if begun.elapsed() < PATIENCE => sleep(TRY).await,
            None => {
                let holder = stopped.err().map_or_else(|| "another process".to_owned(), String::from);
                return Err(BootError::Held { path: file, holder });
            }
        }
    };
    // One that is not there begins by itself.
    if let Err(Refusal::Said(why)) = tell(socket, "/start", &json!({ "path": path })).await {
        return Err(BootError::Held { path: socket.to_owned(), holder: why });
    }
    tracing::warn!(took = ?begun.elapsed(), "the gateway before this one was killed: the WAL was begun anew, and the replica begins with a whole copy");
    Ok(settled)
}

async fn tell(socket: &Path, what: &'static str, body: &serde_json::Value) -> Result<(), Refusal> {
    let slow = |_| Err(Refusal::Said(format!("Litestream does not answer {what} within {ANSWERS:?}")));
    tokio::time::timeout(ANSWERS, ask(socket, what, body)).await.unwrap_or_else(slow)
}
