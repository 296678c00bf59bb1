//! The pod's side of the control plane: keeps the lease ([`heart`]) and follows the assignments ([`stream`]). Decides in
//! which order the two begin and end.

pub(crate) mod card;
mod heart;
mod keeper;
pub(crate) mod moves;
mod nag;
pub(crate) mod peers;
mod register;
mod sizes;
mod stream;
pub(crate) mod usage;
mod vitals;
pub(crate) mod witness;

use crate::boot::Over;
use crate::folder::kept::Kept;
use crate::{Engine, Options, metrics::GatewayMetrics, ownership::Ownership, readiness::Readiness};
use card::Card;
use heart::Heart;
use keeper::Keeper;
use moves::MovesSink;
use peers::{Courier, Peers};
use shared::http::{Client, ClientError, Latch};
use shared::settings::Secret;
use shared::shutdown::Shutdown;
use sizes::Sizes;
use std::{sync::Arc, time::Duration};
use stream::Stream;
use tokio::{sync::watch, task::JoinHandle};
use usage::UsageMeter;
use vitals::Vitals;
use witness::Witnessing;

/// How long a call to config-service may take. Heartbeats have their own, shorter bound.
const CALL: Duration = Duration::from_secs(3);

/// The two tasks at work.
#[derive(Debug)]
pub(crate) struct Agent {
    heart: JoinHandle<()>,
    stream: JoinHandle<()>,
    leave: Shutdown,
    stop: Shutdown,
    /// Ends what serves both.
    everything: Shutdown,
    witness: Witnessing,
    courier: Courier,
    /// Cancelled as soon as one of them has ended, however it ended.
    ended: Shutdown,
}

/// What the agent works with.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    /// What the pod may act for.
    pub(crate) ownership: Ownership,
    /// Its rows.
    pub(crate) engine: Engine,
    /// Open while the pod is registered.
    pub(crate) registered: Latch,
    /// What else readiness hangs on.
    pub(crate) readiness: Readiness,
    /// The counters.
    pub(crate) metrics: GatewayMetrics,
    /// Who carries out moves.
    pub(crate) moves: Arc<dyn MovesSink>,
    /// What the folder keeps of the lease and of what this pod has fenced.
    pub(crate) kept: Kept,
    /// Ends the lineage that the database writes.
    pub(crate) over: Over,
    /// What the process uses.
    pub(crate) usage: UsageMeter,
}

impl Agent {
    /// Starts both tasks.
    ///
    /// # Errors
    /// When config-service's URL is none.
    pub(crate) fn start(options: &Options, token: Secret, card: Card, parts: Parts) -> Result<Self, ClientError> {
        let client = Client::new(&options.config_url, Some(token.clone()), CALL)?;
        let (leave, stop) = (Shutdown::new(), Shutdown::new());
        let (known, heard) = watch::channel(false);
        let Parts { ownership, engine, registered, readiness, metrics, moves, kept, over, usage } = parts;
        let stream = Stream {
            client: client.clone(),
            ownership: ownership.clone(),
            engine: engine.clone(),
            known: heard,
            moves,
            readiness: readiness.clone(),
            silence: options.watch_silence,
            generation: None,
            stop: stop.clone(),
        };
        let (clock, everything) = (ownership.clock().clone(), Shutdown::new());
        let pod = ownership.pod().clone();
        let witness =
            Witnessing::start(pod, clock.clone(), kept.clone(), options.peer_requests, everything.child_token());
        // Without its marks the pod must register, to read them back: it goes on with nothing else either.
        let remembered = kept.marks().and_then(|_| kept.remembered(ownership.generation()));
        ownership.heard_of_term(kept.term());
        let courier = Courier::new(&client);
        let sizes = Sizes::start(engine.clone(), usage.web().clone(), everything.child_token());
        let heart = Heart {
            client,
            peers: Peers::new(token),
            witness: witness.clone(),
            keeper: Keeper::start(kept),
            remembered,
            vitals: Vitals::start(clock, engine.clone(), everything.child_token()),
            card,
            ownership,
            engine,
            registered,
            known,
            readiness,
            metrics,
            leave: leave.clone(),
            last_commit: None,
            over,
            usage,
            sizes,
        };
        let ended = Shutdown::new();
        let (heart_ended, stream_ended) = (ended.clone().drop_guard(), ended.clone().drop_guard());
        let heart = shared::shutdown::spawn(async move {
            let _ended = heart_ended;
            heart.run().await;
        });
        let stream = shared::shutdown::spawn(async move {
            let _ended = stream_ended;
            stream.run().await;
        });
        Ok(Self { heart, stream, leave, stop, everything, ended, witness, courier })
    }

    /// Returns this pod as a witness of the others.
    pub(crate) fn witness(&self) -> &Witnessing {
        &self.witness
    }

    /// Returns who passes the others' heartbeats on.
    pub(crate) fn courier(&self) -> &Courier {
        &self.courier
    }

    /// Stops taking targets over. The lease is still kept, for what runs.
    pub(crate) async fn stop_stream(&mut self) {
        self.stop.cancel();
        if let Err(why) = (&mut self.stream).await {
            tracing::error!(error = %why, "the assignment stream's task failed");
        }
    }

    /// Says goodbye to config-service and gives the lease up.
    pub(crate) async fn leave(mut self) {
        self.leave.cancel();
        if let Err(why) = (&mut self.heart).await {
            tracing::error!(error = %why, "the lease's task failed");
        }
    }

    /// Completes when one of the tasks has ended. Before it was asked to, that is a defect: the pod cannot go on.
    pub(crate) async fn ended(&self) {
        self.ended.cancelled().await;
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.leave.cancel();
        self.stop.cancel();
        self.everything.cancel();
    }
}
