//! A supervisor that starts and stops pods and asks how many, like `berth up`: it reports again and again, and is told with the
//! answer. Decides when what it said is too old.

use super::{Refusal, Scaler};
use crate::planner::scaling::Set;
use futures_util::future::BoxFuture;
use shared::wire::admin::{Supervise, Supervised};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How long a report counts: a supervisor reports every second.
const FRESH: Duration = Duration::from_secs(10);

/// The last report. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Supervisor(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    said: Option<(Supervised, Instant)>,
    /// How many it is to run, from the moment that was ordered until it says so itself.
    wanted: Option<u32>,
}

impl Supervisor {
    /// Takes a report; returns how many pods it is to run.
    pub(super) fn report(&self, said: Supervised) -> Supervise {
        let mut state = self.state();
        state.wanted = state.wanted.filter(|wanted| *wanted != said.replicas);
        let replicas = state.wanted.unwrap_or(said.replicas);
        state.said = Some((said, Instant::now()));
        Supervise { replicas }
    }

    fn last(&self) -> Option<Supervised> {
        let state = self.state();
        let (said, _) = state.said.as_ref().filter(|(_, at)| at.elapsed() < FRESH)?;
        Some(said.clone())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Scaler for Supervisor {
    fn name(&self) -> String {
        self.last().map_or_else(|| "a supervisor".to_owned(), |said| said.name)
    }

    fn seen(&self) -> Result<Set, String> {
        let nobody = || {
            "no supervisor reports; give config-service --statefulset in Kubernetes, or start the pods with berth up"
                .to_owned()
        };
        let said = self.last().ok_or_else(nobody)?;
        let Supervised { prefix, replicas, running, .. } = said;
        Ok(Set { prefix, start: 0, replicas, there: running.into_iter().collect(), rollout: None })
    }

    fn look(&self) -> BoxFuture<'_, Result<Set, String>> {
        Box::pin(async { self.seen() })
    }

    fn scale(&self, _: u32, to: u32) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move {
            match self.last() {
                None => return Err(Refusal::Again("the supervisor does not report".to_owned())),
                Some(said) if to > said.most => {
                    return Err(Refusal::Final(format!("{} runs at most {} pods", said.name, said.most)));
                }
                Some(_) => {}
            }
            self.state().wanted = Some(to);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(replicas: u32) -> Supervised {
        let running = (0..replicas).collect();
        Supervised { name: "up".to_owned(), prefix: "gateway".to_owned(), replicas, running, most: 9 }
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_told_until_it_says_the_number_itself_and_forgotten_when_it_is_silent() {
        let supervisor = Supervisor::default();
        assert!(supervisor.seen().is_err());
        assert!(matches!(supervisor.scale(3, 5).await, Err(Refusal::Again(_))));
        assert_eq!(supervisor.report(said(3)).replicas, 3);
        assert!(matches!(supervisor.scale(3, 10).await, Err(Refusal::Final(_))));
        supervisor.scale(3, 5).await.expect("taken");
        assert_eq!(supervisor.report(said(3)).replicas, 5);
        assert_eq!(supervisor.seen().expect("known").replicas, 3, "what it does, not what it was told");
        assert_eq!(supervisor.report(said(5)).replicas, 5);
        assert_eq!(supervisor.report(said(4)).replicas, 4, "its own later choice is its own");
        tokio::time::advance(FRESH).await;
        assert!(supervisor.seen().is_err());
    }
}
