//! What the other pods, and the leader, ask of this one as a witness: promises, fencing, and heartbeats to be passed on
//! (OWNERSHIP.md, Leases 3 and 4). Decides how many at once; what is answered is the witness' business.

use super::{App, Service};
use crate::agent::{peers::Courier, witness::Witnessing};
use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
};
use http::StatusCode;
use shared::Problem;
use shared::protocol::holder::Failure;
use shared::wire::control::Grant;
use shared::wire::peers::{Extend, Extended, Fence, Fenced, Relay};
use std::{sync::Arc, time::Duration};
use tokio::sync::{Semaphore, SemaphorePermit};

/// How long the leader waits for a mark to be on disk.
const FENCE: Duration = Duration::from_secs(5);
/// How many lives of the folder that are over the leader is told of with it.
const LIVES: usize = 16;

/// What the routes work with. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Peers {
    witness: Witnessing,
    courier: Courier,
    slots: Arc<Semaphore>,
}

impl Peers {
    /// Answers at most `most` questions at once.
    pub(crate) fn new(witness: Witnessing, courier: Courier, most: usize) -> Self {
        Self { witness, courier, slots: Arc::new(Semaphore::new(most.max(1))) }
    }

    fn slot(&self) -> Result<SemaphorePermit<'_>, Problem> {
        self.slots.try_acquire().map_err(|_| busy("this pod answers --peer-requests questions already; ask again"))
    }
}

fn busy(detail: impl Into<String>) -> Problem {
    Problem::unavailable("busy", detail)
}

fn asked<T>(body: Result<Json<T>, JsonRejection>) -> Result<T, Problem> {
    body.map(|Json(body)| body).map_err(|why| Problem::bad_request(why.body_text()))
}

/// `POST /v1/peers/extend`
pub(super) async fn extend(
    _service: Service,
    State(app): State<App>,
    question: Result<Json<Extend>, JsonRejection>,
) -> Result<Json<Extended>, Problem> {
    let _slot = app.peers.slot()?;
    app.peers.witness.extend(asked(question)?).await.map(Json).map_err(|why| busy(why.to_string()))
}

/// `POST /v1/peers/fence`
pub(super) async fn fence(
    _service: Service,
    State(app): State<App>,
    fence: Result<Json<Fence>, JsonRejection>,
) -> Result<Json<Fenced>, Problem> {
    let _slot = app.peers.slot()?;
    let fenced = app.peers.witness.fence(asked(fence)?);
    let fenced = tokio::time::timeout(FENCE, fenced).await.map_err(|_| {
        Problem::unavailable("not-fenced", "the mark is not on disk, or this pod has not read its marks back yet")
    })?;
    let mut fenced = fenced.map_err(|why| busy(why.to_string()))?;
    let engine = app.door.engine();
    fenced.lives.push(engine.incarnation());
    fenced.lives.extend(engine.past_incarnations(LIVES).await.map_err(|why| busy(why.to_string()))?);
    Ok(Json(fenced))
}

/// `POST /v1/peers/relay`
pub(super) async fn relay(
    _service: Service,
    State(app): State<App>,
    relay: Result<Json<Relay>, JsonRejection>,
) -> Result<Json<Grant>, Problem> {
    let _slot = app.peers.slot()?;
    let Relay { pod, heartbeat } = asked(relay)?;
    app.peers.courier.pass_on(&pod, &heartbeat).await.map(Json).map_err(|why| match why {
        Failure::Refused(problem) => problem,
        Failure::Unreachable(detail) => Problem::new(StatusCode::BAD_GATEWAY, "unreachable", detail),
    })
}
