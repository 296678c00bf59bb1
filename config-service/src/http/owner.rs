//! Asking a pod for something that only it knows or does: which pod that is, how it is reached, and what its silence and its
//! refusals read like.

use super::Api;
use crate::control::ControlError;
use hyper::body::Incoming;
use serde::{Serialize, de::DeserializeOwned};
use shared::{
    PodId, Problem, TargetId,
    http::{Client, ClientError},
    wire::control::PodInfo,
};
use std::{fmt::Display, time::Duration};

/// A pod that is asked.
pub(super) struct Owner {
    pod: PodId,
    client: Client,
    /// Whether it is asked as a target's owner.
    owns: bool,
}

impl Owner {
    /// Finds the pod that owns a target.
    ///
    /// # Errors
    /// When nobody does, or nobody can say.
    pub(super) async fn of(api: &Api, target: &TargetId) -> Result<Self, Problem> {
        let owner = api.control.look({
            let target = target.clone();
            move |model| {
                let assignment = model.assignment(&target)?;
                model.pod(&assignment.pod).map(|record| record.info.clone())
            }
        });
        let owner = owner.await?.ok_or_else(|| ControlError::UnknownTarget(target.clone()))?;
        Self::at(api, &owner)
    }

    /// Finds a pod by its name.
    ///
    /// # Errors
    /// When it is not known, or nobody can say.
    pub(super) async fn named(api: &Api, pod: &PodId) -> Result<Self, Problem> {
        let found = api.control.look({
            let pod = pod.clone();
            move |model| model.pod(&pod).map(|record| record.info.clone())
        });
        let info = found.await?.ok_or_else(|| Problem::not_found(format!("pod {pod} is not known")))?;
        Self::at(api, &info).map(Self::just_a_pod)
    }

    /// Takes a pod that is known.
    ///
    /// # Errors
    /// When its address is none.
    pub(super) fn at(api: &Api, info: &PodInfo) -> Result<Self, Problem> {
        let token = api.service.current().cloned();
        match Client::new(&format!("http://{}", info.address), token, api.patience) {
            Ok(client) => Ok(Self { pod: info.pod.clone(), client, owns: true }),
            Err(why) => Err(silent(&info.pod, true, &why)),
        }
    }

    /// Speaks of it as a pod, and not as a target's owner.
    pub(super) fn just_a_pod(self) -> Self {
        Self { owns: false, ..self }
    }

    /// Waits longer for its answers.
    pub(super) fn patient(mut self, timeout: Duration) -> Self {
        self.client = self.client.within(timeout);
        self
    }

    /// `GET path`.
    ///
    /// # Errors
    /// What the pod refused, or 503 `owner-unreachable`.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Problem> {
        self.client.get(path).await.map_err(|why| self.said(why))
    }

    /// `POST path`.
    ///
    /// # Errors
    /// As [`Owner::get`].
    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Problem> {
        self.client.post(path, body).await.map_err(|why| self.said(why))
    }

    /// `GET path`, as a stream.
    ///
    /// # Errors
    /// As [`Owner::get`].
    pub(super) async fn stream(&self, path: &str) -> Result<Incoming, Problem> {
        self.client.stream(path, &[]).await.map_err(|why| self.said(why))
    }

    fn said(&self, why: ClientError) -> Problem {
        match why {
            // A pod that has just lost the target, or not heard of it yet: who asks again is told right.
            ClientError::Problem(problem) if problem.code == "not-owner" => {
                silent(&self.pod, self.owns, &problem.detail)
            }
            ClientError::Problem(problem) if !matches!(problem.status, 401 | 403) => problem,
            other => silent(&self.pod, self.owns, &other),
        }
    }
}

fn silent(pod: &PodId, owns: bool, why: &dyn Display) -> Problem {
    let what = if owns { "owns the target and does not answer" } else { "does not answer" };
    Problem::unavailable("owner-unreachable", format!("{pod} {what}: {why}"))
}
