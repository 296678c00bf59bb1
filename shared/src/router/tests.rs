use super::*;
use crate::event::EventKind;
use crate::router::forward::Links;
use crate::router::testing::*;
use crate::telemetry::Metrics;
use crate::telemetry::trace::Tracer;
use crate::wire::control::Watch;
use crate::wire::link::Frame;
use crate::{Epoch, Revision};

/// A router between a config-service and two pods.
struct Story {
    config: FakeConfig,
    pods: [FakePod; 2],
    router: Router<Links>,
}

const GUILD: &str = "slack:guild:T1";

async fn story(known: &[(&str, &str)]) -> Story {
    story_with(known, 10, 1 << 20).await
}

async fn story_with(known: &[(&str, &str)], park: usize, park_bytes: usize) -> Story {
    let (config, pods) = (FakeConfig::start().await, [FakePod::bind().await, FakePod::bind().await]);
    let (routes, (links, _)) = (Routes::new(), links(Duration::from_secs(3)));
    let infos: Vec<_> =
        pods.iter().enumerate().map(|(i, fake)| pod_info(&format!("gateway-{i}"), &fake.address, 1)).collect();
    let assignments = known.iter().map(|(name, owner)| assignment(name, owner, 3, 5)).collect();
    let snapshot =
        Watch::Snapshot { revision: Revision(5), first: true, more: false, pods: infos, assignments, moves: vec![] };
    routes.apply(snapshot, Instant::now());
    links.follow(&routes.pods());
    let (placer, task) = Placer::new(config.client(), routes.clone(), 100);
    crate::shutdown::spawn(task.run(crate::shutdown::Shutdown::new()));
    let meters = RouteMeters::register(&Metrics::new());
    let parking = Parking::new(park, park_bytes, meters.parked.clone());
    let park_telegram = Duration::from_millis(300);
    Story {
        config,
        pods,
        router: Router { routes, placer, upstream: links, parking, meters, park_telegram, tracer: Tracer::off() },
    }
}

fn slack_command() -> Event {
    event(EventKind::SlackCommand, GUILD, "1.2.x")
}

fn slack_event() -> Event {
    event(EventKind::SlackEvent, GUILD, "Ev1")
}

fn telegram() -> Event {
    event(EventKind::TelegramUpdate, "telegram:channel:5", "7")
}

fn event(kind: EventKind, name: &str, id: &str) -> Event {
    let target = target(name);
    let platform = target.platform();
    let (source, body) = (platform.as_str().to_owned(), bytes::Bytes::from_static(b"{}"));
    Event { target, parent: None, platform, kind, source, id: id.to_owned(), received_at: 0, headers: vec![], body }
}

async fn route(story: &Router<Links>, event: Event) -> Routed {
    tokio::time::timeout(SOON, story.route(event, Instant::now())).await.expect("soon")
}

#[tokio::test]
async fn an_event_reaches_its_owner_and_the_answer_comes_back_unchanged() {
    let Story { config: _config, pods, router } = story(&[(GUILD, "gateway-1")]).await;
    let (routed, ()) = tokio::join!(route(&router, slack_command()), async {
        let mut end = pods[1].accept(WIDE).await;
        let (stream, request) = end.request().await;
        assert_eq!((request.epoch, request.revision), (Epoch(3), Revision(5)));
        assert_eq!((request.event.target.as_str(), request.event.id.as_str()), (GUILD, "1.2.x"));
        assert_eq!(request.event.kind, EventKind::SlackCommand);
        assert!((1..=2_500).contains(&request.deadline_ms), "{} ms", request.deadline_ms);
        end.reply(stream, committed("hello")).await;
    });
    let Outcome::Committed { answer, .. } = committed("hello") else { unreachable!("is committed") };
    assert_eq!(routed, Routed { answer, verdict: "committed" });
}

#[tokio::test]
async fn a_first_contact_is_placed_and_carries_the_revision_of_its_placement() {
    let Story { mut config, pods, router } = story(&[]).await;
    let (routed, ()) = tokio::join!(route(&router, slack_event()), async {
        let call = config.place().await;
        assert_eq!(call.place.targets[0].target.as_str(), GUILD);
        call.answer(9, vec![assignment(GUILD, "gateway-0", 8, 9)]);
        let mut end = pods[0].accept(WIDE).await;
        let (stream, request) = end.request().await;
        assert_eq!((request.epoch, request.revision), (Epoch(8), Revision(9)));
        end.reply(stream, committed("")).await;
    });
    assert_eq!(routed.verdict, "committed");
}

#[tokio::test]
async fn not_owner_leads_to_the_new_owner_after_one_refresh() {
    let Story { mut config, pods, router } = story(&[(GUILD, "gateway-0")]).await;
    let (routed, ()) = tokio::join!(route(&router, slack_event()), async {
        let mut end = pods[0].accept(WIDE).await;
        let (stream, _) = end.request().await;
        end.reply(stream, Outcome::NotOwner { owner: None, epoch: Epoch(4) }).await;
        config.place().await.answer(6, vec![assignment(GUILD, "gateway-1", 4, 6)]);
        let mut end = pods[1].accept(WIDE).await;
        let (stream, request) = end.request().await;
        assert_eq!(request.epoch, Epoch(4));
        end.reply(stream, committed("")).await;
    });
    assert_eq!(routed.verdict, "committed");
}

#[tokio::test]
async fn a_request_whose_link_died_is_sent_again_under_its_id() {
    let Story { config: _config, pods, router } = story(&[(GUILD, "gateway-0")]).await;
    let (routed, ()) = tokio::join!(route(&router, slack_event()), async {
        let mut end = pods[0].accept(WIDE).await;
        let (_, first) = end.request().await;
        drop(end);
        let mut end = pods[0].accept(WIDE).await;
        let (stream, again) = end.request().await;
        assert_eq!(first.event, again.event);
        assert!(again.deadline_ms <= first.deadline_ms);
        end.reply(stream, committed("")).await;
    });
    assert_eq!(routed.verdict, "committed");
}

#[tokio::test]
async fn a_parked_event_goes_on_as_soon_as_the_table_names_another_owner() {
    let Story { config: _config, pods, router } = story(&[(GUILD, "gateway-0")]).await;
    let meters = router.meters.clone();
    let (routed, ()) = tokio::join!(route(&router, slack_event()), async {
        // gateway-0 never answers its door: the event parks.
        while meters.parked.get() != 1 {
            tokio::task::yield_now().await;
        }
        let assignments = vec![assignment(GUILD, "gateway-1", 4, 6)];
        let delta = Watch::Delta { revision: Revision(6), pods: vec![], assignments, moves: vec![] };
        router.routes.apply(delta, Instant::now());
        let mut end = pods[1].accept(WIDE).await;
        let (stream, request) = end.request().await;
        assert_eq!((request.epoch, request.revision), (Epoch(4), Revision(6)));
        assert_eq!(meters.parked.get(), 0);
        end.reply(stream, committed("")).await;
    });
    assert_eq!(routed.verdict, "committed");
}

#[tokio::test]
async fn an_owner_without_its_lease_is_asked_again() {
    let Story { config: _config, pods, router } = story(&[(GUILD, "gateway-0")]).await;
    let (routed, ()) = tokio::join!(route(&router, slack_event()), async {
        let mut end = pods[0].accept(WIDE).await;
        for outcome in [
            Outcome::NotServing { detail: "lease over".to_owned() },
            Outcome::Busy { retry_after_ms: 5 },
            Outcome::NotCommitted { detail: "disk full".to_owned() },
            committed(""),
        ] {
            let (stream, _) = end.request().await;
            end.reply(stream, outcome).await;
        }
    });
    assert_eq!(routed.verdict, "committed");
}

#[tokio::test]
async fn an_update_that_nobody_takes_is_left_to_telegrams_retry() {
    let Story { config: _config, pods: _pods, router } = story(&[("telegram:channel:5", "gateway-0")]).await;
    let routed = route(&router, telegram()).await;
    assert_eq!((routed.answer.status, routed.verdict), (503, "expired"));
    assert_eq!(routed.answer.headers, [("retry-after".to_owned(), "1".to_owned())]);
    assert_eq!(router.meters.parked.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_nobody_takes_is_refused_with_a_sentence_in_time() {
    let Story { config: _config, pods: _pods, router } = story(&[]).await;
    let arrived = Instant::now();
    let routed = tokio::time::timeout(SOON, router.route(slack_command(), arrived)).await.expect("soon");
    let took = arrived.elapsed();
    assert!((Duration::from_millis(2_450)..Duration::from_millis(2_600)).contains(&took), "{took:?}");
    assert_eq!(routed.answer.status, 200);
    assert!(String::from_utf8_lossy(&routed.answer.body).contains(platform::REFUSAL_TEXT));
}

#[tokio::test]
async fn who_may_have_been_heard_is_not_told_that_nothing_was_changed() {
    let Story { config: _config, pods, router } = story(&[(GUILD, "gateway-0")]).await;
    let (routed, ()) = tokio::join!(route(&router, slack_command()), async {
        let mut end = pods[0].accept(WIDE).await;
        let (stream, _) = end.request().await;
        assert_eq!(end.next().await, Some(Frame::Cancel { stream }));
    });
    assert_eq!(routed.verdict, "expired");
    assert!(String::from_utf8_lossy(&routed.answer.body).contains(platform::UNSURE_TEXT));
}

#[tokio::test(start_paused = true)]
async fn over_the_parking_bounds_an_event_is_refused_at_once() {
    for (park, bytes) in [(0, 1 << 20), (10, 1)] {
        let Story { config: _config, pods: _pods, router } = story_with(&[(GUILD, "gateway-0")], park, bytes).await;
        let arrived = Instant::now();
        let routed = router.route(slack_event(), arrived).await;
        assert_eq!((routed.answer.status, routed.verdict), (503, "no_room"));
        assert!(arrived.elapsed() < Duration::from_millis(100));
    }
}

#[tokio::test]
async fn a_full_window_parks_and_goes_on_in_turn() {
    let Story { config: _config, pods, router } = story(&[(GUILD, "gateway-0")]).await;
    let one = crate::wire::link::Window { requests: 1, bytes: 1 << 20 };
    let mut end = pods[0].accept(one).await;
    router.upstream.ready(&pod("gateway-0")).await;
    let (first, second, ()) = tokio::join!(route(&router, slack_event()), route(&router, slack_event()), async {
        let (stream, _) = end.request().await;
        while router.meters.parked.get() != 1 {
            tokio::task::yield_now().await;
        }
        end.reply(stream, committed("")).await;
        let (stream, _) = end.request().await;
        assert_eq!(router.meters.parked.get(), 0);
        end.reply(stream, committed("")).await;
    });
    assert_eq!((first.verdict, second.verdict), ("committed", "committed"));
}

#[tokio::test]
async fn a_pods_hint_is_followed_once_without_asking_config_service() {
    let Story { config: _config, pods, router } = story(&[(GUILD, "gateway-0")]).await;
    let not_owner = |owner: &str, epoch: u64| Outcome::NotOwner { owner: Some(pod(owner)), epoch: Epoch(epoch) };
    let (routed, ()) = tokio::join!(route(&router, slack_command()), async {
        let mut old = pods[0].accept(WIDE).await;
        let (stream, request) = old.request().await;
        assert_eq!(request.epoch, Epoch(3));
        old.reply(stream, not_owner("gateway-1", 4)).await;
        let mut new = pods[1].accept(WIDE).await;
        let (stream, request) = new.request().await;
        assert_eq!(request.epoch, Epoch(4), "it carries the epoch of the hint");
        new.reply(stream, committed("hello")).await;
    });
    assert_eq!(routed.verdict, "committed");
    let Whereabouts::At(found) = router.routes.locate(&target(GUILD), None) else { panic!("known") };
    assert_eq!((found.pod, found.epoch), (pod("gateway-1"), Epoch(4)), "the next one goes there at once");
}

#[tokio::test]
async fn a_hint_that_is_not_newer_or_names_nobody_known_is_not_followed() {
    let Story { config: _config, router, .. } = story(&[(GUILD, "gateway-0")]).await;
    let routes = &router.routes;
    assert_eq!(routes.hinted(&target(GUILD), Epoch(3), &pod("gateway-1"), Epoch(3)), None);
    assert_eq!(routes.hinted(&target(GUILD), Epoch(3), &pod("gateway-9"), Epoch(9)), None);
    let Whereabouts::At(found) = routes.locate(&target(GUILD), None) else { panic!("known") };
    assert_eq!((found.pod, found.epoch), (pod("gateway-0"), Epoch(3)));
}
