use super::*;
use crate::Problem;
use crate::router::routes::Whereabouts;
use crate::router::testing::*;
use crate::wire::control::Unplaced;

fn placer(config: &FakeConfig) -> (Placer, Routes) {
    let routes = Routes::new();
    let (placer, task) = Placer::new(config.client(), routes.clone(), 100);
    crate::shutdown::spawn(task.run(Shutdown::new()));
    (placer, routes)
}

#[tokio::test]
async fn a_first_contact_is_in_the_table_before_anyone_hears_of_it() {
    let mut config = FakeConfig::start().await;
    let (placer, routes) = placer(&config);
    let a = target("slack:guild:A");
    let (placed, ()) = tokio::join!(placer.place(&a, None, None), async {
        config.place().await.answer(41, vec![assignment("slack:guild:A", "gateway-1", 7, 40)]);
    });
    assert_eq!(placed, Ok(()));
    let Whereabouts::At(found) = routes.locate(&a, None) else { panic!("is known") };
    assert_eq!((found.pod, found.epoch.0, found.revision.0), (pod("gateway-1"), 7, 41));
}

#[tokio::test]
async fn what_is_asked_while_a_call_is_under_way_travels_together_and_once() {
    let mut config = FakeConfig::start().await;
    let (placer, _routes) = placer(&config);
    let names: Vec<_> = (0..20).map(|i| target(&format!("slack:guild:T{}", i % 4))).collect();
    let first_target = target("slack:guild:FIRST");
    let answer = |call: PlaceCall| {
        let names: Vec<_> = call.place.targets.iter().map(|place| place.target.to_string()).collect();
        call.answer(1, names.iter().map(|name| assignment(name, "gateway-0", 1, 1)).collect());
        names
    };
    let first = placer.place(&first_target, None, None);
    let rest = async {
        let mut asks: Vec<_> = names.iter().map(|name| Box::pin(placer.place(name, None, None))).collect();
        std::future::poll_fn(|cx| {
            asks.retain_mut(|ask| match ask.as_mut().poll(cx) {
                std::task::Poll::Ready(placed) => {
                    assert_eq!(placed, Ok(()));
                    false
                }
                std::task::Poll::Pending => true,
            });
            if asks.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    };
    let (one, (), ()) = tokio::join!(first, rest, async {
        let call = config.place().await;
        let one = answer(call);
        assert!(one.contains(&"slack:guild:FIRST".to_owned()));
        if one.len() == 1 {
            let all = answer(config.place().await);
            assert_eq!(all, ["slack:guild:T0", "slack:guild:T1", "slack:guild:T2", "slack:guild:T3"]);
        } else {
            assert_eq!(one.len(), 5, "all of them in the first call");
        }
    });
    assert_eq!(one, Ok(()));
}

#[tokio::test]
async fn a_refusal_names_its_code_and_does_not_touch_the_others() {
    let mut config = FakeConfig::start().await;
    let (placer, _routes) = placer(&config);
    let (a, b) = (target("slack:guild:A"), target("slack:guild:B"));
    let serve = async {
        let mut seen = 0;
        while seen < 2 {
            let call = config.place().await;
            seen += call.place.targets.len();
            let wants = |name: &str| call.place.targets.iter().any(|place| place.target.as_str() == name);
            let refused = wants("slack:guild:B").then(|| Unplaced {
                target: b.clone(),
                code: "no-ready-pod".to_owned(),
                detail: String::new(),
            });
            let assignments =
                wants("slack:guild:A").then(|| assignment("slack:guild:A", "gateway-0", 1, 1)).into_iter().collect();
            let refused = refused.into_iter().collect();
            call.settle(Ok(Placed { revision: crate::Revision(1), assignments, refused }));
        }
    };
    let (first, second, ()) = tokio::join!(placer.place(&a, None, None), placer.place(&b, None, None), serve);
    assert_eq!(first, Ok(()));
    assert_eq!(second, Err(PlaceFailed::Refused { code: "no-ready-pod".to_owned() }));
}

#[tokio::test]
async fn an_error_of_config_service_is_told_and_the_next_ask_is_a_new_one() {
    let mut config = FakeConfig::start().await;
    let (placer, _routes) = placer(&config);
    let a = target("slack:guild:A");
    let (failed, ()) = tokio::join!(placer.place(&a, None, None), async {
        config.place().await.settle(Err(Problem::unavailable("not-leader", "")));
    });
    assert_eq!(failed, Err(PlaceFailed::Unreachable));
    let (placed, ()) = tokio::join!(placer.place(&a, None, None), async {
        config.place().await.answer(1, vec![assignment("slack:guild:A", "gateway-0", 1, 1)]);
    });
    assert_eq!(placed, Ok(()));
}

#[tokio::test]
async fn no_more_may_wait_than_the_bound() {
    let config = FakeConfig::start().await;
    let (placer, _task) = Placer::new(config.client(), Routes::new(), 1);
    let a = target("slack:guild:A");
    let mut first = Box::pin(placer.place(&a, None, None));
    tokio::select! {
        biased;
        _ = &mut first => panic!("nobody answers"),
        full = placer.place(&a, None, None) => assert_eq!(full, Err(PlaceFailed::Full)),
    }
}

#[tokio::test]
async fn calls_are_no_larger_and_no_more_often_than_the_pace() {
    let mut config = FakeConfig::start().await;
    let (placer, task) = Placer::new(config.client(), Routes::new(), 100);
    let (every, begun) = (Duration::from_millis(150), Instant::now());
    let calls = Counter::default();
    crate::shutdown::spawn(task.counted(calls.clone()).paced(4, every).run(Shutdown::new()));
    let mut asks = tokio::task::JoinSet::new();
    for n in 0..10 {
        let placer = placer.clone();
        asks.spawn(async move { placer.place(&target(&format!("slack:guild:T{n}")), None, None).await });
    }
    let mut sizes = Vec::new();
    while sizes.iter().sum::<usize>() < 10 {
        let call = config.place().await;
        let names: Vec<_> = call.place.targets.iter().map(|place| place.target.to_string()).collect();
        sizes.push(names.len());
        call.answer(1, names.iter().map(|name| assignment(name, "gateway-0", 1, 1)).collect());
    }
    assert!(sizes.len() >= 3 && sizes.iter().all(|size| *size <= 4), "{sizes:?}");
    assert_eq!(calls.get(), sizes.len() as u64);
    assert!(begun.elapsed() >= every * 2, "three calls began in {:?}", begun.elapsed());
    assert!(asks.join_all().await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn what_was_learned_meanwhile_is_not_asked_for_and_what_is_doubted_is() {
    let mut config = FakeConfig::start().await;
    let (placer, routes) = placer(&config);
    let (a, b) = (target("slack:guild:A"), target("slack:guild:B"));
    let beside = crate::wire::control::Beside { target: target("discord:shard:0-2"), of: 3 };
    // While A is under way, B is asked for twice; the answer has both.
    let first = placer.place(&a, None, Some(beside.clone()));
    let serve = async {
        let call = config.place().await;
        assert_eq!(call.place.targets[0].beside, Some(beside.clone()));
        let later = placer.place(&b, None, None);
        tokio::pin!(later);
        tokio::select! {
            biased;
            _ = &mut later => panic!("nobody has answered"),
            () = std::future::ready(()) => {}
        }
        call.answer(
            1,
            vec![assignment("slack:guild:A", "gateway-0", 1, 1), assignment("slack:guild:B", "gateway-1", 1, 1)],
        );
        later.await
    };
    let (first, later) = tokio::join!(first, serve);
    assert_eq!((first, later), (Ok(()), Ok(())), "nobody was asked about B");
    // Who doubts what the table says has to be answered by config-service.
    let (doubted, ()) = tokio::join!(placer.place(&b, None, None), async {
        let call = config.place().await;
        call.answer(2, vec![assignment("slack:guild:B", "gateway-0", 2, 2)]);
    });
    assert_eq!(doubted, Ok(()));
    let Whereabouts::At(found) = routes.locate(&b, None) else { panic!("is known") };
    assert_eq!((found.pod, found.epoch.0), (pod("gateway-0"), 2));
}
