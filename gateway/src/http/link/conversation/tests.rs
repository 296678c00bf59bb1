use super::*;
use proptest::prelude::*;
use shared::event::{Answer, Event, EventKind};
use shared::{Epoch, Revision};

const WINDOW: Window = Window { requests: 3, bytes: 100 };

fn talk() -> Conversation {
    let mut talk = Conversation::new(WINDOW);
    assert_eq!(talk.receive(hello(1, 1), 0), Ok(Step::Nothing));
    talk
}

fn hello(min: u16, max: u16) -> Frame {
    Frame::Hello { hello: Hello { min, max }, name: "http-0".into(), window: Window { requests: 0, bytes: 0 } }
}

fn request(stream: u32) -> Frame {
    let target: shared::TargetId = "slack:guild:T1".parse().expect("valid");
    let event = Event {
        platform: target.platform(),
        target,
        parent: None,
        kind: EventKind::SlackEvent,
        source: "slack".into(),
        id: format!("e{stream}"),
        received_at: 0,
        headers: vec![],
        body: bytes::Bytes::new(),
    };
    let request = Request { event, epoch: Epoch(1), revision: Revision(1), deadline_ms: 1_000, trace: None };
    Frame::Request { stream, request: Box::new(request) }
}

fn committed() -> Outcome {
    Outcome::Committed { answer: Answer::empty(200), duplicate: false }
}

#[test]
fn a_link_begins_with_a_hello_of_a_known_version() {
    let mut talk = Conversation::new(WINDOW);
    assert_eq!(talk.receive(request(1), 1), Err(Cut::NoHello));
    assert_eq!(Conversation::new(WINDOW).receive(hello(2, 9), 0), Err(Cut::Version(2, 9)));
    let mut newer = Conversation::new(WINDOW);
    assert_eq!(newer.receive(hello(1, 9), 0), Ok(Step::Nothing));
    assert_eq!(newer.peer(), Some("http-0"));
    assert_eq!(newer.receive(hello(1, 1), 0), Err(Cut::OutOfPlace("hello")));
}

#[test]
fn a_reply_gives_its_share_back_and_one_more_than_the_window_cuts_the_link() {
    let mut talk = talk();
    for stream in 1..=3 {
        assert!(matches!(talk.receive(request(stream), 10), Ok(Step::Work(..))));
    }
    assert!(talk.answer(2, committed()).is_some());
    assert!(matches!(talk.receive(request(4), 10), Ok(Step::Work(..))));
    assert_eq!(talk.receive(request(5), 10), Err(Cut::Window));
}

#[test]
fn bytes_count_too_but_one_request_alone_always_fits() {
    let mut talk = talk();
    assert!(matches!(talk.receive(request(1), 500), Ok(Step::Work(..))));
    assert_eq!(talk.receive(request(2), 1), Err(Cut::Window));
    let mut talk = self::talk();
    assert!(matches!(talk.receive(request(1), 60), Ok(Step::Work(..))));
    assert!(matches!(talk.receive(request(2), 40), Ok(Step::Work(..))));
    assert_eq!(talk.receive(request(3), 1), Err(Cut::Window));
}

#[test]
fn a_cancelled_request_is_replied_to_once_and_gives_its_share_back() {
    let mut talk = talk();
    assert!(matches!(talk.receive(request(1), 10), Ok(Step::Work(..))));
    let late = Frame::Reply { stream: 1, outcome: Box::new(Outcome::Late) };
    assert_eq!(talk.receive(Frame::Cancel { stream: 1 }, 0), Ok(Step::Send(late)));
    assert!(talk.is_idle());
    assert_eq!(talk.answer(1, committed()), None);
    assert_eq!(talk.receive(Frame::Cancel { stream: 1 }, 0), Ok(Step::Nothing));
    assert_eq!(talk.receive(Frame::Cancel { stream: 77 }, 0), Ok(Step::Nothing));
}

#[test]
fn streams_only_grow_and_replies_come_only_from_the_gateway() {
    let mut talk = talk();
    assert!(talk.receive(request(5), 1).is_ok());
    assert_eq!(talk.receive(request(5), 1), Err(Cut::Stream(5)));
    assert_eq!(talk.receive(request(4), 1), Err(Cut::Stream(4)));
    let reply = Frame::Reply { stream: 5, outcome: Box::new(Outcome::Late) };
    assert_eq!(talk.receive(reply, 1), Err(Cut::OutOfPlace("reply")));
}

#[test]
fn a_stopping_pod_says_so_once_answers_what_runs_and_turns_the_rest_away() {
    let mut talk = talk();
    assert!(talk.receive(request(1), 1).is_ok());
    assert_eq!((talk.stop(), talk.stop()), (Some(Frame::Goaway), None));
    let turned_away = talk.receive(request(2), 1);
    let says = |step: &Step| matches!(step, Step::Send(Frame::Reply { stream: 2, outcome }) if matches!(**outcome, Outcome::NotServing { .. }));
    assert!(turned_away.as_ref().is_ok_and(says), "{turned_away:?}");
    assert!(!talk.is_idle());
    assert!(talk.answer(1, committed()).is_some() && talk.is_idle());
}

proptest! {
    /// A router that keeps to the window is never cut, and what is counted as unanswered always adds up.
    #[test]
    fn a_router_that_keeps_to_the_window_is_never_cut(moves in prop::collection::vec((0_u8..3, 1_usize..60), 1..200)) {
        let (mut talk, mut open, mut stream) = (talk(), Vec::<(u32, usize)>::new(), 0);
        for (what, size) in moves {
            let used: usize = open.iter().map(|(_, size)| size).sum();
            match what {
                0 if open.len() < 3 && used + size <= 100 => {
                    stream += 1;
                    prop_assert!(matches!(talk.receive(request(stream), size), Ok(Step::Work(..))));
                    open.push((stream, size));
                }
                1 if !open.is_empty() => {
                    let (stream, _) = open.remove(size % open.len());
                    prop_assert!(talk.answer(stream, committed()).is_some());
                }
                2 if !open.is_empty() => {
                    let (stream, _) = open.remove(size % open.len());
                    let step = talk.receive(Frame::Cancel { stream }, 0);
                    prop_assert!(matches!(step, Ok(Step::Send(_))));
                    prop_assert_eq!(talk.answer(stream, committed()), None);
                }
                _ => {}
            }
            prop_assert_eq!(talk.bytes, open.iter().map(|(_, size)| size).sum::<usize>());
            prop_assert_eq!(talk.is_idle(), open.is_empty());
        }
    }
}
