//! Acknowledged means replicated: with the real Litestream, and with the disk thrown away.

mod numbers;

use berth_tests::{
    Cluster, Delivery, Setup,
    beside::Beside,
    double::PlatformDouble,
    eventually,
    flood::{Flood, Taken},
    handler_double::{HandlerDouble, Says},
    pod_data, scrape,
    senders::discord,
    sync_proxy::{Does, SyncProxy},
    wait::holds_for,
    workload::{Poster, acknowledged, plan},
};
use serde_json::json;
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tempfile::TempDir;
use tokio::{task::JoinSet, time::Instant};

const SECOND: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(120);
const POD: &str = "gateway-0";

/// A cluster of one pod whose database is replicated.
struct Story {
    cluster: Cluster,
    litestream: Beside,
    proxy: SyncProxy,
    // The last field: it goes when nothing writes there any more.
    folder: TempDir,
}

impl Story {
    async fn start(settings: &[(&'static str, &str)]) -> Self {
        let folder = TempDir::with_prefix("berth-replica-").expect("a folder");
        let (replica, socket) = (folder.path().join("replica"), folder.path().join("proxy.sock"));
        let mut setup = Setup { gateways: 1, ..Setup::default() }
            .with("BERTH_REPLICA", &format!("file://{}", replica.display()))
            .with("BERTH_LITESTREAM_SOCKET", &socket.display().to_string())
            .with("BERTH_PARK_TELEGRAM", "1s");
        for (name, value) in settings {
            setup = setup.with(name, value);
        }
        // What passes the proxy is Litestream's; it is there before anybody asks.
        let mut cluster = setup.prepare();
        let behind = folder.path().join("litestream.sock");
        let proxy = SyncProxy::start(socket, behind.clone());
        cluster.config.ready().await;
        cluster.launch_rest();
        cluster.all_ready().await;
        let litestream = Beside::start(&cluster, POD, &replica, &behind);
        let story = Self { cluster, litestream, proxy, folder };
        story.until("the replica keeps up", "berth_replication_state", &[("state", "replicating")]).await;
        story
    }

    async fn metrics(&self) -> String {
        let url = self.cluster.gateways[0].url("/metrics");
        self.cluster.client.get(&url).await.map(|reply| reply.text()).unwrap_or_default()
    }

    async fn metric(&self, name: &str) -> f64 {
        scrape::sum(&self.metrics().await, name, &[])
    }

    async fn until(&self, what: &str, name: &str, labels: &[(&str, &str)]) {
        eventually(what, LONG, async || (scrape::sum(&self.metrics().await, name, labels) > 0.0).then_some(())).await;
    }

    async fn post(&self, delivery: &Delivery) -> u16 {
        self.cluster.post(delivery).await.map_or(0, |reply| reply.status)
    }

    /// Restores the replica and returns what it has seen.
    async fn restored(&self) -> BTreeSet<(String, String)> {
        let to = TempDir::with_prefix("berth-restored-").expect("a folder");
        self.litestream.restore(to.path()).await;
        pod_data::seen(to.path())
    }

    /// Ends pod and Litestream at one blow, and throws the disk away.
    async fn lose_everything(&mut self) {
        self.cluster.gateways[0].process().signal(rustix::process::Signal::KILL);
        self.litestream.process.signal(rustix::process::Signal::KILL);
        self.cluster.gateways[0].kill().await;
        self.litestream.process.kill().await;
        std::fs::remove_dir_all(self.cluster.pod_folder(POD)).expect("the disk is gone");
    }
}

/// One run: load, a blow, a restore. Returns how many events were acknowledged and how many of the local ones are lost.
async fn everything_is_lost_after(events: u64) -> (usize, usize) {
    let settings = [("BERTH_ACKNOWLEDGE", "discord=local"), ("BERTH_REPLICATION_RATE", "20")];
    let mut story = Story::start(&settings).await;
    let poster = Poster::new(&story.cluster);
    let began = Instant::now();
    let flood = Flood::start(&poster, 60);
    flood.reaches(events, 2 * LONG).await;
    let rate = events as f64 / began.elapsed().as_secs_f64();
    story.lose_everything().await;
    let taken = flood.finish().await;
    let there = story.restored().await;
    let gone = |taken: &&Taken| !there.contains(&taken.event);
    let (local, replicated): (Vec<_>, Vec<_>) = taken.iter().partition(|taken| taken.feeder % 5 == 4);
    let lost: Vec<_> = replicated.iter().copied().filter(gone).collect();
    assert!(lost.is_empty(), "acknowledged as replicated, and not in the replica: {lost:?}");
    assert!(replicated.len() > 50, "{} events prove nothing", replicated.len());
    let lost_local = local.iter().copied().filter(gone).count();
    println!(
        "{rate:.0} events/s; {} acknowledged as replicated, 0 lost; {} as local, {lost_local} lost",
        replicated.len(),
        local.len()
    );
    (taken.len(), lost_local)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_as_replicated_is_in_the_replica_when_pod_and_disk_are_gone() {
    everything_is_lost_after(600).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "twenty runs; ./test --long has them"]
async fn what_was_acknowledged_as_replicated_is_in_the_replica_twenty_times() {
    let (mut all, mut lost) = (0, 0);
    for run in 0..20 {
        let (taken, gone) = everything_is_lost_after(400 + run * 97).await;
        (all, lost) = (all + taken, lost + gone);
    }
    println!("twenty runs: {all} events acknowledged, 0 of the replicated ones lost, {lost} of the local ones");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zombie_on_a_sealed_lineage_acknowledges_nothing_and_ends() {
    let mut story = Story::start(&[]).await;
    story.cluster.post_until_taken(&story.cluster.message(-1, 1), LONG).await;
    story.litestream.seal().await;
    let before = story.restored().await;
    for update in 2..6 {
        let status = story.post(&story.cluster.message(-1, update)).await;
        assert_ne!(status, 200, "update {update} was acknowledged after the seal");
    }
    let ended = story.cluster.gateways[0].process().end(LONG).await;
    assert_eq!(ended.code(), Some(75), "to be prepared anew");
    assert!(story.cluster.gateways[0].logged("nothing is acknowledged any more"));
    assert!(before.contains(&("telegram:channel:-1".to_owned(), "1".to_owned())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_fails_refuses_those_who_wait_for_it_serves_the_others_and_is_caught_up_with() {
    let settings = [("BERTH_ACKNOWLEDGE", "github=local"), ("BERTH_REPLICATION_PATIENCE", "1s")];
    let story = Story::start(&settings).await;
    story.proxy.now(Does::Fails);
    let first = story.cluster.message(-1, 1);
    assert_eq!(story.post(&first).await, 503, "it is committed, and not acknowledged");
    story.until("patience is over", "berth_replication_state", &[("state", "closed")]).await;
    assert_eq!(story.post(&story.cluster.message(-1, 2)).await, 503);
    let local = plan(&story.cluster.keys, 3, 1);
    assert_eq!(story.post(&local.delivery).await, 202, "a local source is served on");
    let ready = story.cluster.client.get(&story.cluster.gateways[0].url("/readyz")).await.expect("it answers");
    assert!(ready.status == 200 && ready.text().contains("replication: nothing could be replicated"), "{ready:?}");
    story.proxy.now(Does::Passes);
    story.cluster.post_until_taken(&first, LONG).await;
    let state = story.cluster.state("telegram:channel:-1").await.expect("known");
    assert_eq!(state.applied, 1, "what came again was a duplicate, what was refused did nothing: {state:?}");
    assert!(story.restored().await.contains(&(local.target, local.id)), "it is caught up with");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_cut_after_the_upload_acknowledges_nothing_by_itself() {
    let story = Story::start(&[]).await;
    story.proxy.now(Does::CutAfter);
    assert_eq!(story.post(&story.cluster.message(-1, 1)).await, 503);
    story.until("the upload has failed", "berth_replication_sync_failures_total", &[]).await;
    story.proxy.now(Does::Passes);
    story.cluster.post_until_taken(&story.cluster.message(-1, 1), LONG).await;
    let state = story.cluster.state("telegram:channel:-1").await.expect("known");
    assert_eq!(state.applied, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_reply_leaves_only_once_what_it_says_is_in_the_replica() {
    let (outside, open) = (PlatformDouble::start().await, Arc::<AtomicBool>::default());
    let gate = Arc::clone(&open);
    let handler = HandlerDouble::start(move |asked| match asked.route.as_str() {
        "GET /v1/describe" => Says::Json(200, json!({"api": ["1"], "name": "double"})),
        _ if gate.load(Ordering::SeqCst) => Says::Json(200, json!({"reply": {"text": "at last"}})),
        // It is asked again.
        _ => Says::Json(503, json!({})),
    });
    let settings = [
        ("BERTH_HANDLER", &*handler.url()),
        ("BERTH_HANDLER_RETRY", "100ms"),
        ("BERTH_HANDLER_ATTEMPTS", "100000"),
        ("BERTH_ACKNOWLEDGE", "discord=replicated"),
        ("BERTH_DISCORD_API", &*format!("http://{}", outside.host())),
        ("BERTH_OUTBOX_PRIVATE", "true"),
    ];
    let story = Story::start(&settings).await;
    let command = discord::command("77", "1", "x", &json!([])).to_string();
    let delivery = discord::signed(&story.cluster.keys, discord::INTERACTIONS, command.as_bytes());
    let reply = story.cluster.post_until_taken(&delivery, LONG).await;
    assert_eq!(reply.json()["type"], json!(5), "deferred: {}", reply.text());
    story.proxy.now(Does::Hangs);
    open.store(true, Ordering::SeqCst);
    eventually("it is handled", LONG, async || {
        story.cluster.state("discord:guild:77").await.filter(|state| state.applied == 1)
    })
    .await;
    holds_for(3 * SECOND, async || match outside.count() {
        0 => Ok(()),
        count => Err(format!("{count} calls left, and a lost disk would take back what they say")),
    })
    .await;
    story.proxy.now(Does::Passes);
    let call = eventually("the reply leaves", LONG, async || outside.calls().into_iter().next()).await;
    assert!(call.method == "PATCH" && call.body.contains("at last"), "{call:?}");
    assert!(story.restored().await.contains(&("discord:guild:77".to_owned(), "1".to_owned())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_store_makes_acknowledgements_late_and_groups_them() {
    let story = Story::start(&[("BERTH_PARK_TELEGRAM", "30s")]).await;
    story.proxy.now(Does::Slow(SECOND * 2 / 5));
    let before = story.metric("berth_replication_syncs_total").await;
    let began = Instant::now();
    let mut posts = JoinSet::new();
    let poster = Poster::new(&story.cluster);
    for chat in 0..40 {
        let (poster, delivery) = (poster.clone(), story.cluster.message(-100 - chat, 1));
        posts.spawn(async move { poster.post(&delivery, 0).await.map_or(0, |reply| reply.status) });
    }
    let statuses = posts.join_all().await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    assert!(began.elapsed() >= SECOND * 2 / 5, "nothing is acknowledged before the upload");
    let syncs = story.metric("berth_replication_syncs_total").await - before;
    assert!(syncs <= 20.0, "{syncs} uploads for 40 events");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_stops_in_order_leaves_everything_in_the_replica() {
    let mut story = Story::start(&[("BERTH_ACKNOWLEDGE", "github=local")]).await;
    let mut sent = BTreeSet::new();
    for n in 0..20 {
        let planned = plan(&story.cluster.keys, 3, n);
        assert_eq!(story.post(&planned.delivery).await, 202);
        sent.insert((planned.target, planned.id));
    }
    assert!(story.cluster.gateways[0].stop().await.success());
    story.litestream.process.kill().await;
    let there = story.restored().await;
    assert!(sent.is_subset(&there), "{:?}", sent.difference(&there));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_ends_beside_litestream_and_a_restore_has_nothing_of_it() {
    let story = Story::start(&[]).await;
    let planned = plan(&story.cluster.keys, 2, 1);
    let taken = story.cluster.post_until_taken(&planned.delivery, LONG).await;
    assert!(acknowledged(&taken));
    let path = format!("/v1/targets/{}/erase", planned.target);
    let erased = story
        .cluster
        .admin_post(&path, &json!({"reason": "asked for", "confirm": planned.target}))
        .await
        .expect("it answers");
    assert_eq!(erased.status, 200, "{}", erased.text());
    // What is committed now is uploaded, and all before.
    story.cluster.post_until_taken(&story.cluster.message(-1, 1), LONG).await;
    let to = TempDir::with_prefix("berth-restored-").expect("a folder");
    story.litestream.restore(to.path()).await;
    let bytes = std::fs::read(to.path().join("berth.db")).expect("restored");
    let holds = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(!holds(&planned.id) && holds("telegram:channel:-1"));
    assert!(story.folder.path().is_dir());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wal_that_nobody_moves_is_emptied_by_the_pod_and_the_replica_goes_on_when_litestream_is_back() {
    let settings = [("BERTH_ACKNOWLEDGE", "standard=local"), ("BERTH_REPLICATION_WAL", "4194304")];
    let mut story = Story::start(&settings).await;
    story.litestream.process.kill().await;
    story.proxy.end().await;
    let wal = story.cluster.pod_folder(POD).join("berth.db-wal");
    let size = || std::fs::metadata(&wal).map_or(0, |wal| wal.len());
    let mut sent = BTreeSet::new();
    let send = async |story: &Story, sent: &mut BTreeSet<_>| {
        let planned = plan(&story.cluster.keys, 2, sent.len() as u64);
        story.cluster.post_until_taken(&planned.delivery, LONG).await;
        sent.insert((planned.target, planned.id));
    };
    while !story.cluster.gateways[0].logged("Litestream is gone, emptying it") {
        send(&story, &mut sent).await;
        assert!(size() < 64 << 20, "nobody moves the WAL");
    }
    // The line comes first, the answer that was given last before both.
    eventually("the WAL is empty", LONG, async || (size() < 4 << 20).then_some(())).await;
    for _ in 0..20 {
        send(&story, &mut sent).await;
    }
    let replica = story.folder.path().join("replica");
    let behind = story.folder.path().join("litestream.sock");
    story.litestream = Beside::start(&story.cluster, POD, &replica, &behind);
    story.proxy = SyncProxy::start(story.folder.path().join("proxy.sock"), behind);
    story.cluster.post_until_taken(&story.cluster.message(-1, 1), LONG).await;
    let there = story.restored().await;
    assert!(sent.is_subset(&there), "{:?}", sent.difference(&there));
}
