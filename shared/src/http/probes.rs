//! `/healthz`, `/readyz` and `/metrics`. Readiness is a set of named latches; a closed one says why. What is
//! wrong and does not keep the service from its work is remarked beside it.

use crate::telemetry::Metrics;
use axum::{Router, extract::State, http::StatusCode, http::header, response::IntoResponse, routing::get};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// The probes of a service. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Probes {
    closed: Arc<Mutex<BTreeMap<&'static str, String>>>,
    remarks: Arc<Mutex<BTreeMap<&'static str, String>>>,
}

/// One condition of readiness. Closed until it is opened.
#[derive(Debug, Clone)]
pub struct Latch {
    name: &'static str,
    probes: Probes,
}

impl Probes {
    /// Makes probes without a condition: ready at once.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a condition that is closed for `reason` until it is opened.
    pub fn latch(&self, name: &'static str, reason: &str) -> Latch {
        let latch = Latch { name, probes: self.clone() };
        latch.close(reason);
        latch
    }

    /// Says beside the readiness what is not as it should be although the service does its work; none takes it back.
    pub fn remark(&self, name: &'static str, what: Option<String>) {
        let mut remarks = self.remarks.lock().unwrap_or_else(PoisonError::into_inner);
        match what {
            Some(what) => remarks.insert(name, what),
            None => remarks.remove(name),
        };
    }

    /// Returns what is remarked.
    pub fn remarks(&self) -> BTreeMap<&'static str, String> {
        self.remarks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the closed conditions with their reasons; none when ready.
    pub fn closed(&self) -> BTreeMap<&'static str, String> {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the three routes.
    pub fn routes(&self, metrics: Metrics) -> Router {
        Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready).with_state(self.clone()))
            .route("/metrics", get(render).with_state(metrics))
    }
}

impl Latch {
    /// Says that the condition holds.
    pub fn open(&self) {
        self.probes.closed.lock().unwrap_or_else(PoisonError::into_inner).remove(self.name);
    }

    /// Says that the condition does not hold, and why.
    pub fn close(&self, reason: &str) {
        self.probes.closed.lock().unwrap_or_else(PoisonError::into_inner).insert(self.name, reason.to_owned());
    }

    /// Returns why the condition does not hold; none when it does.
    pub fn reason(&self) -> Option<String> {
        self.probes.closed.lock().unwrap_or_else(PoisonError::into_inner).get(self.name).cloned()
    }
}

async fn ready(State(probes): State<Probes>) -> impl IntoResponse {
    let lines = |all: &BTreeMap<_, _>| all.iter().map(|(name, what)| format!("{name}: {what}\n")).collect::<String>();
    let (closed, remarks) = (probes.closed(), probes.remarks());
    if closed.is_empty() {
        return (StatusCode::OK, format!("ready\n{}", lines(&remarks)));
    }
    (StatusCode::SERVICE_UNAVAILABLE, lines(&closed) + &lines(&remarks))
}

async fn render(State(metrics): State<Metrics>) -> impl IntoResponse {
    metrics
        .render()
        .map(|text| ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text))
}
