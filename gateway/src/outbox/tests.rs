//! Stories of calls to the outside, against a real server on the loopback interface.

use super::*;
use crate::{
    Handler,
    handlers::{HandlerError, Reply, Target},
    testing::Bench,
};
use shared::Clock;
use shared::event::{Event, EventKind, OutboxCall};
use shared::wire::link::Outcome;
use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

const A: &str = "slack:guild:A";
const SECOND: Duration = Duration::from_secs(1);

/// Makes the calls it is told to: lines of `id method path`.
struct Caller(String);

impl Handler for Caller {
    fn handle(&self, event: &Event, target: &mut Target<'_>) -> Result<Reply, HandlerError> {
        let text = std::str::from_utf8(&event.body).expect("text");
        for line in text.lines() {
            let [id, method, path] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("three words") };
            let url = if path.starts_with('/') { format!("{}{path}", self.0) } else { path.to_owned() };
            let headers = vec![("Authorization".to_owned(), "Bot ODEzODQ3.x.y".to_owned())];
            let call = OutboxCall { id: id.into(), method: method.into(), url, headers, body: "{}".into() };
            target.outbox().call(&call)?;
        }
        Ok(Reply::none())
    }
}

/// What the server does with a request.
#[derive(Debug, Clone, Copy)]
enum Does {
    Answer(u16, &'static str),
    /// Reads the request and closes the connection.
    Cut,
    /// Reads the request and does nothing before it is told what.
    Hold,
    /// Reads the request and says nothing, until the other side goes.
    Hang,
}

/// A request.
struct Seen {
    path: String,
    key: String,
    authorization: String,
    body: String,
}

/// A server that does what it is told, one request after another, and remembers what it was asked.
struct Server {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    plan: Arc<Mutex<Vec<Does>>>,
}

impl Server {
    fn start(plan: &[Does]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let plan = Arc::new(Mutex::new(plan.iter().rev().copied().collect::<Vec<_>>()));
        let (to, next) = (Arc::clone(&seen), Arc::clone(&plan));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serve(stream, &to, &next);
            }
        });
        Self { url, seen, plan }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("sound").iter().map(|one| one.path.clone()).collect()
    }

    fn keys(&self) -> Vec<String> {
        self.seen.lock().expect("sound").iter().map(|one| one.key.clone()).collect()
    }

    fn authorizations(&self) -> Vec<String> {
        self.seen.lock().expect("sound").iter().map(|one| one.authorization.clone()).collect()
    }

    fn nonces(&self) -> Vec<serde_json::Value> {
        let nonce = |one: &Seen| {
            let body: serde_json::Value = serde_json::from_str(&one.body).expect("JSON");
            assert_eq!(body["enforce_nonce"], true);
            body["nonce"].clone()
        };
        self.seen.lock().expect("sound").iter().map(nonce).collect()
    }

    fn then(&self, does: Does) {
        self.plan.lock().expect("sound").push(does);
    }
}

fn serve(mut stream: TcpStream, seen: &Mutex<Vec<Seen>>, plan: &Mutex<Vec<Does>>) {
    let mut head = Vec::new();
    let mut byte = [0_u8; 1];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8(head).expect("text");
    let header = |name: &str| {
        head.lines()
            .find_map(|line| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name)))
            .map(|(_, v)| v)
    };
    let length = header("content-length").map_or(0, |length| length.parse().expect("a number"));
    let mut body = vec![0; length];
    if stream.read_exact(&mut body).is_err() {
        return;
    }
    let path = head.split(' ').nth(1).expect("a path").to_owned();
    let key = header("idempotency-key").unwrap_or_default().to_owned();
    let authorization = header("authorization").unwrap_or_default().to_owned();
    let body = String::from_utf8_lossy(&body).into_owned();
    seen.lock().expect("sound").push(Seen { path, key, authorization, body });
    let mut does = plan.lock().expect("sound").pop().unwrap_or(Does::Answer(200, ""));
    while let Does::Hold = does {
        std::thread::sleep(Duration::from_millis(2));
        does = plan.lock().expect("sound").pop().unwrap_or(Does::Hold);
    }
    match does {
        Does::Hold => {}
        Does::Answer(status, headers) => {
            let answer = format!("HTTP/1.1 {status} x\r\n{headers}content-length: 0\r\nconnection: close\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes());
        }
        Does::Hang => {
            let _ = stream.read(&mut byte);
            let (key, authorization, body) = <(String, String, String)>::default();
            seen.lock().expect("sound").push(Seen { path: "cut off".to_owned(), key, authorization, body });
        }
        Does::Cut => {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn bench(server: &Server) -> Bench {
    Bench::with(Caller(server.url.clone()), |options| {
        options.outbox_hosts = server.url.trim_start_matches("http://").to_owned();
        options.outbox_private = true;
    })
}

fn ask(bench: &Bench, calls: &str) {
    let outcome = bench.send(bench.event(A, EventKind::SlackEvent, calls));
    assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");
}

fn aside(bench: &Bench) -> Vec<(String, String)> {
    let dead = bench.block_on(bench.engine().dead_calls(10)).expect("read");
    dead.into_iter().map(|call| (call.id, call.state)).collect()
}

#[test]
fn calls_leave_after_the_commit_in_order_once_per_id_with_their_key() {
    let server = Server::start(&[]);
    let bench = bench(&server);
    ask(&bench, "one POST /1\ntwo PATCH /2\none POST /again");
    ask(&bench, "two POST /again\nthree GET /3");
    bench.until("all have left", |_| server.seen().len() == 3);
    assert_eq!(server.seen(), ["/1", "/2", "/3"]);
    assert_eq!(server.keys(), ["one", "two", "three"].map(|id| format!("{A}/{id}")));
    bench.until("all are written down", |bench| bench.metrics().contains(r#"{kind="sent"} 3"#));
}

#[test]
fn a_receiver_that_asks_to_wait_is_waited_for_and_the_order_is_kept() {
    let server = Server::start(&[Does::Answer(429, "retry-after: 30\r\n"), Does::Answer(500, "")]);
    let bench = bench(&server);
    ask(&bench, "one POST /1\ntwo POST /2");
    bench.until("it was asked to wait", |bench| bench.metrics().contains(r#"{kind="again"} 1"#));
    bench.advance(29 * SECOND);
    assert_eq!(server.seen(), ["/1"]);
    bench.advance(SECOND);
    bench.until("it failed again", |bench| bench.metrics().contains(r#"{kind="again"} 2"#));
    bench.until("both have left", |bench| {
        bench.advance(SECOND);
        server.seen().len() == 4
    });
    assert_eq!(server.seen(), ["/1", "/1", "/1", "/2"]);
}

#[test]
fn what_is_refused_or_redirected_is_put_aside_and_does_not_hold_up_the_rest() {
    let server = Server::start(&[Does::Answer(404, ""), Does::Answer(302, "location: http://127.0.0.1:1/\r\n")]);
    let bench = bench(&server);
    ask(&bench, "one POST /1\ntwo POST /2\nthree POST /3");
    bench.until("the last has left", |_| server.seen().len() == 3);
    let dead = |id: &str| (id.to_owned(), "dead".to_owned());
    bench.until("two are put aside", |bench| aside(bench) == [dead("one"), dead("two")]);
    assert_eq!(server.seen(), ["/1", "/2", "/3"]);
}

#[test]
fn a_call_of_unknown_outcome_is_repeated_when_that_is_harmless_and_held_when_not() {
    let server = Server::start(&[Does::Cut, Does::Cut]);
    let bench = bench(&server);
    ask(&bench, "one POST /1\ntwo PUT /2");
    bench.until("the put was made again", |bench| {
        bench.advance(SECOND);
        server.seen().len() == 3
    });
    assert_eq!(server.seen(), ["/1", "/2", "/2"]);
    assert_eq!(aside(&bench), [("one".to_owned(), "uncertain".to_owned())]);
}

#[test]
fn calls_survive_a_crash_and_one_that_was_under_way_is_known_as_such() {
    let server = Server::start(&[Does::Answer(503, "retry-after: 60\r\n")]);
    let mut bench = bench(&server);
    ask(&bench, "one POST /1\ntwo POST /2\nthree PUT /3");
    bench.until("it was asked to wait", |bench| bench.metrics().contains(r#"{kind="again"} 1"#));
    // A crash between the claim and the outcome.
    bench.block_on(bench.engine().meddle(|store| store.pragma("UPDATE outbox SET state = 'sending' WHERE seq > 1")));
    bench.crash();
    bench.until("the rest has left", |bench| {
        bench.advance(10 * SECOND);
        server.seen().len() == 3
    });
    assert_eq!(server.seen(), ["/1", "/1", "/3"]);
    assert_eq!(aside(&bench), [("two".to_owned(), "uncertain".to_owned())]);
}

#[test]
fn a_call_that_was_under_way_at_a_crash_is_held_also_when_the_lease_comes_later() {
    let server = Server::start(&[Does::Answer(503, "")]);
    let mut bench = bench(&server);
    ask(&bench, "one POST /1");
    bench.until("it failed", |bench| bench.metrics().contains(r#"{kind="again"} 1"#));
    bench.block_on(bench.engine().meddle(|store| store.pragma("UPDATE outbox SET state = 'sending'")));
    // A pod reads its rows before it may serve them.
    bench.ownership().drop_lease();
    bench.crash();
    bench.advance(5 * SECOND);
    bench.renew_lease();
    bench.until("it is held", |bench| {
        bench.advance(SECOND);
        !aside(bench).is_empty() || server.seen().len() > 1
    });
    assert_eq!(server.seen(), ["/1"]);
    assert_eq!(aside(&bench), [("one".to_owned(), "uncertain".to_owned())]);
}

#[test]
fn a_call_that_is_out_when_its_target_gets_a_new_epoch_is_written_down_under_that() {
    let server = Server::start(&[Does::Hold]);
    let bench = bench(&server);
    ask(&bench, "one POST /1");
    bench.until("it is out", |_| server.seen().len() == 1);
    bench.own(A, 2);
    bench.until("nobody knows what became of it", |bench| aside(bench) == [("one".to_owned(), "uncertain".to_owned())]);
    server.then(Does::Cut);
}

#[test]
fn nothing_leaves_without_a_lease() {
    let server = Server::start(&[Does::Answer(500, "")]);
    let bench = bench(&server);
    ask(&bench, "one POST /1");
    bench.until("it failed", |bench| bench.metrics().contains(r#"{kind="again"} 1"#));
    bench.ownership().drop_lease();
    bench.advance(60 * SECOND);
    assert_eq!(server.seen(), ["/1"]);
    bench.renew_lease();
    bench.until("it has left", |bench| {
        bench.advance(SECOND);
        server.seen().len() == 2
    });
}

/// Holds a new lease that ends by the bench's clock.
fn hold_for(bench: &Bench, left: Duration) {
    bench.ownership().drop_lease();
    let valid_until = bench.clock().now().after(left);
    let id = shared::LeaseId(valid_until.as_nanos());
    bench.ownership().hold(shared::lease::Lease { id, valid_until }, None);
}

#[test]
fn no_call_begins_with_less_than_a_second_of_the_lease_left_though_events_are_still_taken() {
    let server = Server::start(&[]);
    let bench = bench(&server);
    bench.own(A, 1);
    hold_for(&bench, Duration::from_millis(950));
    ask(&bench, "one POST /1");
    for _ in 0..20 {
        bench.block_on(bench.engine().wake());
    }
    assert!(server.seen().is_empty());
    hold_for(&bench, Duration::from_secs(3_600));
    bench.until("it leaves under the lease that was extended", |bench| {
        bench.clock().advance(SECOND);
        server.seen().len() == 1
    });
}

#[test]
fn a_call_that_is_out_when_the_lease_ends_is_cut_off_and_not_called_done() {
    let server = Server::start(&[Does::Hang]);
    let bench = bench(&server);
    bench.own(A, 1);
    hold_for(&bench, Duration::from_secs(5));
    ask(&bench, "one POST /1");
    bench.until("it is out", |_| server.seen().len() == 1);
    // No timer of the pod has noticed anything: the clock of the machine has moved.
    bench.clock().advance(Duration::from_millis(4_700));
    bench.until("it is cut off", |_| server.seen().len() == 2);
    hold_for(&bench, Duration::from_secs(3_600));
    bench.until("what became of it is written down", |bench| !aside(bench).is_empty());
    assert_eq!(aside(&bench), [("one".to_owned(), "uncertain".to_owned())]);
    assert_eq!(server.seen(), ["/1", "cut off"]);
}

#[test]
fn a_call_is_given_up_after_a_day() {
    let server = Server::start(&[Does::Answer(500, ""), Does::Answer(500, "retry-after: 3600\r\n")]);
    let bench = Bench::with(Caller(server.url.clone()), |options| {
        options.outbox_hosts = server.url.trim_start_matches("http://").to_owned();
        options.outbox_private = true;
        options.outbox_give_up = Duration::from_secs(60);
    });
    server.then(Does::Answer(500, "retry-after: 90\r\n"));
    ask(&bench, "one POST /1");
    bench.until("it failed", |bench| bench.metrics().contains(r#"{kind="again"} 1"#));
    bench.until("it is given up", |bench| {
        bench.advance(10 * SECOND);
        aside(bench).len() == 1
    });
    assert_eq!(server.seen().len(), 2);
}

#[test]
fn a_host_off_the_list_makes_the_event_dead_and_a_private_address_behind_a_name_is_never_connected_to() {
    let server = Server::start(&[]);
    let port = server.url.rsplit(':').next().expect("a port").to_owned();
    let bench = Bench::with(Caller(format!("https://localhost:{port}")), |options| {
        options.outbox_hosts = format!("localhost:{port}");
    });
    ask(&bench, "one POST https://example.com/");
    assert!(bench.block_on(bench.engine().dead_calls(10)).expect("read").is_empty());
    assert!(bench.metrics().contains(r#"berth_dead_letters_total{kind="event"} 1"#));
    ask(&bench, "two POST /1");
    bench.until("it is refused", |bench| aside(bench).len() == 1);
    let dead = bench.block_on(bench.engine().dead_calls(10)).expect("read");
    assert!(dead[0].reason.contains("private address"), "{}", dead[0].reason);
    assert!(server.seen().is_empty());
}

#[test]
fn a_deferred_command_is_answered_late_by_editing_the_original() {
    struct Slow(std::sync::atomic::AtomicU32);
    impl Handler for Slow {
        fn handle(&self, _: &Event, _: &mut Target<'_>) -> Result<Reply, HandlerError> {
            if self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 2 {
                return Err(HandlerError::Retry("not yet".into()));
            }
            Ok(Reply::text("done at last"))
        }
    }
    let server = Server::start(&[]);
    let bench = Bench::with(Slow(0.into()), |options| {
        options.discord_api = server.url.clone();
        options.outbox_private = true;
    });
    let body = r#"{"application_id":"77","token":"tok","data":{"name":"x"}}"#;
    let event = bench.event("discord:guild:1", EventKind::DiscordCommand, body);
    let sent = bench.post(event.clone());
    bench.advance(2 * SECOND);
    let deferred = shared::platform::deferred(EventKind::DiscordCommand);
    assert_eq!(sent.outcome(&bench), Outcome::Committed { answer: deferred.clone(), duplicate: false });
    bench.advance(5 * SECOND);
    bench.until("the original is edited", |_| server.seen() == ["/webhooks/77/tok/messages/@original"]);
    assert_eq!(bench.send(event), Outcome::Committed { answer: deferred, duplicate: true });
}

/// A bench for which the server is Discord.
fn bench_at_discord(server: &Server) -> Bench {
    Bench::with(Caller(server.url.clone()), |options| {
        options.discord_api = server.url.clone();
        options.outbox_private = true;
    })
}

#[test]
fn a_message_whose_answer_is_lost_is_sent_again_and_what_has_no_nonce_is_held() {
    let server = Server::start(&[Does::Cut, Does::Answer(200, ""), Does::Cut]);
    let bench = bench_at_discord(&server);
    ask(&bench, "one POST /channels/1/messages\ntwo POST /users/@me/channels");
    bench.until("both were made, the message twice", |bench| {
        bench.advance(SECOND);
        !aside(bench).is_empty()
    });
    assert_eq!(server.seen(), ["/channels/1/messages", "/channels/1/messages", "/users/@me/channels"]);
    assert_eq!(aside(&bench), [("two".to_owned(), "uncertain".to_owned())]);
}

#[test]
fn a_message_that_was_under_way_at_a_crash_is_sent_again_while_discord_knows_its_nonce() {
    let server = Server::start(&[Does::Answer(503, ""), Does::Answer(503, "")]);
    let mut bench = bench_at_discord(&server);
    ask(&bench, "one POST /channels/1/messages");
    bench.until("it failed", |bench| bench.metrics().contains(r#"{kind="again"} 1"#));
    bench.block_on(bench.engine().meddle(|store| store.pragma("UPDATE outbox SET state = 'sending'")));
    bench.crash();
    bench.until("it was sent again, and failed again", |bench| {
        bench.advance(SECOND);
        let written = |times| bench.metrics().contains(&format!(r#"{{kind="again"}} {times}"#));
        server.seen().len() == 2 && (written(1) || written(2))
    });
    bench.block_on(bench.engine().meddle(|store| store.pragma("UPDATE outbox SET state = 'sending', created_ms = 1")));
    bench.crash();
    bench.until("nobody knows any more", |bench| {
        bench.advance(SECOND);
        !aside(bench).is_empty()
    });
    assert_eq!((server.seen().len(), aside(&bench)), (2, vec![("one".to_owned(), "uncertain".to_owned())]));
}

#[test]
fn a_token_that_discord_refuses_is_not_used_again_and_its_calls_are_kept() {
    let server = Server::start(&[Does::Answer(401, "")]);
    let mut bench = bench_at_discord(&server);
    ask(&bench, "one POST /channels/1/messages\ntwo POST /channels/2/messages");
    bench.until("it was refused", |bench| bench.metrics().contains(r#"{kind="again"} 1"#));
    bench.advance(60 * SECOND);
    assert_eq!((server.seen().len(), aside(&bench)), (1, Vec::new()));
    // A process that starts anew tries again.
    bench.crash();
    bench.until("both have left", |bench| {
        bench.advance(SECOND);
        server.seen().len() == 3
    });
    assert!(aside(&bench).is_empty());
}

#[test]
fn what_discord_asks_a_bot_to_wait_is_waited_for_by_all_its_calls() {
    let server = Server::start(&[Does::Answer(429, "x-ratelimit-scope: global\r\nretry-after: 30\r\n")]);
    let bench = bench_at_discord(&server);
    ask(&bench, "one POST /channels/1/messages");
    bench.until("it was asked to wait", |bench| bench.metrics().contains(r#"{kind="again"} 1"#));
    let other = bench.send(bench.event("slack:guild:B", EventKind::SlackEvent, "two POST /channels/2/messages"));
    assert!(matches!(other, Outcome::Committed { .. }), "{other:?}");
    bench.advance(29 * SECOND);
    assert_eq!(server.seen().len(), 1);
    bench.until("both have left", |bench| {
        bench.advance(SECOND);
        server.seen().len() == 3
    });
}

#[test]
fn an_interaction_is_not_answered_after_its_time() {
    let server = Server::start(&[Does::Answer(503, "retry-after: 1000\r\n")]);
    let bench = bench_at_discord(&server);
    // Its token says when it began: years ago. The other's time begins with the call.
    ask(&bench, "one POST /webhooks/1/aW50ZXJhY3Rpb246MTp4\ntwo PATCH /webhooks/1/tok/messages/@original");
    bench.until("both are given up", |bench| aside(bench).len() == 2);
    let dead = bench.block_on(bench.engine().dead_calls(10)).expect("read");
    assert!(dead.iter().all(|call| call.state == "dead" && call.reason.contains("15 minutes")), "{dead:?}");
    assert_eq!(server.seen(), ["/webhooks/1/tok/messages/@original"], "the first never left");
}

/// Greets everybody.
struct Greeter;

impl Handler for Greeter {
    fn handle(&self, _: &Event, _: &mut Target<'_>) -> Result<Reply, HandlerError> {
        Ok(Reply::text("hello"))
    }
}

#[test]
fn a_reply_to_a_message_is_said_in_its_channel_by_the_bot_and_once() {
    let server = Server::start(&[Does::Answer(500, "")]);
    let bench = Bench::with(Greeter, |options| {
        options.discord_api = server.url.clone();
        options.discord.discord_token = Some("the.token".to_owned());
        options.outbox_private = true;
    });
    let said = |id: u64, bot: bool| {
        let body = format!(
            r#"{{"t":"MESSAGE_CREATE","d":{{"id":"{id}","channel_id":"5","author":{{"id":"9","bot":{bot}}}}}}}"#
        );
        bench.event("discord:guild:1", EventKind::DiscordDispatch, &body)
    };
    let (by_a_bot, by_somebody) = (said(6, true), said(7, false));
    bench.send(by_a_bot);
    bench.send(by_somebody.clone());
    let one = "/channels/5/messages";
    bench.until("it is tried", |_| server.seen() == [one]);
    bench.advance(5 * SECOND);
    bench.until("it is tried again", |_| server.seen() == [one, one]);
    assert!(matches!(bench.send(by_somebody), Outcome::Committed { duplicate: true, .. }));
    bench.advance(60 * SECOND);
    assert_eq!(server.seen().len(), 2, "what a bot said is not answered, and the same message not again");
    assert_eq!(server.authorizations(), ["Bot the.token"; 2]);
    let nonces = server.nonces();
    assert!(nonces[0].is_string() && nonces[0] == nonces[1], "{nonces:?}");
}

#[test]
fn a_reply_that_was_under_way_so_long_ago_that_discord_has_forgotten_its_nonce_is_held() {
    let server = Server::start(&[Does::Answer(503, "")]);
    let mut bench = Bench::with(Greeter, |options| {
        options.discord_api = server.url.clone();
        options.discord.discord_token = Some("the.token".to_owned());
        options.outbox_private = true;
    });
    let body = r#"{"t":"MESSAGE_CREATE","d":{"id":"7","channel_id":"5","author":{"id":"9"}}}"#;
    bench.send(bench.event("discord:guild:1", EventKind::DiscordDispatch, body));
    bench.until("it failed", |bench| bench.metrics().contains(r#"{kind="again"} 1"#));
    bench.block_on(bench.engine().meddle(|store| store.pragma("UPDATE outbox SET state = 'sending', created_ms = 1")));
    bench.crash();
    bench.until("nobody knows any more", |bench| {
        bench.advance(SECOND);
        !aside(bench).is_empty()
    });
    let held = aside(&bench);
    assert_eq!((server.seen().len(), held.len(), held[0].1.as_str()), (1, 1, "uncertain"));
}

#[tokio::test]
async fn a_call_that_was_given_up_with_its_target_has_no_say_about_the_one_that_is_out_now() {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        options: crate::Options,
    }
    let line = <Line as clap::Parser>::parse_from(["test", "--pod", "gateway-0", "--data", "."]);
    let clock: Arc<dyn Clock> = Arc::new(shared::clock::ManualClock::new(0));
    let ownership = Ownership::new(line.options.pod.clone(), Arc::clone(&clock), shared::lease::LeaseTerms::default());
    let meters = Meters::register(&shared::telemetry::Metrics::new());
    let (commands, _writer) = Commands::channel();
    let allowed = Arc::new(Allowed::new("", "", true));
    let sender = Sender::new(
        allowed,
        ownership,
        commands,
        &line.options,
        meters.clone(),
        shared::telemetry::trace::Tracer::off(),
        None,
    )
    .expect("a client");
    let mut run = Run {
        lanes: Lanes::default(),
        out: HashMap::new(),
        tasks: JoinSet::new(),
        sender: Arc::new(sender),
        discord: Discord::new("https://discord.com/api/v10", None, Arc::clone(&clock)),
        clock: Arc::clone(&clock),
        most: 8,
        meters,
    };
    let target: TargetId = A.parse().expect("valid");
    let url = "https://a.example/".to_owned();
    let call = OutboxCall { id: "one".into(), method: "POST".into(), url, headers: vec![], body: String::new() };
    let call = OpenCall::new(1, &call, false);
    let open = || Note::Open { target: target.clone(), mode: Acknowledge::Local, calls: vec![call.clone()] };
    run.note(open());
    run.start_calls();
    while !run.out[&target].1.is_finished() {
        tokio::task::yield_now().await;
    }
    // The target leaves and comes back before anybody has looked.
    run.note(Note::Closed { target: target.clone() });
    run.note(open());
    run.start_calls();
    let first = run.tasks.join_next_with_id().await.expect("has ended");
    run.ended(first);
    let later = clock.now().after(SECOND);
    assert!(run.lanes.next(later).is_none(), "its target is still busy");
    let second = run.tasks.join_next_with_id().await.expect("has ended");
    run.ended(second);
    assert!(run.lanes.next(later).is_some());
}
