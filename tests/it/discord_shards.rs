//! Shards of a bot on Discord as targets: their connections are held by real pods, against a Discord that remembers everything.
//! What is said reaches the owner of its guild once and in order, whoever holds the shard, moves it, or dies with it.

mod numbers;

use berth_tests::{
    Cluster, Role, Setup,
    cluster::SERVICE_TOKEN,
    copied::{Copied, PATIENCE},
    eventually, litestream, pod_data,
    role::Program,
};
use discord_double::{Answer, DiscordDouble, Rate, Settings, User};
use serde_json::json;
use shared::wire::{
    discord::{ShardState, ShardStatus, Shards},
    handoff::{Move, MoveState},
};
use std::{collections::BTreeMap, path::Path, time::Duration};

/// The machine may be busy with much else: nothing here is about how long something takes.
pub(crate) const MOST: Duration = Duration::from_secs(180);

/// The target of a shard.
pub(crate) fn shard(id: u32) -> String {
    format!("discord:shard:{id}-2")
}

/// A Discord with guilds for each of two shards, and what was said in them.
pub(crate) struct Guilds {
    pub(crate) discord: DiscordDouble,
    channels: BTreeMap<u64, u64>,
    said: BTreeMap<u64, Vec<String>>,
}

impl Guilds {
    /// Makes three for each.
    pub(crate) async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    /// The same, where Discord's bounds are these.
    pub(crate) async fn with(settings: Settings) -> Self {
        let mut guilds = Self::start(settings).await;
        let ids = (2..8_u64).map(|n| n << 22);
        guilds.channels = ids.map(|guild| (guild, guilds.discord.add_guild(guild, "a guild"))).collect();
        guilds
    }

    /// Makes none.
    pub(crate) async fn empty() -> Self {
        Self::start(Settings { guilds_per_shard: 20_000, ..Settings::default() }).await
    }

    async fn start(settings: Settings) -> Self {
        // Shards may come as fast as the machine lets them.
        let (pace, starts) = (Duration::ZERO, Rate::of(100, Duration::from_secs(3_600)));
        let settings = Settings { shards: 2, pace, starts, ..settings };
        let discord = DiscordDouble::start(settings).await.expect("a free port");
        Self { discord, channels: BTreeMap::new(), said: BTreeMap::new() }
    }

    /// The settings of a cluster whose bot is this Discord's.
    pub(crate) fn setup(&self) -> Setup {
        Setup { routers: 0, bot: Program::StoryBot, ..Setup::default() }
            .with("BERTH_DISCORD_TOKEN", self.discord.token())
            .with("BERTH_DISCORD_API", &format!("{}/v10", self.discord.rest_url()))
            .with("BERTH_DISCORD_GATEWAY", &self.discord.gateway_url())
            .with("BERTH_DISCORD_REFRESH", "500ms")
            .with("BERTH_DISCORD_SHARDS", "auto")
            .with("BERTH_IDENTIFY_EVERY", "200ms")
    }

    /// Lets somebody write in every guild, so often.
    pub(crate) fn say(&mut self, times: usize) {
        let ann = User::new(77, "ann");
        for n in 0..times {
            for (guild, channel) in &self.channels {
                let message = self.discord.say(*channel, &ann, &format!("message {n}")).expect("the channel is there");
                self.said.entry(*guild).or_default().push(format!("MESSAGE_CREATE:{message}"));
            }
        }
    }

    /// Has shard 0 moved, while somebody writes.
    async fn moves(&mut self, cluster: &Cluster, to: &str) {
        moved(cluster, &shard(0), to, || self.say(40)).await;
    }

    /// Waits until every guild's owner has all that was said in it, and checks that it has it once and in order.
    pub(crate) async fn all_is_there(&self, cluster: &Cluster) {
        all_is_there(cluster, &self.said, heard).await;
    }

    /// Returns how each IDENTIFY was answered.
    pub(super) fn identifies(&self) -> Vec<Answer> {
        self.discord.identifies().into_iter().map(|identify| identify.answer).collect()
    }

    /// Returns how often a shard's session was resumed.
    pub(super) fn resumed(&self, id: u32) -> usize {
        let of_shard = |resume: &discord_double::Resume| resume.shard == Some((id, 2));
        self.discord.resumes().iter().filter(|resume| of_shard(resume) && resume.answer == Answer::Accepted).count()
    }
}

/// Waits until every guild's owner has all that was said in it, and checks that it has it once and in order. `heard` returns what is in
/// the database of a pod of a target.
pub(crate) async fn all_is_there(
    cluster: &Cluster,
    said: &BTreeMap<u64, Vec<String>>,
    heard: impl Fn(&Path, &str) -> Vec<String>,
) {
    for (guild, said) in said {
        let target = format!("discord:guild:{guild}");
        let heard = eventually(&format!("all that was said in {guild} is committed"), MOST, async || {
            let owner = cluster.targets().await.into_iter().find(|found| found.target.as_str() == target)?.pod;
            let heard = heard(&cluster.pod_folder(owner.as_str()), &target);
            said.last().is_some_and(|last| heard.contains(last)).then_some(heard)
        })
        .await;
        assert_eq!(heard, *said, "{target}");
    }
}

/// Has a target moved, unless it is there. A move may be given up on a slow machine; then it is asked for again. Once one has begun
/// `meanwhile` is done.
pub(crate) async fn moved(cluster: &Cluster, target: &str, to: &str, mut meanwhile: impl FnMut()) {
    while cluster.owner(target).await != to {
        let begun = eventually("the move begins", MOST, async || {
            let body = json!({"to": to, "reason": "a story"});
            let reply = cluster.admin_post(&format!("/v1/targets/{target}/move"), &body).await.ok()?;
            (reply.status == 202).then(|| reply.json())
        });
        let id = begun.await["id"].as_u64().expect("a number");
        meanwhile();
        eventually("the move is over", MOST, async || {
            let reply = cluster.admin(&format!("/v1/moves/{id}")).await.ok().filter(|reply| reply.status == 200)?;
            let of: Move = serde_json::from_value(reply.json()).ok()?;
            (of.state.is_over() || of.state == MoveState::Committed).then_some(())
        })
        .await;
    }
}

/// Returns the messages that a pod has taken for a target that it owns, in order.
fn heard(folder: &Path, target: &str) -> Vec<String> {
    let database = pod_data::open(folder);
    let sql = "SELECT j.event_id FROM journal j JOIN target t ON t.id = j.target_id
               WHERE t.name = ?1 AND t.state = 'owned' AND j.event_id LIKE 'MESSAGE_CREATE:%' ORDER BY j.seq";
    let mut statement = database.prepare(sql).expect("the journal's schema");
    let rows = statement.query_map([target], |row| row.get(0)).expect("the journal is readable");
    rows.map(|row| row.expect("a row of the journal")).collect()
}

/// Returns how the shards of a pod stand; none when it does not say.
pub(super) async fn shards_of(cluster: &Cluster, pod: &Role) -> Vec<ShardStatus> {
    let token = vec![("authorization".to_owned(), format!("Bearer {SERVICE_TOKEN}"))];
    let url = pod.url("/v1/local/discord/shards");
    let reply = cluster.client.call(http::Method::GET, &url, &token, bytes::Bytes::new()).await;
    reply.ok().filter(|reply| reply.status == 200).map(|reply| reply.json_as::<Shards>().shards).unwrap_or_default()
}

/// Waits until a shard stands so at a pod, and returns at which.
pub(crate) async fn stands(cluster: &Cluster, id: u32, state: ShardState) -> (String, ShardStatus) {
    eventually(&format!("shard {id} is {state:?}"), MOST, async || {
        for pod in &cluster.gateways {
            let found = shards_of(cluster, pod).await.into_iter().find(|found| found.shard == format!("{id}-2"));
            if let Some(found) = found.filter(|found| found.state == state) {
                return Some((pod.name().to_owned(), found));
            }
        }
        None
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_shards_on_three_pods_bring_every_message_to_its_guilds_owner_once_and_in_order() {
    let mut guilds = Guilds::new().await;
    let cluster = guilds.setup().start().await;
    for id in 0..2 {
        stands(&cluster, id, ShardState::Ready).await;
    }
    let identified = guilds.identifies().len();
    guilds.say(20);
    guilds.all_is_there(&cluster).await;
    // What is lost on the way comes again, and is known.
    eventually("shard 0 is cut off", MOST, async || (guilds.discord.cut(0) > 0).then_some(())).await;
    guilds.say(20);
    guilds.all_is_there(&cluster).await;
    assert!(guilds.resumed(0) >= 1);
    // Discord asks to come back, and then refuses to go on: another session begins, with a permit of its own.
    let asked = async || (guilds.discord.ask_to_reconnect(1) > 0).then_some(());
    eventually("shard 1 is asked to come back", MOST, asked).await;
    eventually("shard 1 has come back", MOST, async || (guilds.resumed(1) > 0).then_some(())).await;
    assert_eq!(guilds.identifies().len(), identified, "sessions are gone on with");
    let before = stands(&cluster, 1, ShardState::Ready).await.1.session;
    eventually("shard 1 is told to begin anew", MOST, async || (guilds.discord.invalidate(1, false) > 0).then_some(()))
        .await;
    eventually("shard 1 begins anew", MOST, async || (guilds.identifies().len() > identified).then_some(())).await;
    eventually("shard 1 listens to its new session", MOST, async || {
        let now = stands(&cluster, 1, ShardState::Ready).await.1.session;
        (now.is_some() && now != before).then_some(())
    })
    .await;
    guilds.say(5);
    guilds.all_is_there(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_that_is_moved_resumes_at_its_new_pod_and_misses_nothing() {
    let mut guilds = Guilds::new().await;
    let cluster = guilds.setup().start().await;
    let (from, _) = stands(&cluster, 0, ShardState::Ready).await;
    stands(&cluster, 1, ShardState::Ready).await;
    let identified = guilds.identifies().len();
    guilds.say(5);
    guilds.all_is_there(&cluster).await;
    let mut to = if from == "gateway-0" { "gateway-1" } else { "gateway-0" };
    guilds.moves(&cluster, to).await;
    // A destination that had too much to do opens its connection a second later than one that is prepared.
    for _ in 0..20 {
        if cluster.gateways.iter().any(|pod| pod.logged("was prepared before it came")) {
            break;
        }
        to = if to == "gateway-0" { "gateway-1" } else { "gateway-0" };
        guilds.moves(&cluster, to).await;
    }
    assert!(cluster.gateways.iter().any(|pod| pod.logged("was prepared before it came")));
    guilds.say(10);
    let (holder, _) = stands(&cluster, 0, ShardState::Ready).await;
    assert_eq!(holder, to);
    guilds.all_is_there(&cluster).await;
    assert!(guilds.resumed(0) >= 1, "{:?}", guilds.discord.resumes());
    assert_eq!(guilds.identifies().len(), identified, "nobody began anew");
    let lost: Vec<_> =
        guilds.discord.closed().into_iter().filter(|closed| matches!(closed.code, Some(1000 | 1001))).collect();
    assert!(lost.is_empty(), "{lost:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_whose_pod_is_killed_resumes_at_an_heir_with_nothing_lost_and_nothing_twice() {
    let mut guilds = Guilds::new().await;
    let setup = guilds.setup().with("BERTH_DRILL_EVERY", "0s").with("BERTH_QUARANTINE_RETENTION", "1s");
    let mut copied = Copied::start(setup).await;
    let (holder, _) = stands(&copied.cluster, 0, ShardState::Ready).await;
    let (other, _) = stands(&copied.cluster, 1, ShardState::Ready).await;
    let held: Vec<_> = if other == holder { vec![shard(0), shard(1)] } else { vec![shard(0)] };
    guilds.say(5);
    guilds.all_is_there(&copied.cluster).await;
    // Their sessions are in the replica: heirs find them there.
    let lineage = litestream::lineage(&copied.cluster.pod_folder(&holder)).expect("prepared");
    let store = format!("file://{}", copied.store().display());
    eventually("the sessions are in the replica", MOST, async || {
        let restored = litestream::restored(&store, &lineage).await;
        let database = pod_data::open(restored.path());
        let sql = "SELECT count(*) FROM kv k JOIN target t ON t.id = k.target_id
                   WHERE t.name = ?1 AND k.key = 'berth/discord-shard'";
        let found = |shard: &String| database.query_row(sql, [shard], |row| row.get::<_, i64>(0)).expect("the schema");
        held.iter().all(|shard| found(shard) == 1).then_some(())
    })
    .await;
    copied.cluster.leases_are_kept(3).await;
    let targets = copied.targets_of(&holder).await;
    let identified = guilds.identifies().len();
    guilds.say(10);
    copied.kill(&[&holder]).await;
    guilds.say(10);
    copied.served_by_others(&targets, &[&holder]).await;
    let heir = eventually("the shard is ready at an heir", PATIENCE, async || {
        let (pod, _) = stands(&copied.cluster, 0, ShardState::Ready).await;
        (pod != holder).then_some(pod)
    });
    heir.await;
    guilds.say(5);
    guilds.all_is_there(&copied.cluster).await;
    assert!(guilds.resumed(0) >= 1, "{:?}", guilds.discord.resumes());
    assert_eq!(guilds.identifies().len(), identified, "nobody began anew");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guilds_in_which_much_is_said_keep_up_while_each_event_waits_for_the_replica() {
    let mut guilds = Guilds::new().await;
    let copied = Copied::start(guilds.setup().with("BERTH_DRILL_EVERY", "0s")).await;
    for id in 0..2 {
        stands(&copied.cluster, id, ShardState::Ready).await;
    }
    // The replica gets two uploads a second: one event after the other would take longer than anybody waits here.
    guilds.say(500);
    guilds.all_is_there(&copied.cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_discord_refuses_is_said_and_not_tried_on_and_on() {
    let guilds = Guilds::new().await;
    let mut cluster = Setup { gateways: 0, ..guilds.setup() }.with("BERTH_DISCORD_SHARDS", "2").prepare();
    cluster.config.ready().await;
    let mut recipe = cluster.gateway_recipe("gateway-0");
    recipe.settings.push(("BERTH_DISCORD_TOKEN".to_owned(), "not.the.token".to_owned()));
    cluster.gateways.push(Role::start(recipe));
    cluster.all_ready().await;
    for id in 0..2 {
        let (_, status) = stands(&cluster, id, ShardState::Refused).await;
        let why = status.why.expect("a reason");
        assert!(why.contains("4004") && why.contains("BERTH_DISCORD_TOKEN"), "{why}");
    }
    let gateway = &cluster.gateways[0];
    eventually("it is in the log", MOST, async || gateway.logged("Discord does not let the shard in").then_some(()))
        .await;
    eventually("it is counted", MOST, async || {
        (gateway.metric("berth_discord_shards", &[("state", "refused")]).await == 2.0).then_some(())
    })
    .await;
    // While config-service has asked Discord twenty times more, the pod has not.
    let asked = guilds.discord.calls().len() + 20;
    eventually("time has passed", MOST, async || (guilds.discord.calls().len() >= asked).then_some(())).await;
    // A pod that was without its lease for a moment may have asked once more.
    let tried = guilds.identifies();
    assert!((2..=4).contains(&tried.len()) && tried.iter().all(|answer| *answer == Answer::Closed(4004)), "{tried:?}");
}
