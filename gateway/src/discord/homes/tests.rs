use super::*;
use shared::{
    Problem, Revision,
    router::testing::{FakeConfig, PlaceCall, assignment},
    shutdown::Shutdown,
    wire::control::Watch,
};
use tokio::time::Instant;

const SHARD: &str = "discord:shard:0-2";

/// How long a story waits for what has to come.
const SOON: Duration = Duration::from_secs(60);

struct Story {
    config: FakeConfig,
    routes: Routes,
    homes: Homes,
    near: Near,
    _stop: tokio_util::sync::DropGuard,
}

/// Asks for at most four guilds at once.
async fn story() -> Story {
    let (config, routes, stop) = (FakeConfig::start().await, Routes::new(), Shutdown::new());
    let (placer, task) = Placer::new(config.client(), routes.clone(), 100);
    let token = tokio_util::sync::CancellationToken::new();
    let until = token.clone();
    shared::shutdown::spawn(async move {
        let _ = until.run_until_cancelled(task.paced(4, Duration::from_millis(1)).run(stop)).await;
    });
    let homes = Homes::new(placer, routes.clone(), 8);
    let near = Near::new(SHARD.parse().expect("a target"));
    Story { config, routes, homes, near, _stop: token.drop_guard() }
}

impl Story {
    /// The table arrives, with these targets in it.
    fn loaded(&self, known: &[&str]) {
        let assignments = known.iter().map(|name| assignment(name, "gateway-0", 1, 1)).collect();
        let pods = Vec::new();
        let table =
            Watch::Snapshot { revision: Revision(1), first: true, more: false, pods, assignments, moves: vec![] };
        self.routes.apply(table, Instant::now());
    }

    fn settle(&self, guilds: std::ops::Range<u64>) -> tokio::task::JoinHandle<()> {
        let guilds: Vec<_> = guilds.map(|id| id.to_string()).collect();
        self.near.lists(guilds.len());
        shared::shutdown::spawn(self.homes.clone().settle(self.near.clone(), guilds))
    }
}

fn asked(call: &PlaceCall) -> Vec<String> {
    call.place.targets.iter().map(|wanted| wanted.target.to_string()).collect()
}

/// Gives all that are asked for homes.
fn place(call: PlaceCall) {
    let homes = asked(&call).iter().map(|name| assignment(name, "gateway-1", 1, 2)).collect();
    call.answer(2, homes);
}

#[tokio::test]
async fn guilds_without_a_home_are_asked_for_together_and_the_others_not_at_all() {
    let mut story = story().await;
    story.loaded(&["discord:guild:101", "discord:guild:105"]);
    let settled = story.settle(100..110);
    let (mut all, mut calls) = (Vec::new(), 0);
    while all.len() < 8 {
        let call = story.config.place().await;
        calls += 1;
        let wish = Beside { target: SHARD.parse().expect("a target"), of: 10 };
        assert!(call.place.targets.iter().all(|wanted| wanted.beside.as_ref() == Some(&wish)), "{:?}", call.place);
        assert!(call.place.targets.len() <= 4);
        all.extend(asked(&call));
        place(call);
    }
    assert!(calls <= 4, "{calls} for eight guilds");
    all.sort();
    let expected: Vec<_> = [100, 102, 103, 104, 106, 107, 108, 109].map(|id| format!("discord:guild:{id}")).into();
    assert_eq!(all, expected);
    tokio::time::timeout(SOON, settled).await.expect("soon").expect("no panic");
    // Another session lists them, too: nobody is asked.
    tokio::time::timeout(SOON, story.settle(100..110)).await.expect("soon").expect("no panic");
}

#[tokio::test]
async fn nobody_is_asked_before_the_table_has_arrived() {
    let mut story = story().await;
    let settled = story.settle(100..103);
    tokio::task::yield_now().await;
    story.loaded(&["discord:guild:100", "discord:guild:101"]);
    let call = story.config.place().await;
    assert_eq!(asked(&call), ["discord:guild:102"]);
    place(call);
    tokio::time::timeout(SOON, settled).await.expect("soon").expect("no panic");
}

#[tokio::test]
async fn who_got_no_home_is_asked_for_again() {
    let mut story = story().await;
    story.loaded(&[]);
    let settled = story.settle(100..101);
    story.config.place().await.settle(Err(Problem::unavailable("not-leader", "")));
    let call = story.config.place().await;
    assert_eq!(asked(&call), ["discord:guild:100"]);
    place(call);
    tokio::time::timeout(SOON, settled).await.expect("soon").expect("no panic");
}

#[tokio::test]
async fn only_guilds_wish_to_be_beside_a_shard_which_says_how_many_there_are() {
    let story = story().await;
    let of = |name: &str| story.near.of(&name.parse().expect("a target")).map(|beside| beside.of);
    assert_eq!((of("discord:guild:7"), of("discord:channel:7"), of(SHARD)), (Some(0), None, None));
    story.loaded(&["discord:guild:7", "discord:guild:8"]);
    tokio::time::timeout(SOON, story.settle(7..9)).await.expect("soon").expect("no panic");
    assert_eq!(of("discord:guild:7"), Some(2));
}
