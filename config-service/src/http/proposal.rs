//! Paths of the original proposal, in its shapes.

use super::{
    Api,
    auth::{Operator, Reader},
    body::Name,
    change::Change,
    docs::{Doc, Routes},
    moves, pods,
};
use crate::control::ControlError;
use axum::{Json, extract::State};
use http::StatusCode;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::json;
use shared::wire::admin::{
    ClusterMetrics, GuildAssignment, Health, Instance, Instances, PodHealth, PodStatus, PodsHealth, Reassign,
};
use shared::{
    Kind, PodId, Problem, Revision, TargetId, Term, id::IdError, wire::control::PodState, wire::handoff::Move,
};
use std::{borrow::Cow, collections::BTreeMap, str::FromStr};

/// Adds the routes.
pub(super) fn routes(routes: Routes) -> Routes {
    let health_doc = Doc::new("Say how the control plane is").text("A follower answers too, and names the leader.");
    let guilds_doc = Doc::new("Say where every guild is").text("Guild id → pod, of all platforms.");
    let guild_doc = Doc::new("Say where a guild is")
        .text("A bare id is a Discord guild; a whole name, `platform:kind:id`, works too.")
        .answers::<GuildAssignment>()
        .fails(&["not-found"]);
    let reassign_doc = Doc::new("Move a guild to another pod")
        .text("Another name of `POST /v1/targets/{target}/move`, with `pod` for its `to`. Without it the planner chooses.")
        .answers::<Move>()
        .status(202)
        .fails(&["not-found", "target-quarantined", "move-running", "pod-not-ready", "no-destination", "too-many-moves"])
        .example(json!({ "pod": "gateway-1", "reason": "closer to its voice server" }));
    let pods_doc = Doc::new("Say which pods are healthy").answers::<PodsHealth>();
    let metrics_doc = Doc::new("Give the cluster in numbers").text("Prometheus reads `/metrics`.");
    let instances_doc = Doc::new("Say which instances are healthy").text(
        "This config-service and the pods; the HTTP tiers do not register, and answer for themselves at `/readyz`.",
    );
    routes
        .get("/health", health, health_doc.answers::<Health>())
        .get("/guild-assignments", guild_assignments, guilds_doc.answers::<BTreeMap<String, PodId>>().asks_replica())
        .get("/guild/{id}/assignment", guild_assignment, guild_doc.asks_replica())
        .post("/guild/{id}/reassign", reassign, reassign_doc.asks_leader())
        .get("/pods/health", pods_health, pods_doc.asks_leader())
        .post("/pod/register", pods::register, pods::register_doc())
        .post("/pod/{id}/heartbeat", pods::heartbeat, pods::heartbeat_doc())
        .get("/api/admin/metrics", metrics, metrics_doc.answers::<ClusterMetrics>().asks_leader())
        .get("/api/admin/health/instances", instances, instances_doc.answers::<Instances>().asks_leader())
}

/// A guild: its bare id on Discord, or the whole name of a target.
struct Guild(TargetId);

impl FromStr for Guild {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.contains(':') { text.parse() } else { format!("discord:guild:{text}").parse() }.map(Self)
    }
}

impl JsonSchema for Guild {
    fn schema_name() -> Cow<'static, str> {
        "Guild".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let whole = generator.subschema_for::<TargetId>();
        let bare =
            json!({ "type": "string", "pattern": "^[A-Za-z0-9._~-]{1,128}$", "examples": ["81384788765712384"] });
        json_schema!({ "anyOf": [bare, whole] })
    }
}

/// `GET /guild/{id}/assignment`.
async fn guild_assignment(
    State(api): State<Api>,
    _: Reader,
    Name(Guild(target)): Name<Guild>,
) -> Result<Json<GuildAssignment>, Problem> {
    let found = api.control.look({
        let target = target.clone();
        move |model| {
            let found = model.assignment(&target)?;
            let address = model.pod(&found.pod).map(|record| record.info.address.clone());
            Some(GuildAssignment {
                guild_id: target.id().to_owned(),
                target: target.clone(),
                pod: found.pod,
                address,
                epoch: found.epoch,
                since_ms: found.since_ms,
            })
        }
    });
    Ok(Json(found.await?.ok_or(ControlError::UnknownTarget(target))?))
}

/// `POST /guild/{id}/reassign`.
async fn reassign(
    State(api): State<Api>,
    Name(Guild(target)): Name<Guild>,
    change: Change<Operator, Reassign>,
) -> Result<(StatusCode, Json<Move>), Problem> {
    let to = change.body.pod.clone();
    moves::begun(&api, target, to, change).await
}

/// `GET /pods/health`.
async fn pods_health(State(api): State<Api>, _: Reader) -> Result<Json<PodsHealth>, Problem> {
    let health = |pod: PodStatus| {
        let healthy = pod.is_well();
        let PodStatus { info, state, not_ready, lease_age_ms: last_heartbeat_ms, targets, .. } = pod;
        (info.pod, PodHealth { healthy, state, not_ready, address: info.address, last_heartbeat_ms, targets })
    };
    let pods: BTreeMap<_, _> = api.control.read(move |view| view.pods().map(health).collect()).await?;
    let healthy = pods.values().filter(|pod| pod.healthy).count() as u64;
    Ok(Json(PodsHealth { healthy, total: pods.len() as u64, pods }))
}

/// `GET /api/admin/metrics`.
async fn metrics(State(api): State<Api>, _: Reader) -> Result<Json<ClusterMetrics>, Problem> {
    let metrics = api.control.read(|view| {
        let pods: Vec<_> = view.pods().collect();
        let by_platform = view.model.targets_by_platform();
        ClusterMetrics {
            guilds: view.model.guilds(),
            targets: view.model.len() as u64,
            targets_by_platform: by_platform.map(|(platform, count)| (platform.to_string(), count)).collect(),
            pods: pods.len() as u64,
            ready_pods: pods.iter().filter(|pod| pod.state == PodState::Ready).count() as u64,
            events_per_second: pods.iter().map(|pod| pod.load.events_per_second).sum(),
            database_bytes: pods.iter().fold(0, |sum, pod| sum.saturating_add(pod.load.bytes)),
            revision: view.model.revision().0,
        }
    });
    Ok(Json(metrics.await?))
}

/// `GET /api/admin/health/instances`.
async fn instances(State(api): State<Api>, _: Reader) -> Result<Json<Instances>, Problem> {
    let own = Instance {
        name: "config-service".to_owned(),
        role: "config-service".to_owned(),
        address: api.address.to_string(),
        healthy: true,
        state: "leader".to_owned(),
        not_ready: None,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let pod = |pod: PodStatus| Instance {
        name: pod.info.pod.to_string(),
        role: "gateway".to_owned(),
        healthy: pod.is_well(),
        address: pod.info.address,
        state: pod.state.as_str().to_owned(),
        not_ready: pod.not_ready,
        version: pod.version,
    };
    let pods: Vec<_> = api.control.read(move |view| view.pods().map(pod).collect()).await?;
    Ok(Json(Instances { instances: std::iter::once(own).chain(pods).collect() }))
}

/// `GET /health`: answered by a follower too.
async fn health(State(api): State<Api>, _: Reader) -> Json<Health> {
    let leading = api.control.read(|view| {
        let ready = view.pods().filter(|pod| pod.state == PodState::Ready).count();
        Health {
            status: if ready > 0 && view.stopped().is_none() { "ok" } else { "degraded" }.to_owned(),
            leader: true,
            leader_address: None,
            term: view.term,
            revision: view.model.revision(),
            pods: view.model.pods().len() as u64,
            ready_pods: ready as u64,
            targets: view.model.len() as u64,
            quarantined: view.model.quarantined_len() as u64,
            stopped: view.stopped(),
        }
    });
    Json(leading.await.unwrap_or_else(|_| Health {
        status: "follower".to_owned(),
        leader: false,
        leader_address: api.control.leader(),
        term: Term(0),
        revision: Revision(0),
        pods: 0,
        ready_pods: 0,
        targets: 0,
        quarantined: 0,
        stopped: None,
    }))
}

/// Assignments read at once; others have their turn in between.
const CHUNK: usize = 5_000;

/// `GET /guild-assignments`: guild id → pod. Read in pieces, so that nobody waits for a large one: each entry was true when
/// it was read.
async fn guild_assignments(State(api): State<Api>, _: Reader) -> Result<Json<BTreeMap<String, PodId>>, Problem> {
    let (mut guilds, mut after) = (BTreeMap::new(), None::<TargetId>);
    loop {
        let from = after.take();
        let piece = api.control.look(move |model| {
            let from = from.as_ref().map(|target| target.as_str());
            let piece = model.assignments(from).take(CHUNK);
            piece.map(|assignment| (assignment.target, assignment.pod)).collect::<Vec<_>>()
        });
        let piece = piece.await?;
        if piece.len() == CHUNK {
            after = piece.last().map(|(target, _)| target.clone());
        }
        let found = piece.into_iter().filter(|(target, _)| target.kind() == Kind::Guild);
        guilds.extend(found.map(|(target, pod)| (target.id().to_owned(), pod)));
        if after.is_none() {
            return Ok(Json(guilds));
        }
    }
}
