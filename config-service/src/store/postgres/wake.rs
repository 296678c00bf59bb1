//! Telling followers that there is something to read: a notification that leaves with the commit it is about, and the one
//! connection that listens for it. Decides nothing; a notification that is lost costs a follower its next poll.

use super::{StoreError, session::Failure};
use sqlx::{PgConnection, PgPool, postgres::PgListener};
use tokio::sync::Mutex;

/// The channel of the notifications. Each database has its own.
const CHANNEL: &str = "berth_change";

/// Lets everybody know, when the transaction is committed.
pub(super) async fn all(db: &mut PgConnection) -> Result<(), Failure> {
    sqlx::query("SELECT pg_notify($1, '')").bind(CHANNEL).execute(db).await?;
    Ok(())
}

/// The connection that listens; opened when it is first needed, and again when it was lost.
#[derive(Debug, Default)]
pub(super) struct Listener(Mutex<Option<PgListener>>);

impl Listener {
    /// Returns when something was heard, or may have been missed.
    pub(super) async fn heard(&self, pool: &PgPool) -> Result<(), StoreError> {
        let mut slot = self.0.lock().await;
        // Taken out while it waits: a wait that is given up leaves no connection in the middle of something.
        let mut listener = match slot.take() {
            Some(listener) => listener,
            None => {
                let listener = listen(pool).await.map_err(|why| StoreError::Rejected(why.to_string()))?;
                // What came before nobody has heard.
                *slot = Some(listener);
                return Ok(());
            }
        };
        match listener.try_recv().await {
            Ok(Some(_)) => {
                // One look is enough for all that has come meanwhile.
                while let Some(_another) = listener.next_buffered() {}
                *slot = Some(listener);
                Ok(())
            }
            // The connection was lost; the next call opens another.
            Ok(None) => Ok(()),
            Err(why) => Err(StoreError::Rejected(why.to_string())),
        }
    }
}

async fn listen(pool: &PgPool) -> Result<PgListener, sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    Ok(listener)
}
