use super::*;
use crate::discord::Shards;
use crate::handlers::{Event as Heard, Handler, HandlerError, OutboxCall, Reply, Target};
use crate::ownership::Ownership;
use crate::{Bot, Options};
use axum::{Json, Router, body::Bytes, extract::DefaultBodyLimit, extract::Path, extract::State, routing::post};
use clap::Parser;
use http::StatusCode;
use shared::clock::BootClock;
use shared::event::{Event as Sent, EventKind};
use shared::http::Client;
use shared::lease::{Lease, LeaseTerms};
use shared::protocol::handoff::{Decision, Event as Happened, Handoff, Patience};
use shared::settings::Secret;
use shared::telemetry::{Metrics, trace::Tracer};
use shared::wire::control::{Assignment, PodInfo, Watch};
use shared::wire::handoff::{Move, MoveState, Reported, Reports};
use shared::wire::link::Outcome;
use shared::{Clock, Epoch, LeaseId, Mono, PodId, Problem, Revision, TargetId};
use std::collections::BTreeMap;
use std::sync::Mutex;
use tokio::task::JoinHandle;

/// How long anything here is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
const TOKEN: &str = "secret";
const MOVE: MoveId = MoveId(9);

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    options: Options,
}

/// Counts events in keys, keeps their order, and has something of every kind that travels.
struct Counting(Mutex<BTreeMap<TargetId, u64>>);

impl Handler for Counting {
    fn handle(&self, event: &Heard, target: &mut Target<'_>) -> Result<Reply, HandlerError> {
        let count = target.kv().get::<u64>("count")?.unwrap_or(0) + 1;
        target.kv().set("count", &count)?;
        target.kv().set(&format!("event-{}", event.id), &count)?;
        let text = String::from_utf8_lossy(&event.body).into_owned();
        if let Some(size) = text.strip_prefix("fill ") {
            let (from, many) = size.split_once(' ').unwrap_or((size, "1"));
            let (from, many): (u64, u64) = (from.parse().unwrap_or(0), many.parse().unwrap_or(1));
            for i in from..from + many {
                target.kv().set(&format!("row-{i:06}"), &"x".repeat(1_000))?;
            }
        }
        if text == "everything" {
            let later = target.now_ms() + 86_400_000;
            target.timer().at("later", later, "payload")?;
            target.session("s").set(&"kept")?;
            let url = "https://discord.com/never".to_owned();
            let call = OutboxCall { id: "c".into(), method: "POST".into(), url, headers: vec![], body: "{}".into() };
            target.outbox().call_idempotent(&call)?;
        }
        *self.0.lock().expect("ok").entry(target.id().clone()).or_default() += 1;
        Ok(Reply::none())
    }

    fn on_release(&self, target: &TargetId) {
        self.0.lock().expect("ok").remove(target);
    }

    fn export_volatile(&self, target: &TargetId) -> Option<Vec<u8>> {
        self.0.lock().expect("ok").get(target).map(|count| count.to_le_bytes().to_vec())
    }

    fn import_volatile(&self, target: &TargetId, state: &[u8]) {
        let count = u64::from_le_bytes(state.try_into().expect("eight bytes"));
        self.0.lock().expect("ok").insert(target.clone(), count);
    }
}

/// The leader, as far as a move is concerned: the real decisions, in memory.
#[derive(Debug)]
struct Leader {
    of: Move,
    machine: Handoff,
    owner: PodId,
    epoch: Epoch,
    revision: u64,
    /// Reports are not answered.
    deaf: bool,
}

#[derive(Clone)]
struct Plane {
    leader: Arc<Mutex<Leader>>,
    changed: Arc<watch::Sender<u64>>,
}

impl Plane {
    fn apply(&self, event: &Happened) {
        let mut leader = self.leader.lock().expect("ok");
        let now = BootClock.now();
        for decision in leader.machine.step(now, &Patience::default(), event) {
            match decision {
                Decision::Become { state, detail } => {
                    leader.machine.become_at(now, state);
                    leader.revision += 1;
                    (leader.of.state, leader.of.revision) = (state, Revision(leader.revision));
                    leader.of.detail = detail.or(leader.of.detail.take());
                    if state == MoveState::Committed {
                        leader.owner = leader.of.to.clone();
                        leader.epoch = Epoch(leader.epoch.0 + 1);
                    }
                }
                Decision::Progress { rows, bytes } => (leader.of.rows, leader.of.bytes) = (rows, bytes),
                Decision::Paused(pause) => leader.of.pause_ms = Some(pause),
            }
        }
        drop(leader);
        self.changed.send_modify(|count| *count += 1);
    }

    fn state(&self) -> MoveState {
        self.leader.lock().expect("ok").of.state
    }

    fn the_move(&self) -> Move {
        self.leader.lock().expect("ok").of.clone()
    }
}

async fn reports(State(plane): State<Plane>, Json(said): Json<Reports>) -> Result<Json<Reported>, Problem> {
    if plane.leader.lock().expect("ok").deaf {
        return Err(Problem::unavailable("deaf", "no"));
    }
    for report in said.reports {
        plane.apply(&Happened::Said { by: said.pod.clone(), said: report.said });
    }
    Ok(Json(Reported { moves: vec![plane.the_move()] }))
}

struct Pod {
    folder: std::path::PathBuf,
    ownership: Ownership,
    engine: Engine,
    handoffs: Handoffs,
    stop: Shutdown,
    address: String,
}

async fn serve(router: Router, stop: Shutdown) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("bound").to_string();
    shared::shutdown::spawn(async move {
        let served = axum::serve(listener, router);
        stop.run_until_cancelled(async { served.await.expect("served") }).await;
    });
    address
}

async fn parcels(
    State(handoffs): State<Handoffs>,
    Path(id): Path<u64>,
    body: Bytes,
) -> Result<Json<Received>, Problem> {
    crate::http::received(&handoffs, MoveId(id), &body).await
}

async fn bundles(State(handoffs): State<Handoffs>, body: Bytes) -> Result<Json<Fates>, Problem> {
    crate::http::received_all(&handoffs, &body).await
}

async fn ask(State(handoffs): State<Handoffs>, Json(asked): Json<Known>) -> Json<Known> {
    Json(handoffs.ready_for(asked).await)
}

impl Pod {
    async fn open(name: &str, folder: &std::path::Path, config: &str, (small, reach): (usize, Duration)) -> Self {
        let folder = folder.join(name);
        let options = Line::parse_from(["pod", "--pod", name, "--data", folder.to_str().expect("plain")]).options;
        let clock: Arc<dyn Clock> = Arc::new(BootClock);
        let ownership = Ownership::new(options.pod.clone(), clock, LeaseTerms::default());
        let valid_until = BootClock.now().after(Duration::from_secs(100_000));
        ownership.hold(Lease { id: LeaseId(1), valid_until }, None);
        let stop = Shutdown::new();
        let bot = Bot::from(Counting(Mutex::default()));
        let metrics = Metrics::new();
        let opened = Engine::open(&options, ownership.clone(), bot, &metrics, Tracer::off(), stop.clone());
        let engine = opened.await.expect("opened");
        engine.take_up().await.expect("taken up");
        let token = Secret::new(TOKEN.to_owned());
        let client = Client::new(config, Some(token.clone()), Duration::from_secs(5)).expect("a URL");
        let limits = Limits { copying: 2, frozen: 8, taking: 8, small, together: 64, reach };
        let (shards, meters) = (Shards::default(), HandoffMeters::register(&metrics));
        let (owned, rows) = (ownership.clone(), engine.clone());
        let parts = Parts { ownership: owned, engine: rows, client, token, shards, limits, meters };
        let handoffs = Handoffs::start(parts, stop.clone());
        let router = Router::new()
            .route("/v1/handoff/ask", post(ask))
            .route("/v1/handoff/parcels", post(bundles))
            .route("/v1/handoff/{move}/parcels", post(parcels))
            .layer(DefaultBodyLimit::max(80 << 20))
            .with_state(handoffs.clone());
        let address = serve(router, stop.clone()).await;
        Self { folder, ownership, engine, handoffs, stop, address }
    }

    /// Ends it as a crash would.
    async fn crash(self) {
        self.stop.cancel();
        self.engine.abandon().await;
    }
}

/// Two pods, and what tells them how things stand.
struct Pair {
    plane: Plane,
    pods: Vec<Option<Arc<Pod>>>,
    feeds: Vec<Option<JoinHandle<()>>>,
    addresses: Arc<Mutex<BTreeMap<PodId, String>>>,
    folder: tempfile::TempDir,
    config: String,
    /// What is small, and how long a destination is asked.
    bounds: (usize, Duration),
    stop: Shutdown,
}

fn target() -> TargetId {
    "discord:guild:10".parse().expect("valid")
}

fn name(i: usize) -> PodId {
    format!("gateway-{i}").parse().expect("valid")
}

impl Pair {
    async fn new(small: usize) -> Self {
        Self::with(small, PATIENCE).await
    }

    async fn with(small: usize, reach: Duration) -> Self {
        let of = state::unknown(MOVE, target(), Epoch(5), &name(0), &name(1));
        let of = Move { state: MoveState::Copying, ..of };
        let now = BootClock.now();
        let machine =
            Handoff { id: MOVE, from: name(0), to: name(1), epoch: Epoch(5), state: MoveState::Copying, since: now };
        let leader = Leader { of, machine, owner: name(0), epoch: Epoch(5), revision: 9, deaf: false };
        let plane = Plane { leader: Arc::new(Mutex::new(leader)), changed: Arc::new(watch::Sender::new(0)) };
        let stop = Shutdown::new();
        let router = Router::new().route("/v1/moves/reports", post(reports)).with_state(plane.clone());
        let config = format!("http://{}", serve(router, stop.clone()).await);
        let folder = tempfile::tempdir().expect("a folder");
        let (pods, feeds) = (vec![None, None], vec![None, None]);
        let mut pair =
            Self { plane, pods, feeds, addresses: Arc::default(), folder, config, bounds: (small, reach), stop };
        pair.start(0, false).await;
        pair.start(1, false).await;
        pair
    }

    fn pod(&self, i: usize) -> &Arc<Pod> {
        self.pods[i].as_ref().expect("it runs")
    }

    /// Opens a pod and lets it hear of its assignments, of moves only when `moves` says so.
    async fn start(&mut self, i: usize, moves: bool) {
        let pod = Arc::new(Pod::open(&name(i).to_string(), self.folder.path(), &self.config, self.bounds).await);
        self.addresses.lock().expect("ok").insert(name(i), pod.address.clone());
        self.plane.changed.send_modify(|count| *count += 1);
        self.pods[i] = Some(Arc::clone(&pod));
        tell(&self.plane, &self.addresses, &pod, true, moves).await;
        if moves {
            self.feed(i);
        }
    }

    /// Lets a pod hear of everything from now on.
    fn feed(&mut self, i: usize) {
        let (plane, addresses, pod) = (self.plane.clone(), Arc::clone(&self.addresses), Arc::clone(self.pod(i)));
        let mut changed = plane.changed.subscribe();
        self.feeds[i] = Some(shared::shutdown::spawn(async move {
            loop {
                changed.borrow_and_update();
                tell(&plane, &addresses, &pod, false, true).await;
                if changed.changed().await.is_err() {
                    return;
                }
            }
        }));
    }

    async fn crash(&mut self, i: usize) {
        if let Some(feed) = self.feeds[i].take() {
            feed.abort();
            let _ = feed.await;
        }
        let mut pod = self.pods[i].take().expect("it runs");
        // Senders hold it for moments only.
        let pod = loop {
            match Arc::try_unwrap(pod) {
                Ok(pod) => break pod,
                Err(still) => {
                    pod = still;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        };
        pod.crash().await;
    }

    async fn restart(&mut self, i: usize) {
        self.crash(i).await;
        self.start(i, true).await;
    }

    async fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let waited = async {
            while !is_so() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waited).await;
        assert!(waited.is_ok(), "still not so: {what}; {:?}", self.plane.the_move());
    }

    async fn becomes(&self, state: MoveState) {
        self.until(state.as_str(), || self.plane.state() == state).await;
    }

    /// Sends an event to whoever serves the target, again and again until it is committed, as a router does.
    async fn send(&self, id: &str, body: &str) {
        let until = BootClock.now().after(PATIENCE);
        loop {
            for pod in self.pods.iter().flatten() {
                if let Outcome::Committed { .. } = submit(pod, id, body).await {
                    return;
                }
            }
            assert!(BootClock.now() < until, "nobody takes {id}; {:?}", self.plane.the_move());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn applied(&self, i: usize) -> u64 {
        self.pod(i).engine.state(&target()).await.expect("read").map_or(0, |row| row.applied)
    }

    fn key(&self, i: usize, key: &str) -> Option<String> {
        let file = self.pod(i).folder.join("berth.db");
        let conn = crate::store::transfer::peek(&file);
        conn(&format!(
            "SELECT value FROM kv JOIN target ON id = target_id WHERE name = '{}' AND key = '{key}'",
            target()
        ))
    }

    fn count(&self, i: usize, sql: &str) -> u64 {
        let conn = crate::store::transfer::peek(&self.pod(i).folder.join("berth.db"));
        conn(sql).and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.stop.cancel();
        self.feeds.iter().flatten().for_each(JoinHandle::abort);
        self.pods.iter().flatten().for_each(|pod| pod.stop.cancel());
    }
}

async fn tell(plane: &Plane, addresses: &Mutex<BTreeMap<PodId, String>>, pod: &Pod, whole: bool, with_moves: bool) {
    let (the_move, owner, epoch, revision) = {
        let leader = plane.leader.lock().expect("ok");
        (leader.of.clone(), leader.owner.clone(), leader.epoch, Revision(leader.revision))
    };
    let pods: Vec<PodInfo> = addresses
        .lock()
        .expect("ok")
        .iter()
        .map(|(pod, address)| PodInfo {
            pod: pod.clone(),
            address: address.clone(),
            incarnation: uuid::Uuid::now_v7().to_string().parse().expect("valid"),
            zone: None,
            capacity: 1.0,
            revision,
        })
        .collect();
    let moves: Vec<Move> =
        Some(the_move).filter(|of| with_moves && !(whole && of.state.is_over())).into_iter().collect();
    pod.handoffs.told(Told { pods, moves, whole: whole && with_moves }).await;
    let assignment = Assignment {
        target: target(),
        pod: owner,
        epoch,
        revision,
        parent: None,
        reason: "test".to_owned(),
        since_ms: 0,
        state: Default::default(),
        data: None,
    };
    let staged =
        pod.ownership.stage(Watch::Delta { revision, pods: vec![], assignments: vec![assignment], moves: vec![] });
    let unfit = pod.engine.follow(staged.changes().clone(), None).await.expect("followed");
    pod.ownership.admit(staged, &unfit);
}

async fn submit(pod: &Pod, id: &str, body: &str) -> Outcome {
    let Ok(guard) = pod.ownership.guard(&target()) else {
        return Outcome::NotServing { detail: String::new() };
    };
    let event = Sent {
        platform: target().platform(),
        target: target(),
        parent: None,
        kind: EventKind::StandardWebhook,
        source: "test".to_owned(),
        id: id.to_owned(),
        received_at: 0,
        headers: vec![],
        body: body.to_owned().into(),
    };
    let answer_by: Mono = BootClock.now().after(Duration::from_secs(20));
    pod.engine.submit(guard, event, answer_by).await
}

/// Sends events, one after the other, until the move is cleaned and a little longer. Returns how many.
async fn load(pair: &Pair) -> u64 {
    let mut sent = 0;
    let mut after = 0;
    while after < 5 {
        pair.send(&format!("e{sent}"), "x").await;
        sent += 1;
        after += u64::from(pair.plane.state().is_over());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    sent
}

async fn fill(pair: &Pair, rows: u64) -> u64 {
    for i in 0..rows / 20 {
        pair.send(&format!("f{i}"), &format!("fill {} 20", i * 20)).await;
    }
    pair.send("everything", "everything").await;
    rows / 20 + 1
}

/// Checks that every event was applied once, in order, and that all of it is where the target is.
async fn all_applied(pair: &Pair, owner: usize, sent: u64, before: u64) {
    assert_eq!(pair.applied(owner).await, sent + before);
    assert_eq!(pair.key(owner, "count"), Some((sent + before).to_string()));
    for i in 0..sent {
        assert_eq!(pair.key(owner, &format!("event-e{i}")), Some((before + i + 1).to_string()), "e{i}");
    }
}

async fn moved(rows: u64, small: usize) -> Move {
    let mut pair = Pair::new(small).await;
    let before = fill(&pair, rows).await;
    pair.feed(0);
    pair.feed(1);
    let sent = load(&pair).await;
    assert_eq!(pair.plane.state(), MoveState::Cleaned, "{:?}", pair.plane.the_move());
    all_applied(&pair, 1, sent, before).await;
    let here = format!("target_id = (SELECT id FROM target WHERE name = '{}')", target());
    for table in ["timer", "session", "outbox"] {
        assert_eq!(pair.count(1, &format!("SELECT count(*) FROM {table} WHERE {here}")), 1, "{table}");
    }
    assert_eq!(pair.count(1, &format!("SELECT count(*) FROM journal WHERE {here}")), sent + before);
    assert_eq!(pair.count(1, "SELECT count(*) FROM berth_moved_in WHERE state = 'switched'"), 1);
    pair.until("the source has dropped its rows", || pair.count(0, "SELECT count(*) FROM kv") == 0).await;
    let rest = pair.count(0, "SELECT count(*) FROM journal") + pair.count(0, "SELECT count(*) FROM inbox");
    assert_eq!(rest, 0);
    let exported = pair.pod(1).engine.clone();
    drop(exported);
    pair.plane.the_move()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_target_moves_under_load_and_nothing_is_lost_or_doubled() {
    let the_move = moved(20, 256 << 10).await;
    println!("small: pause {:?} ms, {} rows, {} bytes", the_move.pause_ms, the_move.rows, the_move.bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_target_is_copied_while_it_is_served_and_nothing_is_lost_or_doubled() {
    let the_move = moved(3_000, 10_000).await;
    println!("3 MB: pause {:?} ms, {} rows, {} bytes", the_move.pause_ms, the_move.rows, the_move.bytes);
    assert!(the_move.rows > 3_000);
}

/// Brings a move to a state under load, has a pod crash there, and expects an end: `Cleaned` or `Aborted`.
async fn crash_at(state: MoveState, who: usize, small: usize) {
    let mut pair = Pair::new(small).await;
    let before = fill(&pair, 400).await;
    pair.feed(0);
    pair.feed(1);
    pair.until(state.as_str(), || {
        let now = pair.plane.state();
        now >= state || now.is_over()
    })
    .await;
    pair.restart(who).await;
    pair.until("over", || pair.plane.state().is_over()).await;
    let sent = load(&pair).await;
    let owner = usize::from(pair.plane.state() == MoveState::Cleaned);
    all_applied(&pair, owner, sent, before).await;
    let other = 1 - owner;
    pair.until("the other has dropped its rows", || pair.count(other, "SELECT count(*) FROM kv") == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_the_source_at_any_step_ends_with_one_owner() {
    for (state, small) in [
        (MoveState::Copying, 10_000),
        (MoveState::Copying, 1 << 30),
        (MoveState::Committed, 10_000),
        (MoveState::Cleaned, 1 << 30),
    ] {
        crash_at(state, 0, small).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_the_destination_at_any_step_ends_with_one_owner() {
    for (state, small) in [
        (MoveState::Copying, 10_000),
        (MoveState::Copying, 1 << 30),
        (MoveState::Committed, 10_000),
        (MoveState::Cleaned, 1 << 30),
    ] {
        crash_at(state, 1, small).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen_it_stays_over_a_restart_until_the_leader_says() {
    let mut pair = Pair::new(1 << 30).await;
    let before = fill(&pair, 20).await;
    pair.plane.leader.lock().expect("ok").deaf = true;
    pair.feed(0);
    pair.feed(1);
    let whole = "SELECT count(*) FROM berth_moved_in WHERE state = 'whole'";
    pair.until("everything is there", || pair.count(1, whole) == 1).await;
    assert!(matches!(submit(pair.pod(0), "x", "x").await, Outcome::NotServing { .. }));
    pair.restart(0).await;
    pair.restart(1).await;
    assert!(matches!(submit(pair.pod(0), "x", "x").await, Outcome::NotServing { .. }), "a restart unfreezes nothing");
    assert!(!matches!(submit(pair.pod(1), "x", "x").await, Outcome::Committed { .. }));
    assert_eq!(pair.count(0, "SELECT count(*) FROM berth_moved_out WHERE state = 'frozen'"), 1);
    pair.plane.leader.lock().expect("ok").deaf = false;
    let sent = load(&pair).await;
    pair.becomes(MoveState::Cleaned).await;
    all_applied(&pair, 1, sent, before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_move_leaves_the_source_the_owner() {
    let mut pair = Pair::new(1 << 30).await;
    let before = fill(&pair, 20).await;
    // Nobody hears what the pods report: it stays frozen.
    pair.plane.leader.lock().expect("ok").deaf = true;
    pair.feed(0);
    pair.feed(1);
    let whole = "SELECT count(*) FROM berth_moved_in WHERE state = 'whole'";
    pair.until("everything is there", || pair.count(1, whole) == 1).await;
    assert!(matches!(submit(pair.pod(0), "x", "x").await, Outcome::NotServing { .. }));
    pair.plane.apply(&Happened::Cancel("enough".to_owned()));
    pair.plane.leader.lock().expect("ok").deaf = false;
    pair.becomes(MoveState::Aborted).await;
    let sent = load(&pair).await;
    all_applied(&pair, 0, sent, before).await;
    pair.until("nothing is left there", || pair.count(1, "SELECT count(*) FROM kv") == 0).await;
    let memory = pair.count(0, "SELECT count(*) FROM volatile");
    assert_eq!(memory, 0, "the handler's memory was given back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_is_not_ready_costs_no_pause() {
    let mut pair = Pair::with(1 << 30, Duration::from_millis(500)).await;
    let before = fill(&pair, 20).await;
    // The destination never hears of the move.
    pair.feed(0);
    let sent = load(&pair).await;
    assert_eq!(pair.plane.state(), MoveState::Aborted);
    assert!(pair.plane.the_move().detail.is_some_and(|why| why.contains("has not heard of the move")));
    all_applied(&pair, 0, sent, before).await;
    assert_eq!(pair.count(0, "SELECT count(*) FROM berth_moved_out"), 0, "it was never frozen");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_spoiled_on_the_way_is_refused_with_its_reason() {
    let pair = Pair::new(1 << 30).await;
    let answer = crate::http::received(&pair.pod(1).handoffs, MOVE, b"nonsense").await;
    assert_eq!(answer.map(|_| ()).map_err(|problem| problem.status), Err(StatusCode::BAD_REQUEST.as_u16()));
}

mod missed;
