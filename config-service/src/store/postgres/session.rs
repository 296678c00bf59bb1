//! One transaction on one connection, bounded in time, and what is known when it fails: an error before COMMIT was sent
//! means that nothing was applied; an error of COMMIT itself means that nobody knows.

use super::StoreError;
use sqlx::{Acquire, Connection, PgConnection, PgPool};
use std::time::Duration;

/// Why the inside of a transaction failed. It was rolled back.
#[derive(Debug)]
pub(super) enum Failure {
    /// Berth's own verdict.
    Store(StoreError),
    /// The driver's or the server's.
    Sql(sqlx::Error),
}

impl From<StoreError> for Failure {
    fn from(why: StoreError) -> Self {
        Self::Store(why)
    }
}

impl From<sqlx::Error> for Failure {
    fn from(why: sqlx::Error) -> Self {
        Self::Sql(why)
    }
}

/// Runs `work` in a transaction of at most `timeout`.
pub(super) async fn session<T>(
    pool: &PgPool,
    timeout: Duration,
    work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, Failure>,
) -> Result<T, StoreError> {
    let mut connection = pool.acquire().await.map_err(|why| classify(Failure::Sql(why), false))?;
    let mut committing = false;
    let outcome = tokio::time::timeout(timeout, async {
        let mut transaction = connection.begin().await?;
        let value = work(&mut transaction).await?;
        committing = true;
        transaction.commit().await?;
        Ok::<T, Failure>(value)
    })
    .await;
    let failure = match outcome {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(failure)) => classify(failure, committing),
        Err(_) if committing => StoreError::Uncertain("the database did not answer COMMIT in time".to_owned()),
        Err(_) => StoreError::Rejected("the database did not answer in time".to_owned()),
    };
    if matches!(failure, StoreError::Rejected(_) | StoreError::Uncertain(_)) {
        // The connection may be in the middle of something: it is not used again. Closing must not make anyone wait.
        let broken = connection.detach();
        shared::shutdown::spawn(async move { tokio::time::timeout(timeout, broken.close_hard()).await });
    }
    Err(failure)
}

/// What is said of a server that takes no changes.
pub(super) const READ_ONLY: &str = "this PostgreSQL is read-only: it is not the primary, or not any more; connecting anew until the URL leads to the primary";

fn classify(failure: Failure, committing: bool) -> StoreError {
    let why = match failure {
        Failure::Store(why) => return why,
        Failure::Sql(why) => why,
    };
    let code = why.as_database_error().and_then(|why| why.code());
    match code.as_deref() {
        // A failover: nothing can be written here, so nothing was.
        Some("25006") => return StoreError::Rejected(READ_ONLY.to_owned()),
        Some("53300") => {
            let text =
                "PostgreSQL has no connection left (max_connections); lower --store-connections or raise it there";
            return StoreError::Rejected(text.to_owned());
        }
        _ => {}
    }
    let class = why.as_database_error().and_then(|why| why.code()).map(|code| code.chars().take(2).collect::<String>());
    match class.as_deref() {
        // Integrity constraints; serialization failures and deadlocks: the server says itself that it rolled back.
        Some("23") => StoreError::Conflict(text(&why)),
        Some("40") => StoreError::Rejected(text(&why)),
        _ if committing => StoreError::Uncertain(text(&why)),
        _ => StoreError::Rejected(text(&why)),
    }
}

fn text(why: &sqlx::Error) -> String {
    match why {
        sqlx::Error::PoolTimedOut => {
            "no connection to PostgreSQL in time: it is not reached, or has none left (max_connections)".to_owned()
        }
        why => why.to_string(),
    }
}
