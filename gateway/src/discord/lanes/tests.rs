use super::*;
use bytes::Bytes;
use futures_util::FutureExt;
use shared::{Platform, event::EventKind};
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;

fn event(target: &str, id: &str) -> Event {
    Event {
        target: target.parse().expect("a target"),
        parent: None,
        platform: Platform::Discord,
        kind: EventKind::DiscordDispatch,
        source: "discord-gateway".to_owned(),
        id: id.to_owned(),
        received_at: 0,
        headers: vec![],
        body: Bytes::from_static(b"{}"),
    }
}

type Open = Arc<Mutex<Vec<(String, oneshot::Sender<Delivered>)>>>;

/// Owners that answer when they are told to.
fn owners() -> (Open, Box<Deliver>) {
    let open = Open::default();
    let theirs = Arc::clone(&open);
    let deliver = Box::new(move |event: Event, _| {
        let (done, answer) = oneshot::channel();
        theirs.lock().expect("whole").push((event.id, done));
        async move { answer.await.expect("answered") }.boxed()
    });
    (open, deliver)
}

fn began(open: &Open) -> Vec<String> {
    open.lock().expect("whole").iter().map(|(id, _)| id.clone()).collect()
}

fn answer(open: &Open, id: &str) {
    let mut open = open.lock().expect("whole");
    let at = open.iter().position(|(began, _)| began == id).expect("it has begun");
    open.remove(at).1.send(Delivered::Committed).expect("somebody waits");
}

#[tokio::test]
async fn a_target_has_one_event_under_way_and_the_next_follows_it() {
    let (open, deliver) = owners();
    let mut lanes = Lanes::new(Room { at_once: 8, in_a_row: 1 });
    for (seq, (target, id)) in
        [("discord:guild:1", "a1"), ("discord:guild:1", "a2"), ("discord:guild:2", "b1")].into_iter().enumerate()
    {
        lanes.push(Place { session: 1, seq: seq as u64 }, event(target, id), &*deliver);
    }
    assert_eq!((began(&open), lanes.len()), (vec!["a1".to_owned(), "b1".to_owned()], 3));
    assert_eq!(lanes.next(&*deliver).now_or_never(), None, "nobody has answered");
    answer(&open, "a1");
    assert_eq!(lanes.next(&*deliver).await, (Place { session: 1, seq: 0 }, Delivered::Committed));
    assert_eq!((began(&open), lanes.len()), (vec!["b1".to_owned(), "a2".to_owned()], 2));
}

#[tokio::test]
async fn no_more_are_under_way_than_may_be_and_those_that_wait_can_be_forgotten() {
    let (open, deliver) = owners();
    let mut lanes = Lanes::new(Room { at_once: 2, in_a_row: 1 });
    for n in 0..5_u64 {
        lanes.push(Place { session: 1, seq: n }, event(&format!("discord:guild:{n}"), &n.to_string()), &*deliver);
    }
    assert_eq!((began(&open).len(), lanes.len()), (2, 5));
    assert!(lanes.bytes() > 0);
    answer(&open, "1");
    assert_eq!(lanes.next(&*deliver).await.0.seq, 1);
    assert_eq!(began(&open), ["0", "2"]);
    lanes.forget_waiting();
    assert_eq!((lanes.len(), lanes.bytes()), (2, 0));
    answer(&open, "0");
    answer(&open, "2");
    lanes.next(&*deliver).await;
    lanes.next(&*deliver).await;
    assert_eq!((lanes.len(), began(&open).len()), (0, 0));
}

#[tokio::test]
async fn several_of_a_target_are_under_way_each_behind_the_one_before() {
    type Marked = Arc<Mutex<Vec<(Event, Behind)>>>;
    let (open, owners) = owners();
    let marked = Marked::default();
    let theirs = Arc::clone(&marked);
    let deliver: Box<Deliver> = Box::new(move |event, behind| {
        theirs.lock().expect("whole").push((event.clone(), behind.clone()));
        owners(event, behind)
    });
    let behind = |at: usize| {
        let (mut event, behind) = marked.lock().expect("whole")[at].clone();
        behind.mark(&mut event);
        event.take_behind()
    };
    let key = |id| Some(event("discord:guild:1", id).key());
    let mut lanes = Lanes::new(Room { at_once: 8, in_a_row: 2 });
    for (seq, id) in ["a1", "a2", "a3", "a4"].into_iter().enumerate() {
        lanes.push(Place { session: 1, seq: seq as u64 }, event("discord:guild:1", id), &*deliver);
    }
    lanes.push(Place { session: 1, seq: 4 }, event("discord:guild:2", "b1"), &*deliver);
    assert_eq!(began(&open), ["a1", "a2", "b1"], "no more than two of a guild");
    assert_eq!((behind(0), behind(1), behind(2)), (None, key("a1"), None));
    answer(&open, "a2");
    lanes.next(&*deliver).await;
    assert_eq!(began(&open), ["a1", "b1", "a3"]);
    assert_eq!(behind(3), None, "what it came behind is done with");
    answer(&open, "a1");
    lanes.next(&*deliver).await;
    assert_eq!(
        (behind(1), behind(4)),
        (None, key("a3")),
        "an event that is sent again waits for nobody who is done with"
    );
    for id in ["a3", "a4", "b1"] {
        answer(&open, id);
        lanes.next(&*deliver).await;
    }
    assert_eq!((lanes.len(), lanes.lanes.len(), lanes.turns.len()), (0, 0, 0));
}
