//! A StatefulSet of Kubernetes and its pods (OPERATORS.md, Kubernetes): read whole, again whenever a watch says that something
//! has changed, breaks or is too old, and every half minute. While it cannot be read nothing is known, so nothing moves. Decides
//! which answers of the API are final, and says which permission is missing.

mod objects;

use super::{Refusal, Scaler};
use crate::{options::Options, planner::scaling::Set};
use anyhow::Context;
use futures_util::{StreamExt, future::BoxFuture};
use kube::{
    Api, Client, Config, Resource,
    api::{ListParams, Patch, PatchParams, WatchParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use objects::{Pod, StatefulSet};
use serde::de::DeserializeOwned;
use serde_json::json;
use shared::{backoff::Backoff, shutdown::Shutdown};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How long one watch lasts, in seconds; then everything is read anew.
const WATCH: u32 = 30;
/// How long what was read counts.
const FRESH: Duration = Duration::from_secs(60);
/// How long the API may take to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// The least time between two reads: changes come in bursts.
const BREATH: Duration = Duration::from_millis(200);

/// The StatefulSet. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Kubernetes {
    sets: Api<StatefulSet>,
    pods: Api<Pod>,
    name: String,
    namespace: String,
    seen: Arc<Mutex<Result<(Set, Instant), String>>>,
}

impl fmt::Debug for Kubernetes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kubernetes")
            .field("name", &self.name)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

/// What a look has found: the set, and from where on changes of it and of its pods are told.
struct Found {
    set: Set,
    labels: String,
    versions: (String, String),
}

impl Kubernetes {
    /// Starts to watch the StatefulSet that the flags name, until `shutdown`; none when they name none.
    ///
    /// # Errors
    /// When neither a cluster is around this process nor a kubeconfig can be read.
    pub(crate) async fn start(options: &Options, shutdown: Shutdown) -> anyhow::Result<Option<Self>> {
        let Some(name) = options.statefulset.clone() else { return Ok(None) };
        let mut config = match &options.kubeconfig {
            Some(path) => {
                let file = Kubeconfig::read_from(path)
                    .with_context(|| format!("cannot read --kubeconfig (BERTH_KUBECONFIG) {}", path.display()))?;
                Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?
            }
            None => Config::incluster().context(
                "--statefulset (BERTH_STATEFULSET) is set, but this process does not run in a cluster that lets it ask: give its pod a service account, or set --kubeconfig",
            )?,
        };
        config.connect_timeout = Some(ANSWER);
        let namespace = options.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).context("cannot speak to the Kubernetes API")?;
        let found = Self {
            sets: Api::namespaced(client.clone(), &namespace),
            pods: Api::namespaced(client, &namespace),
            name,
            namespace,
            seen: Arc::new(Mutex::new(Err("it was not read yet".to_owned()))),
        };
        let follow = found.clone();
        shared::shutdown::spawn(async move { shutdown.run_until_cancelled(follow.follow()).await });
        Ok(Some(found))
    }

    /// Reads, waits for news, and reads again.
    async fn follow(self) {
        let seed = self.name.bytes().fold(0, |seed: u64, byte| seed.rotate_left(8) ^ u64::from(byte));
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30), seed);
        let mut said: Option<String> = None;
        loop {
            match self.find().await {
                Ok(found) => {
                    backoff.reset();
                    if said.take().is_some() {
                        tracing::info!(statefulset = self.name, "the Kubernetes API answers again");
                    }
                    self.news(&found).await;
                    tokio::time::sleep(BREATH).await;
                }
                Err(why) => {
                    if said.as_ref() != Some(&why) {
                        tracing::warn!(
                            statefulset = self.name,
                            error = why,
                            "cannot read the StatefulSet, no pod is added or taken away"
                        );
                    }
                    said = Some(why);
                    tokio::time::sleep(backoff.next_wait()).await;
                }
            }
        }
    }

    /// Reads the set and its pods, and notes what came of it.
    async fn find(&self) -> Result<Found, String> {
        let found = tokio::time::timeout(ANSWER, self.read()).await;
        let found = found.unwrap_or_else(|_| Err("the Kubernetes API does not answer in time".to_owned()));
        let noted = found.as_ref().map(|found| (found.set.clone(), Instant::now())).map_err(Clone::clone);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = noted;
        found
    }

    async fn read(&self) -> Result<Found, String> {
        let set = self.sets.get(&self.name).await.map_err(|why| self.told(&why, "get", "statefulsets"))?;
        let labels = set.labels();
        let pods = self.pods.list(&ListParams::default().labels(&labels)).await;
        let pods = pods.map_err(|why| self.told(&why, "list", "pods"))?;
        let versions =
            (set.version().unwrap_or_default().to_owned(), pods.metadata.resource_version.unwrap_or_default());
        Ok(Found { set: set.set(&pods.items), labels, versions })
    }

    /// Returns when something has changed, or it is time to look anyway.
    async fn news(&self, found: &Found) {
        let set = WatchParams::default().fields(&format!("metadata.name={}", self.name)).timeout(WATCH);
        let pods = WatchParams::default().labels(&found.labels).timeout(WATCH);
        tokio::select! {
            () = self.changed(&self.sets, &set, &found.versions.0, "statefulsets") => {}
            () = self.changed(&self.pods, &pods, &found.versions.1, "pods") => {}
            () = tokio::time::sleep(Duration::from_secs(WATCH.into())) => {}
        }
    }

    /// Returns when one watch has said something. A watch that breaks has told nothing, and neither has one whose beginning the
    /// API has forgotten: what has changed is seen by reading.
    async fn changed<K>(&self, api: &Api<K>, params: &WatchParams, version: &str, resource: &str)
    where
        K: Resource + Clone + fmt::Debug + DeserializeOwned,
    {
        let told = match api.watch(params, version).await {
            Ok(stream) => Box::pin(stream).next().await.transpose().err(),
            Err(why) => Some(why),
        };
        if let Some(why) = told {
            tracing::debug!(error = self.told(&why, "watch", resource), "a watch has ended, reading anew");
            // Without the permission to watch it is read now and then.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Says what the API has answered, and what to do about it.
    fn told(&self, why: &kube::Error, verb: &str, resource: &str) -> String {
        match why {
            kube::Error::Api(status) if status.code == 403 || status.code == 401 => format!(
                "the service account of config-service may not {verb} {resource} in namespace {}: add the verb to its Role ({})",
                self.namespace, status.message
            ),
            kube::Error::Api(status) if status.code == 404 => {
                format!("there is no {resource} {} in namespace {}; see --statefulset", self.name, self.namespace)
            }
            kube::Error::Api(status) => format!("the Kubernetes API answers {}: {}", status.code, status.message),
            other => format!("the Kubernetes API cannot be reached: {other}"),
        }
    }

    async fn patch(&self, from: u32, to: u32) -> Result<(), Refusal> {
        let told = |why: &kube::Error, verb: &str, resource: &str| {
            let text = self.told(why, verb, resource);
            match why {
                kube::Error::Api(status) if matches!(status.code, 400..=404 | 422) => Refusal::Final(text),
                _ => Refusal::Again(text),
            }
        };
        let set = self.sets.get(&self.name).await.map_err(|why| told(&why, "get", "statefulsets"))?;
        if set.replicas() != from {
            return Err(Refusal::Again(format!("somebody has set the replicas to {} meanwhile", set.replicas())));
        }
        // Taken only if nothing has changed since it was read.
        let patch = json!({ "metadata": { "resourceVersion": set.version() }, "spec": { "replicas": to } });
        let done = self.sets.patch_scale(&self.name, &PatchParams::default(), &Patch::Merge(patch)).await;
        done.map(drop).map_err(|why| told(&why, "patch", "statefulsets/scale"))
    }
}

impl Scaler for Kubernetes {
    fn name(&self) -> String {
        format!("StatefulSet {} in namespace {}", self.name, self.namespace)
    }

    fn seen(&self) -> Result<Set, String> {
        match &*self.seen.lock().unwrap_or_else(PoisonError::into_inner) {
            Ok((set, at)) if at.elapsed() < FRESH => Ok(set.clone()),
            Ok(_) => Err("the StatefulSet was not read for a minute".to_owned()),
            Err(why) => Err(why.clone()),
        }
    }

    fn look(&self) -> BoxFuture<'_, Result<Set, String>> {
        Box::pin(async { self.find().await.map(|found| found.set) })
    }

    fn scale(&self, from: u32, to: u32) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move {
            let late = |_| Err(Refusal::Again("the Kubernetes API does not answer in time".to_owned()));
            tokio::time::timeout(ANSWER, self.patch(from, to)).await.unwrap_or_else(late)
        })
    }
}
