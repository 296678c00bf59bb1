//! What an acknowledgement takes that waits for an S3-compatible store, and what that costs: for docs/reliability.md. The store is
//! s3s-fs on this machine, behind a proxy that may add to each of its answers. Decides what is measured and what it means in money.

use crate::stores::Story;
use berth_tests::{
    page::{Origin, write_page},
    process::{berth, cpu},
    scrape,
    store::Kind,
    store_proxy::{Does, To, Verb},
    workload::Poster,
};
use std::{path::Path, time::Duration};
use tokio::{
    task::JoinSet,
    time::{Instant, interval},
};

const SECOND: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(120);
const CHATS: u64 = 50;
/// Seconds of a month.
const MONTH: f64 = 2.63e6;
/// What a large provider asks for a million requests, in dollars: those that write or list, and those that read.
const WRITES: f64 = 5.0;
const READS: f64 = 0.4;

/// How a pod is set up that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pod {
    /// Without a replica: what all others are compared with.
    Alone,
    /// With the defaults: two uploads a second on average.
    Sparing,
    /// With twenty uploads a second.
    Eager,
}

impl Pod {
    const fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Alone | Self::Sparing => &[],
            Self::Eager => &[("BERTH_REPLICATION_RATE", "20")],
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Alone => "none",
            Self::Sparing => "2/s (default)",
            Self::Eager => "20/s",
        }
    }
}

/// What was measured of one pod.
#[derive(Debug, Clone, Copy, Default)]
struct Measured {
    p50: f64,
    p99: f64,
    /// The oldest commit that was not known to be uploaded, at its worst, in seconds.
    lag: f64,
    /// Requests per second.
    writes: f64,
    reads: f64,
    /// Shares of a core, in percent.
    gateway: f64,
    litestream: f64,
}

/// Writes the table. Run it alone, on an idle machine, with optimised binaries.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "numbers for docs/reliability.md; run by hand"]
async fn of_acknowledgements_that_wait_for_a_store() {
    let table = table(&[20, 300], &[Pod::Sparing, Pod::Eager], 30 * SECOND).await;
    println!("{table}");
    let typed = "cargo test --release -p berth-tests --test it -- --ignored replicated::numbers --nocapture";
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reliability.md");
    write_page(&page, "numbers: acknowledgements", &Origin::here(&berth(), typed), &table).expect("the page");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn are_measured_as_they_will_be_for_the_page() {
    let table = table(&[20], &[Pod::Eager], 2 * SECOND).await;
    println!("{table}");
    let cells: Vec<_> = table.lines().map(|line| line.matches(" | ").count()).collect();
    assert!(cells.len() == 5 && cells.iter().skip(2).all(|count| *count == cells[0]), "{table}");
}

async fn table(rates: &[u32], pods: &[Pod], length: Duration) -> String {
    let mut table = "| the store answers | events/s | uploads asked for | p50 | p99 | added p50 | added p99 | worst lag | writes/s | reads/s | $ a month | Litestream | agent and gate |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|\n".to_owned();
    for rate in rates {
        let alone = measured(Pod::Alone, Does::Passes, *rate, length).await;
        table += &row("no replica", *rate, Pod::Alone, alone, None);
        for (store, does) in [("at once", Does::Passes), ("40 ms later", Does::Slow(SECOND / 25))] {
            for pod in pods {
                let one = measured(*pod, does, *rate, length).await;
                table += &row(store, *rate, *pod, one, Some(alone));
            }
        }
    }
    table
}

fn row(store: &str, rate: u32, pod: Pod, one: Measured, alone: Option<Measured>) -> String {
    let head = format!("| {store} | {rate} | {} | {:.1} ms | {:.1} ms |", pod.name(), one.p50, one.p99);
    let Some(alone) = alone else { return head + " - | - | - | - | - | - | - | - |\n" };
    let dollars = MONTH * (one.writes * WRITES + one.reads * READS) / 1e6;
    format!(
        "{head} {:.1} ms | {:.1} ms | {:.1} s | {:.1} | {:.1} | {dollars:.0} | {:.1} % | {:.1} % |\n",
        one.p50 - alone.p50,
        one.p99 - alone.p99,
        one.lag,
        one.writes,
        one.reads,
        one.litestream,
        one.gateway - alone.gateway,
    )
}

/// Feeds a pod at a rate for so long.
async fn measured(pod: Pod, does: Does, rate: u32, length: Duration) -> Measured {
    let mut story = Story::start_as(Kind::S3sFs, 1, pod.settings(), pod != Pod::Alone).await;
    for chat in 0..CHATS {
        story.cluster.post_until_taken(&message(&story, chat, 1), LONG).await;
    }
    story.store.proxy().now(To::All, does);
    let gateway = story.cluster.gateways[0].process().pid();
    let litestream = story.copying.first().map(|(_, process)| process.pid());
    let used = || (cpu(gateway), litestream.map(cpu).unwrap_or_default());
    let asked = |verbs: &[Verb]| verbs.iter().map(|verb| story.store.proxy().count(*verb)).sum::<usize>() as f64;
    let (before, writes, reads) = (used(), asked(&[Verb::Put, Verb::List]), asked(&[Verb::Get]));
    let began = Instant::now();
    let (took, lag) = tokio::join!(fed(&story, rate, length), worst_lag(&story, length));
    let passed = began.elapsed().as_secs_f64();
    let share = |now: Duration, before: Duration| (now - before).as_secs_f64() / passed * 100.0;
    let now = used();
    let at = |part: f64| took[((took.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
    Measured {
        p50: at(0.5),
        p99: at(0.99),
        lag,
        writes: (asked(&[Verb::Put, Verb::List]) - writes) / passed,
        reads: (asked(&[Verb::Get]) - reads) / passed,
        gateway: share(now.0, before.0),
        litestream: share(now.1, before.1),
    }
}

fn message(story: &Story, chat: u64, update: u64) -> berth_tests::Delivery {
    story.cluster.message(-100 - i64::try_from(chat).unwrap_or_default(), update)
}

/// Sends at a rate, whatever becomes of what was sent before; returns how long each took, the shortest first.
async fn fed(story: &Story, rate: u32, length: Duration) -> Vec<Duration> {
    let poster = Poster::new(&story.cluster);
    let (mut posts, mut tick) = (JoinSet::new(), interval(SECOND / rate));
    let until = Instant::now() + length;
    let mut update = 2;
    while Instant::now() < until {
        tick.tick().await;
        let (poster, delivery) = (poster.clone(), message(story, update % CHATS, update));
        update += 1;
        posts.spawn(async move {
            let sent = Instant::now();
            let reply = poster.post(&delivery, 0).await;
            assert_eq!(reply.map(|reply| reply.status), Ok(200), "acknowledged");
            sent.elapsed()
        });
    }
    let mut took = posts.join_all().await;
    took.sort_unstable();
    took
}

async fn worst_lag(story: &Story, length: Duration) -> f64 {
    let mut tick = interval(SECOND);
    let until = Instant::now() + length;
    let mut worst = 0.0_f64;
    while Instant::now() < until {
        tick.tick().await;
        worst = worst.max(scrape::sum(&story.metrics(0).await, "berth_replication_lag_seconds", &[]));
    }
    worst
}
