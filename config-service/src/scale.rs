//! How many pods run: keeps orders to scale and the autoscaler going while this process leads, through something that starts
//! and stops pods ([`Scaler`]). What is to be done is the planner's to say (`planner::scaling`, `planner::autoscale`); draining
//! is `control`'s. Knows no HTTP.

mod facts;
mod keeper;
mod kubernetes;
mod scaler;
mod supervisor;

pub(crate) use keeper::Rhythm;
pub(crate) use kubernetes::Kubernetes;
pub(crate) use scaler::{Refusal, Scaler};
pub(crate) use supervisor::Supervisor;

use crate::{
    control::{Control, ControlError},
    domain::By,
    metrics::Metrics,
    planner::autoscale::Rules,
};
use keeper::{Ask, Keeper};
use shared::wire::admin::{AutoscalerStatus, ScaleOrdered, Stopping, Supervise, Supervised};
use shared::{Clock, PodId, shutdown::Shutdown};
use std::{sync::Arc, time::Duration};
use tokio::sync::{mpsc, oneshot, watch};

/// Questions that may wait for the task.
const ASKS: usize = 1_024;

/// Why an order is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScaleError {
    /// Nothing is known that starts and stops pods, or it does not say how many there are.
    #[error("what starts and stops pods is not known: {0}")]
    NoHome(String),
    /// No such number of pods can be.
    #[error("there can be 1 to 10000 pods")]
    Bounds,
    /// The control plane refused.
    #[error(transparent)]
    Control(#[from] ControlError),
}

/// A cheap handle for asking.
#[derive(Debug, Clone)]
pub(crate) struct Scaling {
    asks: mpsc::Sender<Ask>,
    shown: watch::Receiver<Option<Arc<AutoscalerStatus>>>,
    supervisor: Supervisor,
}

/// What the task works with.
#[derive(Debug)]
pub(crate) struct Parts {
    /// The way to the leader.
    pub(crate) control: Control,
    /// What starts and stops pods, when it is not a supervisor that reports.
    pub(crate) scaler: Option<Arc<dyn Scaler>>,
    /// What pods are meant to carry; bounds are settings.
    pub(crate) rules: Rules,
    /// When it looks and gives up.
    pub(crate) rhythm: Rhythm,
    /// The gauges.
    pub(crate) metrics: Metrics,
    /// The wall clock.
    pub(crate) clock: Arc<dyn Clock>,
}

impl Scaling {
    /// Starts the task; it ends with `shutdown`.
    pub(crate) fn start(parts: Parts, shutdown: Shutdown) -> Self {
        let (asks, asked) = mpsc::channel(ASKS);
        let (show, shown) = watch::channel(None);
        let supervisor = Supervisor::default();
        let keeper = Keeper::new(parts, supervisor.clone(), show);
        shared::shutdown::spawn(async move { shutdown.run_until_cancelled(keeper.run(asked)).await });
        Self { asks, shown, supervisor }
    }

    /// Orders that so many pods run; with `dry_run` only says what that would mean.
    pub(crate) async fn order(&self, to: u32, by: By, dry_run: bool) -> Result<ScaleOrdered, ScaleError> {
        self.ask(|reply| Ask::Order { to, by, dry_run, reply }).await?
    }

    /// Says whether a pod that was told to stop leaves for good, and sees to its drain then.
    pub(crate) async fn stopping(&self, pod: PodId) -> Result<Stopping, ControlError> {
        self.ask(|reply| Ask::Stopping { pod, reply }).await?
    }

    /// Returns how things stood at the last look.
    pub(crate) async fn status(&self) -> Result<Arc<AutoscalerStatus>, ControlError> {
        let mut shown = self.shown.clone();
        let look = tokio::time::timeout(Duration::from_secs(5), shown.wait_for(Option::is_some));
        let found = look.await.ok().and_then(Result::ok).and_then(|shown| shown.clone());
        found.ok_or(ControlError::NotLeader { leader: None })
    }

    /// Takes a supervisor's report; says how many pods it is to run.
    pub(crate) fn supervised(&self, said: Supervised) -> Supervise {
        self.supervisor.report(said)
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, ControlError> {
        let gone = || ControlError::NotLeader { leader: None };
        let (reply, answer) = oneshot::channel();
        self.asks.send(ask(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }
}
