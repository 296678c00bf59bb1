//! The double of a StatefulSet and of the part of the Kubernetes API that shows it: real HTTP, real processes as its pods. It
//! behaves as the controller does with `podManagementPolicy: Parallel`: numbers that are meant to run are started at once, those
//! that are not any more are condemned from the highest down and get SIGTERM, and SIGKILL when their grace period is over. It
//! says nobody why.

mod api;

use crate::role::{Recipe, Role};
use rustix::process::Signal;
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    net::TcpListener,
    task::JoinSet,
    time::{Instant, sleep},
};

/// How often the controller looks.
const LOOK: Duration = Duration::from_millis(50);

/// The double. Its pods end with it.
#[derive(Debug)]
pub struct StatefulSetDouble {
    port: u16,
    state: Arc<Mutex<State>>,
    tasks: JoinSet<()>,
}

#[derive(Debug, Default)]
struct State {
    replicas: u32,
    /// Counts changes of the set, and of its pods.
    versions: (u64, u64),
    grace: Duration,
    recipes: Vec<Recipe>,
    pods: BTreeMap<u32, Pod>,
    /// What is answered 403: verb and resource.
    forbidden: BTreeSet<(String, String)>,
    /// Connections are cut without an answer.
    away: bool,
    /// Watches are answered that what they begin at is forgotten.
    forgetful: bool,
    /// Pods whose process had to be killed.
    killed: Vec<u32>,
    /// Numbers in the order in which they were condemned.
    condemned: Vec<u32>,
    patched: u32,
}

#[derive(Debug)]
struct Pod {
    role: Role,
    /// When its grace period ends.
    terminating: Option<Instant>,
}

impl StatefulSetDouble {
    /// Starts the API with a set of `replicas` that has no pods yet: [`StatefulSetDouble::run`] gives it some.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(replicas: u32, grace: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let state = Arc::new(Mutex::new(State { replicas, grace, versions: (1, 1), ..State::default() }));
        let mut tasks = JoinSet::new();
        tasks.spawn(api::serve(listener, Arc::clone(&state)));
        tasks.spawn(control(Arc::clone(&state)));
        Self { port, state, tasks }
    }

    /// Writes a kubeconfig for it into a folder; returns its path.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn kubeconfig(&self, folder: &Path) -> PathBuf {
        let path = folder.join("kubeconfig");
        let text = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "story", "cluster": { "server": format!("http://127.0.0.1:{}", self.port) } }],
            "users": [{ "name": "story", "user": { "token": "story" } }],
            "contexts": [{ "name": "story", "context": { "cluster": "story", "user": "story", "namespace": "story" } }],
            "current-context": "story",
        });
        std::fs::write(&path, text.to_string()).expect("a kubeconfig is written");
        path
    }

    /// Says how its pods are started, by number; those that are meant to run start now.
    pub fn run(&self, recipes: Vec<Recipe>) {
        self.state().recipes = recipes;
    }

    /// Sets how many are meant to run, as `kubectl scale` does.
    pub fn scale(&self, replicas: u32) {
        let mut state = self.state();
        state.replicas = replicas;
        state.versions.0 += 1;
    }

    /// Deletes a pod: it is told to stop, and started again once it has.
    pub fn delete(&self, ordinal: u32) {
        let mut state = self.state();
        let at = Instant::now() + state.grace;
        state.versions.1 += 1;
        if let Some(pod) = state.pods.get_mut(&ordinal) {
            pod.terminating = Some(at);
            pod.role.process().signal(Signal::TERM);
        }
    }

    /// Answers a verb on a resource with 403 from now on, or no more.
    pub fn forbid(&self, verb: &str, resource: &str, forbidden: bool) {
        let what = (verb.to_owned(), resource.to_owned());
        let mut state = self.state();
        if forbidden {
            state.forbidden.insert(what)
        } else {
            state.forbidden.remove(&what)
        };
    }

    /// Answers nothing any more, or answers again.
    pub fn away(&self, away: bool) {
        self.state().away = away;
    }

    /// Answers every watch with 410 from now on, or no more.
    pub fn forgetful(&self, forgetful: bool) {
        self.state().forgetful = forgetful;
    }

    /// Returns how many are meant to run.
    pub fn replicas(&self) -> u32 {
        self.state().replicas
    }

    /// Returns the numbers of the pods that are there.
    pub fn there(&self) -> Vec<u32> {
        self.state().pods.keys().copied().collect()
    }

    /// Returns which had to be killed, and which were condemned, in that order.
    pub fn ends(&self) -> (Vec<u32>, Vec<u32>) {
        let state = self.state();
        (state.killed.clone(), state.condemned.clone())
    }

    /// Returns how often its scale was patched.
    pub fn patched(&self) -> u32 {
        self.state().patched
    }

    /// Returns the process ids of its pods, by number.
    pub fn processes(&self) -> BTreeMap<u32, i32> {
        let mut state = self.state();
        state.pods.iter_mut().map(|(n, pod)| (*n, pod.role.process().pid().as_raw_nonzero().get())).collect()
    }

    /// Stops every pod in order, and starts none again.
    ///
    /// # Panics
    /// When one takes longer than `most`.
    pub async fn stop(mut self, most: Duration) {
        self.tasks.shutdown().await;
        let pods = std::mem::take(&mut self.state().pods);
        for (_, mut pod) in pods {
            pod.role.process().signal(Signal::TERM);
            pod.role.process().end(most).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The controller: starts and stops, for ever.
async fn control(state: Arc<Mutex<State>>) {
    loop {
        locked(&state).control();
        sleep(LOOK).await;
    }
}

impl State {
    fn control(&mut self) {
        let (now, wanted) = (Instant::now(), self.replicas);
        let mut gone = Vec::new();
        for (ordinal, pod) in self.pods.iter_mut().rev() {
            if *ordinal >= wanted && pod.terminating.is_none() {
                pod.terminating = Some(now + self.grace);
                pod.role.process().signal(Signal::TERM);
                self.condemned.push(*ordinal);
                self.versions.1 += 1;
            }
            let Some(end) = pod.terminating else { continue };
            if pod.role.process().ended().is_some() {
                gone.push(*ordinal);
            } else if now >= end && !self.killed.contains(ordinal) {
                pod.role.process().signal(Signal::KILL);
                self.killed.push(*ordinal);
            }
        }
        for ordinal in gone {
            self.versions = (self.versions.0 + 1, self.versions.1 + 1);
            if ordinal >= wanted {
                self.pods.remove(&ordinal);
            } else if let Some(pod) = self.pods.get_mut(&ordinal) {
                pod.terminating = None;
                pod.role.start_again();
            }
        }
        for (recipe, ordinal) in self.recipes.iter().zip(0..wanted) {
            if let Entry::Vacant(place) = self.pods.entry(ordinal) {
                place.insert(Pod { role: Role::start(recipe.clone()), terminating: None });
                self.versions = (self.versions.0 + 1, self.versions.1 + 1);
            }
        }
    }
}
