use super::*;
use futures_util::FutureExt;
use shared::{
    clock::{Clock, ManualClock},
    event::Event,
    wire::discord::{ReshardPhase, ShardPlan, ShardRole},
};
use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

/// How long a story waits for what has to come; the clock is the story's own.
const SOON: Duration = Duration::from_secs(600);

/// Everything that happens to a line, in order.
type Log = Arc<Mutex<Vec<String>>>;

/// A connection that was asked for, as Discord's side holds it.
struct Opened {
    wanted: Wanted,
    say: mpsc::UnboundedSender<Heard>,
}

impl Opened {
    fn says(&self, heard: Heard) {
        self.say.send(heard).expect("somebody listens");
    }

    fn ready(&self, id: &str) {
        self.says(Heard::Hello);
        self.says(Heard::Ready { session: session(id, 1), guilds: vec!["5".to_owned(), "6".to_owned()] });
    }

    fn message(&self, seq: u64, guild: u64) {
        let data = format!(r#"{{"id":"{seq}","guild_id":"{guild}"}}"#);
        self.says(Heard::Dispatch(Dispatch { seq, name: "MESSAGE_CREATE".to_owned(), data }));
    }

    fn ends(&self, end: End) {
        self.says(Heard::End(end));
    }

    async fn is_dropped(&self) {
        tokio::time::timeout(SOON, self.say.closed()).await.expect("dropped");
    }
}

struct Discord {
    opened: mpsc::UnboundedSender<Opened>,
    log: Log,
}

impl Connector for Discord {
    fn connect(&self, wanted: Wanted) -> Box<dyn Connection> {
        let (say, heard) = mpsc::unbounded_channel();
        self.opened.send(Opened { wanted, say }).expect("the story goes on");
        Box::new(Wire { heard, log: Arc::clone(&self.log) })
    }

    fn prepare(&self, _: Shard, _: Session) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

struct Wire {
    heard: mpsc::UnboundedReceiver<Heard>,
    log: Log,
}

impl Connection for Wire {
    fn next(&mut self) -> BoxFuture<'_, Heard> {
        async {
            match self.heard.recv().await {
                Some(heard) => heard,
                None => std::future::pending().await,
            }
        }
        .boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        async move { note(&self.log, "closed") }.boxed()
    }
}

fn note(log: &Log, what: impl Into<String>) {
    log.lock().expect("whole").push(what.into());
}

struct Pod {
    may: AtomicBool,
    kept: Mutex<Kept>,
    log: Log,
}

impl Home for Pod {
    fn may(&self) -> bool {
        self.may.load(Ordering::SeqCst)
    }

    fn load(&self) -> BoxFuture<'_, Kept> {
        async { self.kept.lock().expect("whole").clone() }.boxed()
    }

    fn keep(&self, kept: Kept) -> BoxFuture<'_, bool> {
        note(&self.log, format!("kept {}", kept.session.as_ref().map_or(0, |session| session.seq)));
        *self.kept.lock().expect("whole") = kept;
        async { true }.boxed()
    }
}

fn session(id: &str, seq: u64) -> Session {
    Session { id: id.to_owned(), seq, url: "wss://resume".to_owned() }
}

/// Notes when homes are asked for no longer.
struct Dropped(Log);

impl Drop for Dropped {
    fn drop(&mut self) {
        note(&self.0, "homes no longer");
    }
}

struct Story {
    opened: mpsc::UnboundedReceiver<Opened>,
    owners: mpsc::UnboundedReceiver<(Event, oneshot::Sender<Delivered>)>,
    orders: mpsc::UnboundedSender<Order>,
    status: watch::Receiver<ShardStatus>,
    pod: Arc<Pod>,
    log: Log,
    line: tokio::task::JoinHandle<()>,
    plan: watch::Sender<Plan>,
    brought: watch::Receiver<Option<ShardTail>>,
    clock: Arc<ManualClock>,
}

/// What is planned, for lines that begin within the hour.
fn planned(said: ShardPlan) -> Plan {
    Plan { asked: Some(Instant::now() + Duration::from_secs(3_600)), said: Arc::new(said) }
}

impl Story {
    fn begin(kept: Kept) -> Self {
        Self::begin_with(kept, 100)
    }

    fn begin_with(kept: Kept, events: usize) -> Self {
        let log = Log::default();
        let ((open, opened), (orders, told)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let (own, theirs) = mpsc::unbounded_channel();
        let shard = "1-2".parse().expect("a shard");
        let (status, shown) = watch::channel(super::super::status::begun(shard));
        let pod = Arc::new(Pod { may: AtomicBool::new(true), kept: Mutex::new(kept), log: Arc::clone(&log) });
        let deliver = move |event: Event, _| {
            let (done, delivered) = oneshot::channel();
            let _ = own.send((event, done));
            async move {
                match delivered.await {
                    Ok(delivered) => delivered,
                    // This one is never answered.
                    Err(_) => std::future::pending().await,
                }
            }
            .boxed()
        };
        let (settling, over) = (Arc::clone(&log), Arc::clone(&log));
        let settle = move |guilds: Vec<String>| {
            note(&settling, format!("homes for {}", guilds.join(" ")));
            let dropped = Dropped(Arc::clone(&over));
            async move {
                let _dropped = dropped;
                std::future::pending::<()>().await;
            }
            .boxed()
        };
        let seconds = Duration::from_secs;
        let bounds = Bounds {
            room: Room { at_once: 8, in_a_row: 1 },
            events,
            bytes: 1 << 20,
            hello: seconds(20),
            retry: seconds(60),
            pause: seconds(3_600),
            keep: Duration::from_millis(250),
        };
        // Nothing else is planned, as far as anybody says.
        let said = ShardPlan { shards: Some(2), ..ShardPlan::default() };
        let (plan, planned) = watch::channel(planned(said));
        let (tail, brought) = watch::channel(None);
        let clock = Arc::new(ManualClock::new(0));
        let line = Line::new(Parts {
            shard,
            own: "discord:shard:1-2".parse().expect("a target"),
            connector: Arc::new(Discord { opened: open, log: Arc::clone(&log) }),
            home: Arc::clone(&pod) as Arc<dyn Home>,
            deliver: Arc::new(deliver),
            settle: Arc::new(settle),
            bounds,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            meters: Meters::default(),
            orders: told,
            status,
            plan: planned,
            tail,
        });
        let line = shared::shutdown::spawn(line.run());
        Self { opened, owners: theirs, orders, status: shown, pod, log, line, plan, brought, clock }
    }

    async fn opens(&mut self) -> Opened {
        tokio::time::timeout(SOON, self.opened.recv()).await.expect("it connects").expect("it runs")
    }

    /// Waits until an event is on its way.
    async fn event(&mut self) -> (Event, oneshot::Sender<Delivered>) {
        tokio::time::timeout(SOON, self.owners.recv()).await.expect("it is delivered").expect("it runs")
    }

    async fn is_kept(&self, seq: u64) {
        let kept = async {
            while self.pod.kept.lock().expect("whole").session.as_ref().is_none_or(|session| session.seq != seq) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(SOON, kept).await.expect("it is kept");
    }

    async fn stands(&mut self, state: ShardState) -> ShardStatus {
        let stands = self.status.wait_for(|status| status.state == state);
        tokio::time::timeout(SOON, stands).await.expect("it stands so").expect("it runs").clone()
    }

    fn logged(&self) -> Vec<String> {
        self.log.lock().expect("whole").clone()
    }

    /// What became of the session, without the homes of its guilds.
    fn steps(&self) -> Vec<String> {
        self.logged().into_iter().filter(|what| !what.starts_with("homes")).collect()
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        self.line.abort();
    }
}

fn done(answer: oneshot::Sender<Delivered>) {
    answer.send(Delivered::Committed).expect("somebody waits");
}

#[tokio::test(start_paused = true)]
async fn a_session_is_kept_only_as_far_as_everything_is_committed_and_resumed_from_there() {
    let mut story = Story::begin(Kept::default());
    let discord = story.opens().await;
    assert_eq!(discord.wanted.resume, None);
    discord.ready("s");
    discord.message(2, 5);
    discord.message(3, 6);
    let ((first, first_done), (second, second_done)) = (story.event().await, story.event().await);
    assert_eq!((first.id.as_str(), second.target.as_str()), ("MESSAGE_CREATE:2", "discord:guild:6"));
    done(second_done);
    story.is_kept(1).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(story.pod.kept.lock().expect("whole").session, Some(session("s", 1)), "2 is not committed");
    done(first_done);
    story.is_kept(3).await;
    // The connection breaks: in this life the pod knows what came.
    discord.message(4, 5);
    let (_, never) = story.event().await;
    discord.ends(End::Broken("reset".to_owned()));
    assert_eq!(story.opens().await.wanted.resume, Some(session("s", 4)));
    drop(never);
    // Another life does not.
    let kept = story.pod.kept.lock().expect("whole").clone();
    let mut next = Story::begin(kept);
    assert_eq!(next.opens().await.wanted.resume, Some(session("s", 3)));
}

#[tokio::test(start_paused = true)]
async fn clocks_that_jump_take_no_event_away_and_tell_none_twice() {
    let mut story = Story::begin(Kept::default());
    let discord = story.opens().await;
    discord.ready("s");
    story.stands(ShardState::Ready).await;
    // The wall clock to and fro, and the machine's own ahead as after a pause of the whole machine.
    for (seq, wall_ms) in [(2, 2_000_000_000_000), (3, 5), (4, 1_000_000_000_000)] {
        story.clock.step_wall(wall_ms);
        story.clock.advance(Duration::from_secs(7_200));
        tokio::time::advance(Duration::from_secs(7_200)).await;
        discord.message(seq, 5);
        let (event, answer) = story.event().await;
        assert_eq!(event.id, format!("MESSAGE_CREATE:{seq}"));
        done(answer);
        story.is_kept(seq).await;
    }
    assert!(story.opened.try_recv().is_err() && story.owners.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_released_shard_commits_writes_closes_and_then_lets_go() {
    let mut story = Story::begin(Kept::default());
    let discord = story.opens().await;
    discord.ready("s");
    discord.message(2, 5);
    discord.message(3, 5);
    let (_, under_way) = story.event().await;
    let (released, let_go) = oneshot::channel();
    story.orders.send(Order::Hold(released)).expect("it runs");
    let mut let_go = Box::pin(let_go);
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut let_go).await.is_err(), "2 is under way");
    done(under_way);
    tokio::time::timeout(SOON, let_go).await.expect("in time").expect("let go");
    assert_eq!(story.steps(), ["kept 1", "kept 2", "closed"], "3 was not begun any more");
    assert_eq!(story.stands(ShardState::Held).await.seq, Some(2));
    // It has not moved after all: whoever looks after shards begins it anew.
    story.orders.send(Order::GoOn).expect("it runs");
    tokio::time::timeout(SOON, &mut story.line).await.expect("it ends").expect("without a panic");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_takes_does_not_keep_a_shard_from_being_released() {
    let mut story = Story::begin(Kept::default());
    let discord = story.opens().await;
    discord.ready("s");
    discord.message(2, 5);
    let (_, never) = story.event().await;
    let (released, let_go) = oneshot::channel();
    story.orders.send(Order::Hold(released)).expect("it runs");
    tokio::time::timeout(SETTLE + CLOSE + Duration::from_millis(100), let_go).await.expect("in time").expect("let go");
    assert_eq!(story.pod.kept.lock().expect("whole").session, Some(session("s", 1)), "2 is told again");
    drop(never);
}

#[tokio::test(start_paused = true)]
async fn a_pod_without_its_lease_drops_the_connection_and_says_nothing() {
    let mut story = Story::begin(Kept::default());
    let discord = story.opens().await;
    discord.ready("s");
    story.stands(ShardState::Ready).await;
    story.pod.may.store(false, Ordering::SeqCst);
    discord.is_dropped().await;
    tokio::time::timeout(SOON, &mut story.line).await.expect("it ends").expect("without a panic");
    assert_eq!(story.steps(), ["kept 1"], "neither written nor closed");
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_is_not_let_in_says_what_to_do_and_pauses() {
    let mut story = Story::begin(Kept::default());
    let discord = story.opens().await;
    discord.says(Heard::Hello);
    discord.ends(End::Closed(Some(4004)));
    let status = story.stands(ShardState::Refused).await;
    assert!(status.why.expect("a reason").contains("BERTH_DISCORD_TOKEN"));
    assert_eq!(story.pod.kept.lock().expect("whole").refused.as_ref().map(|refused| refused.code), Some(4004));
    tokio::time::sleep(Duration::from_secs(3_500)).await;
    assert!(story.opened.try_recv().is_err(), "it does not try on");
    let again = story.opens().await;
    again.ready("s");
    story.is_kept(1).await;
    assert_eq!(story.pod.kept.lock().expect("whole").refused, None);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_discord_refuses_is_named_when_another_begins() {
    let mut story = Story::begin(Kept { session: Some(session("old", 7)), ..Kept::default() });
    let discord = story.opens().await;
    assert_eq!(discord.wanted.resume, Some(session("old", 7)));
    discord.says(Heard::Hello);
    discord.ends(End::Invalid { resumable: false });
    let again = story.opens().await;
    assert_eq!((again.wanted.resume.clone(), again.wanted.refused.as_deref()), (None, Some("old")));
    again.ready("new");
    again.ends(End::Closed(Some(4009)));
    assert_eq!(story.opens().await.wanted.refused.as_deref(), Some("new"));
}

#[tokio::test(start_paused = true)]
async fn an_address_at_which_nobody_greets_is_passed_over() {
    let mut story = Story::begin(Kept { session: Some(session("s", 7)), ..Kept::default() });
    let silent = story.opens().await;
    assert!(!silent.wanted.by_main_url);
    silent.is_dropped().await;
    let by_main = story.opens().await;
    assert!(by_main.wanted.by_main_url && by_main.wanted.resume == Some(session("s", 7)));
    by_main.says(Heard::Hello);
    by_main.says(Heard::Resumed { seq: 9 });
    story.is_kept(9).await;
}

#[tokio::test(start_paused = true)]
async fn a_shard_with_too_much_open_leaves_the_rest_with_discord() {
    let mut story = Story::begin_with(Kept::default(), 4);
    let discord = story.opens().await;
    discord.ready("s");
    for seq in 2..8 {
        discord.message(seq, seq);
    }
    discord.is_dropped().await;
    assert_eq!(story.logged().last().map(String::as_str), Some("closed"));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(story.opened.try_recv().is_err(), "four are open");
    for _ in 0..2 {
        let (_, under_way) = story.event().await;
        done(under_way);
    }
    assert_eq!(story.opens().await.wanted.resume, Some(session("s", 5)), "6 and 7 are told again");
}

#[tokio::test(start_paused = true)]
async fn the_guilds_that_a_session_lists_are_settled_as_long_as_the_shard_is_here() {
    let mut story = Story::begin(Kept::default());
    let discord = story.opens().await;
    discord.ready("s");
    story.is_kept(1).await;
    assert_eq!(story.logged()[0], "homes for 5 6");
    // The session goes on: its guilds are settled still.
    discord.ends(End::Broken("reset".to_owned()));
    let again = story.opens().await;
    again.says(Heard::Hello);
    again.says(Heard::Resumed { seq: 2 });
    story.is_kept(2).await;
    assert_eq!(story.logged().iter().filter(|what| what.starts_with("homes")).count(), 1, "{:?}", story.logged());
    let (released, let_go) = oneshot::channel();
    story.orders.send(Order::Hold(released)).expect("it runs");
    tokio::time::timeout(SOON, let_go).await.expect("in time").expect("let go");
    let over = async {
        while !story.logged().contains(&"homes no longer".to_owned()) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, over).await.expect("another pod's matter now");
}

/// Four shards are to replace the two.
fn four(phase: ReshardPhase, tails: Option<Vec<ShardTail>>) -> Plan {
    planned(ShardPlan { shards: Some(2), coming: Some(4), phase, tails })
}

/// Two shards are to replace some others; the line of these stories is one of them.
fn two(phase: ReshardPhase, tails: Option<Vec<ShardTail>>) -> Plan {
    planned(ShardPlan { shards: Some(1), coming: Some(2), phase, tails })
}

async fn is_as(story: &mut Story, role: ShardRole) -> ShardStatus {
    let so = story.status.wait_for(|status| status.role == role);
    tokio::time::timeout(SOON, so).await.expect("it is that").expect("it runs").clone()
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_is_replaced_commits_what_came_says_what_that_was_and_is_closed() {
    let mut story = Story::begin(Kept::default());
    let discord = story.opens().await;
    discord.ready("s");
    story.stands(ShardState::Ready).await;
    story.plan.send_replace(four(ReshardPhase::Beside, None));
    story.status.wait_for(|status| status.covered).await.expect("it remembers in time");
    discord.message(2, 5);
    discord.message(3, 5);
    let (_, first) = story.event().await;
    story.plan.send_replace(four(ReshardPhase::Closing, None));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(*story.brought.borrow(), None, "2 and 3 are not committed");
    done(first);
    let (second, then) = story.event().await;
    assert_eq!(second.id, "MESSAGE_CREATE:3");
    done(then);
    discord.is_dropped().await;
    is_as(&mut story, ShardRole::Closed).await;
    let tail = story.brought.borrow().clone().expect("it says what it brought");
    assert_eq!(tail.events["discord:guild:5"].len(), 2);
    // Another life of it says the same, and does not connect.
    let kept = story.pod.kept.lock().expect("whole").clone();
    let mut again = Story::begin(kept);
    again.plan.send_replace(four(ReshardPhase::Closing, None));
    again.brought.wait_for(Option::is_some).await.expect("it runs");
    assert!(again.opened.try_recv().is_err());
    // Once the bot has the others, nothing is left of it.
    again.plan.send_replace(planned(ShardPlan { shards: Some(4), ..ShardPlan::default() }));
    is_as(&mut again, ShardRole::Unused).await;
    assert_eq!(*again.pod.kept.lock().expect("whole"), Kept::default());
    assert_eq!(*again.brought.borrow(), None);
}

#[tokio::test(start_paused = true)]
async fn a_shard_beside_others_delivers_nothing_until_they_are_closed_and_then_what_they_have_not() {
    let mut story = Story::begin(Kept { beside: true, ..Kept::default() });
    story.plan.send_replace(two(ReshardPhase::Beside, None));
    let discord = story.opens().await;
    discord.ready("s");
    story.stands(ShardState::Ready).await;
    discord.message(2, 5);
    tokio::time::sleep(Duration::from_secs(8)).await;
    story.is_kept(2).await;
    // From here on nothing is forgotten.
    story.plan.send_replace(two(ReshardPhase::Holding, None));
    is_as(&mut story, ShardRole::Holding).await;
    for (seq, guild) in [(3, 5), (4, 6), (5, 5)] {
        discord.message(seq, guild);
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(story.owners.try_recv().is_err(), "it is not its turn");
    assert_eq!(story.pod.kept.lock().expect("whole").session, Some(session("s", 2)), "an heir is told them again");
    // The old one brought 2 and 3, and nothing of guild 6.
    let own: TargetId = "discord:shard:0-1".parse().expect("a target");
    let mut brought = Tail::default();
    brought.begin(Instant::now());
    for seq in [2, 3] {
        let data = format!(r#"{{"id":"{seq}","guild_id":"5"}}"#);
        let dispatch = Dispatch { seq: seq + 90, name: "MESSAGE_CREATE".to_owned(), data };
        let event = event(&own, "old", &dispatch, 0).expect("an event");
        brought.push(Instant::now(), mark(&own, &event, &dispatch), true);
    }
    let tails = vec![brought.told("0-1".parse().expect("a shard"))];
    story.plan.send_replace(two(ReshardPhase::Closing, Some(tails)));
    let ((first, first_done), (second, second_done)) = (story.event().await, story.event().await);
    assert_eq!((first.id.as_str(), second.id.as_str()), ("MESSAGE_CREATE:4", "MESSAGE_CREATE:5"));
    done(second_done);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(story.pod.kept.lock().expect("whole").beside, "4 is not committed");
    done(first_done);
    is_as(&mut story, ShardRole::Live).await;
    let kept = story.pod.kept.lock().expect("whole").clone();
    assert_eq!((kept.beside, kept.session), (false, Some(session("s", 5))));
    discord.message(6, 5);
    assert_eq!(story.event().await.0.id, "MESSAGE_CREATE:6");
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_the_bot_has_not_does_not_connect() {
    let mut story = Story::begin(Kept::default());
    story.plan.send_replace(four(ReshardPhase::Beside, None));
    let discord = story.opens().await;
    discord.ready("s");
    story.stands(ShardState::Ready).await;
    // Four of them are there all of a sudden.
    story.plan.send_replace(planned(ShardPlan { shards: Some(4), ..ShardPlan::default() }));
    discord.is_dropped().await;
    is_as(&mut story, ShardRole::Unused).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(story.opened.try_recv().is_err());
    story.plan.send_replace(planned(ShardPlan { shards: Some(2), ..ShardPlan::default() }));
    let kept = tokio::time::timeout(SOON, &mut story.line).await;
    kept.expect("whoever looks after shards begins it anew").expect("without a panic");
}
