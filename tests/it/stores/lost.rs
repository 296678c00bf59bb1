//! Disks that are lost while their replica is in an S3-compatible store: what was acknowledged is restored, by whoever needs it, and
//! what a dead pod's Litestream still writes changes nothing.

use super::{Kind, LONG, Story, on};
use berth_tests::{
    eventually,
    flood::Flood,
    process::command,
    scrape,
    store::Store,
    store_proxy::{Does, To, Verb},
    supervised::{Up, runs},
    workload::Poster,
};
use rustix::process::{Pid, Signal, kill_process};
use shared::wire::control::AssignmentState;
use std::time::Duration;
use tempfile::TempDir;

const POD: &str = "gateway-0";

on! {
    [moto: Moto, s3s_fs: S3sFs] what_was_acknowledged_is_in_the_store_when_pod_and_disk_are_gone,
    [moto: Moto, s3s_fs: S3sFs] heirs_restore_from_the_store_and_what_the_old_litestream_writes_later_changes_nothing,
    [moto: Moto, s3s_fs: S3sFs] up_keeps_replicas_in_the_store_and_starts_from_them_when_its_disk_is_gone,
}

async fn what_was_acknowledged_is_in_the_store_when_pod_and_disk_are_gone(kind: Kind) {
    let settings = [("BERTH_ACKNOWLEDGE", "discord=replicated"), ("BERTH_REPLICATION_RATE", "20")];
    let mut story = Story::start(kind, 1, &settings).await;
    let lineage = story.lineage(POD);
    let flood = Flood::start(&Poster::new(&story.cluster), 40);
    flood.reaches(400, 3 * LONG).await;
    story.lose(POD).await;
    let taken = flood.finish().await;
    let there = story.seen_in(&lineage).await;
    let lost: Vec<_> = taken.iter().filter(|taken| !there.contains(&taken.event)).collect();
    assert!(lost.is_empty(), "acknowledged, and not in the store: {lost:?}");
}

async fn heirs_restore_from_the_store_and_what_the_old_litestream_writes_later_changes_nothing(kind: Kind) {
    let zombie = "gateway-1";
    let mut story = Story::start(kind, 3, &[("BERTH_PARK_TELEGRAM", "500ms")]).await;
    let mut chats = Vec::new();
    for chat in (-112..=-100).rev() {
        for update in 1..=3 {
            story.cluster.post_until_taken(&story.cluster.message(chat, update), LONG).await;
        }
        if story.cluster.assignment(chat).await.is_some_and(|found| found.pod.as_str() == zombie) {
            chats.push(chat);
        }
    }
    assert!(!chats.is_empty(), "{zombie} owns some of them");
    story.cluster.leases_are_kept(3).await;
    let lineage = story.lineage(zombie);

    // What it writes from now on is late: committed, uploaded at some time, and never acknowledged.
    story.store.proxy().now(To::Below(Verb::Put, format!("{}/0", lineage.path())), Does::Late);
    for chat in &chats {
        let status = story.cluster.post(&story.cluster.message(*chat, 4)).await.map_or(0, |reply| reply.status);
        assert_ne!(status, 200, "it is not in the store");
    }
    eventually("Litestream has tried to upload it", LONG, async || (story.store.proxy().late() > 0).then_some(()))
        .await;
    story.cluster.gateway(zombie).pause();
    for chat in &chats {
        let state = served_elsewhere(&story, zombie, *chat).await;
        assert_eq!(state, 3, "what was acknowledged, and no more");
    }
    assert!(story.store.open().sealed(&lineage).await.expect("read").is_some());
    let released = story.store.proxy().release().await;
    assert!(released > 0, "the late writes reach the store, below a lineage that is over");
    story.store.proxy().well();

    // The zombie wakes up with events that it has committed, and acknowledges none of them.
    story.cluster.gateway(zombie).resume();
    let ended = story.cluster.gateway(zombie).process().end(LONG).await;
    assert_eq!(ended.code(), Some(75), "to be prepared anew");
    for chat in &chats {
        story.cluster.post_until_taken(&story.cluster.message(*chat, 4), LONG).await;
        story.cluster.post_until_taken(&story.cluster.message(*chat, 2), LONG).await;
        let state = story.cluster.state(&format!("telegram:channel:{chat}")).await.expect("known");
        assert_eq!(state.applied, 4, "each once");
        assert!(state.duplicates >= 1, "what was answered before is known: {state:?}");
    }
}

/// Waits until another pod serves a chat; returns how many events it has applied there.
async fn served_elsewhere(story: &Story, than: &str, chat: i64) -> u64 {
    eventually("it is served elsewhere", LONG, async || {
        let found = story.cluster.assignment(chat).await?;
        if found.pod.as_str() == than || found.state != AssignmentState::Serving {
            return None;
        }
        let reply = story.cluster.admin(&format!("/v1/targets/telegram:channel:{chat}/state")).await.ok()?;
        reply.json()["applied"].as_u64().filter(|_| reply.status == 200)
    })
    .await
}

async fn up_keeps_replicas_in_the_store_and_starts_from_them_when_its_disk_is_gone(kind: Kind) {
    let store = Store::start(kind).await;
    let folder = TempDir::with_prefix("berth-up-").expect("a folder");
    let data = folder.path().join("data");
    let program = berth_tests::litestream::program().display().to_string();
    let settings = store.settings();
    let environment: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let more = ["--pods", "1", "--litestream", &program];
    let port = berth_tests::role::free_ports(4);
    let mut up = Up::start_in(&data, port, &more, &environment);
    up.ready().await;
    assert!(up.process.stdout.contains(&store.base()), "the first screen says where");
    let at = data.display().to_string();
    let url = format!("http://127.0.0.1:{}/v1/targets/discord:guild:123/state", port + 1);
    let client = berth_tests::Client::new(Duration::from_secs(10));
    // Whoever waits on a busy machine may be told to try again; what comes twice is applied once.
    eventually("three commands are applied", LONG, async || {
        for id in ["1", "2", "3"] {
            let mut send = command();
            send.args(["send", "discord", "--guild", "123", "--command", "stats", "--id", id, "--data", &at]);
            let _ = send.output().expect("berth runs");
        }
        (client.get(&url).await.ok()?.json()["applied"].as_u64()? == 3).then_some(())
    })
    .await;
    let metrics = format!("http://127.0.0.1:{}/metrics", up.port + 2);
    eventually("all of it is in the store", LONG, async || {
        let text = client.get(&metrics).await.ok()?.text();
        let syncs = scrape::sum(&text, "berth_replication_syncs_total", &[]);
        (syncs > 0.0 && scrape::sum(&text, "berth_replication_lag_bytes", &[]) < 1.0).then_some(())
    })
    .await;
    let children = up.children();
    up.process.kill().await;
    for (id, _) in &children {
        // Gone already is as good.
        let _ = kill_process(Pid::from_raw(*id).expect("an id"), Signal::KILL);
    }
    eventually("every child is gone", LONG, async || children.iter().all(|(id, _)| !runs(*id)).then_some(())).await;
    std::fs::remove_dir_all(data.join(POD)).expect("the disk is gone");
    let mut up = Up::start_in(&data, up.port, &more, &environment);
    up.ready().await;
    let applied = eventually("the guild is served from what was restored", LONG, async || {
        client.get(&url).await.ok()?.json()["applied"].as_u64()
    })
    .await;
    assert_eq!(applied, 3);
}
