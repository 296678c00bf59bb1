use super::*;
use crate::handlers::Event;
use crate::{HandlerError, Reply, Target};
use bytes::BytesMut;
use clap::Parser;
use control::{Control, LEASE, Mood};
use shared::event::EventKind;
use shared::wire::Hello;
use shared::wire::control::{TargetState, Watch};
use shared::wire::link::{Frame, Outcome, Request, decode, encode};
use shared::wire::peers::{Extend, Extended, Fence, Fenced};
use shared::{Epoch, Mono, Problem, Revision};
use std::sync::atomic::{AtomicU64, Ordering};
use std::{net::SocketAddr, time::Duration};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::{net::TcpStream, task::JoinHandle};

mod control;

const PATIENCE: Duration = Duration::from_secs(60);
const GUILD: &str = "slack:guild:T1";

struct Still;

impl crate::Handler for Still {
    fn handle(&self, _event: &Event, _target: &mut Target<'_>) -> Result<Reply, HandlerError> {
        Ok(Reply::text("done"))
    }
}

/// The machine's clocks, moved by the test.
#[derive(Debug, Clone, Default)]
struct Moved {
    wall_ms: Arc<AtomicU64>,
    boot_ms: Arc<AtomicU64>,
}

impl Clock for Moved {
    fn now(&self) -> Mono {
        BootClock.now().after(Duration::from_millis(self.boot_ms.load(Ordering::SeqCst)))
    }

    fn wall_ms(&self) -> u64 {
        BootClock.wall_ms() + self.wall_ms.load(Ordering::SeqCst)
    }
}

#[derive(Debug, clap::Parser)]
struct Flags {
    #[command(flatten)]
    options: Options,
}

fn options(data: &TempDir, more: &[&str]) -> Options {
    let data = data.path().display().to_string();
    let fixed = ["gateway", "--pod", "gateway-0", "--data", &data, "--listen", "127.0.0.1:0", "--replication", "off"];
    Flags::try_parse_from(fixed.iter().chain(more)).expect("valid flags").options
}

/// A gateway at work.
struct Pod {
    address: SocketAddr,
    clock: Moved,
    stop: Shutdown,
    role: JoinHandle<anyhow::Result<()>>,
    _data: TempDir,
}

impl Pod {
    async fn start(control: &Control, more: &[&str]) -> Self {
        let (data, before) = (tempfile::tempdir().expect("a folder"), control.registered());
        let flags = [&["--service-tokens", "secret", "--config-url", &control.url][..], more].concat();
        let (options, clock, stop) = (options(&data, &flags), Moved::default(), Shutdown::new());
        let role = shared::shutdown::spawn(serve_by(Arc::new(clock.clone()), options, Still.into(), stop.clone()));
        let address = control.registrations(before + 1).await[before].address.parse().expect("an address");
        Self { address, clock, stop, role, _data: data }
    }

    async fn ready(&self) {
        self.until(|status, _| status == 200).await;
    }

    /// Waits until `/readyz` answers as it should.
    async fn until(&self, enough: impl Fn(u16, &str) -> bool) {
        let waiting = async {
            loop {
                assert!(!self.role.is_finished(), "the role has ended");
                if let Ok(stream) = TcpStream::connect(self.address).await {
                    let (status, text) = get(stream, "/readyz", "").await;
                    if enough(status, &text) {
                        return;
                    }
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("in time");
    }

    async fn get(&self, path: &str, headers: &str) -> (u16, String) {
        get(TcpStream::connect(self.address).await.expect("reached"), path, headers).await
    }

    async fn link(&self) -> Link {
        let mut stream = TcpStream::connect(self.address).await.expect("reached");
        let head = "GET /v1/link HTTP/1.1\r\nhost: pod\r\nauthorization: Bearer secret\r\nconnection: Upgrade\r\nupgrade: berth-link\r\n\r\n";
        stream.write_all(head.as_bytes()).await.expect("sent");
        let mut buffer = BytesMut::new();
        let end = loop {
            if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            assert_ne!(stream.read_buf(&mut buffer).await.expect("read"), 0);
        };
        let head = buffer.split_to(end);
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{head:?}");
        let mut link = Link { stream, buffer, last: 0 };
        assert!(matches!(link.next().await, Some(Frame::Hello { name, .. }) if name == "gateway-0"));
        let window = Window { requests: 0, bytes: 0 };
        link.send(&Frame::Hello { hello: Hello::CURRENT, name: "http-0".into(), window }).await;
        link
    }

    /// Asks until the outcome is what it should be, as a router that parks does.
    async fn outcome(&self, link: &mut Link, id: &str, epoch: u64, enough: impl Fn(&Outcome) -> bool) {
        let waiting = async {
            while !enough(&link.ask(id, epoch).await) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("in time");
    }
}

async fn get(mut stream: TcpStream, path: &str, headers: &str) -> (u16, String) {
    let head = format!("GET {path} HTTP/1.1\r\nhost: pod\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("read");
    let status = answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{answer:?}"));
    (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}

struct Link {
    stream: TcpStream,
    buffer: BytesMut,
    last: u32,
}

impl Link {
    async fn send(&mut self, frame: &Frame) {
        let mut out = BytesMut::new();
        encode(frame, &mut out);
        self.stream.write_all(&out).await.expect("sent");
    }

    async fn next(&mut self) -> Option<Frame> {
        let read = async {
            loop {
                if let Some(frame) = decode(&mut self.buffer, 1 << 20).expect("well formed") {
                    return Some(frame);
                }
                if self.stream.read_buf(&mut self.buffer).await.expect("read") == 0 {
                    return None;
                }
            }
        };
        tokio::time::timeout(PATIENCE, read).await.expect("an answer in time")
    }

    async fn ask(&mut self, id: &str, epoch: u64) -> Outcome {
        self.last += 1;
        let target: shared::TargetId = GUILD.parse().expect("valid");
        let event = Event {
            platform: target.platform(),
            target,
            parent: None,
            kind: EventKind::SlackEvent,
            source: "slack".into(),
            id: id.to_owned(),
            received_at: 1_700_000_000_000,
            headers: vec![],
            body: r#"{"type":"event_callback"}"#.into(),
        };
        let request = Request { event, epoch: Epoch(epoch), revision: Revision(0), deadline_ms: 3_000, trace: None };
        self.send(&Frame::Request { stream: self.last, request: Box::new(request) }).await;
        match self.next().await {
            Some(Frame::Reply { stream, outcome }) if stream == self.last => *outcome,
            other => panic!("{other:?}"),
        }
    }
}

fn committed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Committed { .. })
}

#[tokio::test]
async fn a_pod_serves_what_it_is_assigned_and_tells_of_it() {
    let control = Control::start().await;
    let pod = Pod::start(&control, &[]).await;
    pod.ready().await;
    let mut link = pod.link().await;
    control.assign(GUILD, "gateway-0", 7);
    // The event is here before the assignment may be: the pod waits for its own stream.
    assert!(matches!(link.ask("a", 7).await, Outcome::Committed { duplicate: false, .. }));
    assert!(matches!(link.ask("a", 7).await, Outcome::Committed { duplicate: true, .. }));
    let owner = Some("gateway-0".parse().expect("valid"));
    assert_eq!(link.ask("b", 6).await, Outcome::NotOwner { owner, epoch: Epoch(7) });

    let path = format!("/v1/local/targets/{GUILD}/state");
    let (status, body) = pod.get(&path, "authorization: Bearer secret\r\n").await;
    let state: TargetState = serde_json::from_str(&body).expect("a state");
    assert_eq!((status, state.epoch, state.applied, state.duplicates), (200, Epoch(7), 1, 1));
    let (_, metrics) = pod.get("/metrics", "").await;
    for line in [
        "berth_pod_targets{pod=\"gateway-0\"} 1",
        "berth_links 1",
        "berth_link_requests_total{result=\"not-owner\"} 1",
        "berth_heartbeats_total{result=\"granted\"}",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }

    let remaining =
        metrics.lines().find_map(|line| line.strip_prefix("berth_lease_remaining_seconds{pod=\"gateway-0\"} "));
    let remaining: f64 = remaining.expect("is there").parse().expect("a number");
    assert!(remaining > 0.9 && remaining < LEASE.as_secs_f64(), "{remaining}");

    control.assign(GUILD, "gateway-1", 8);
    let other = Some("gateway-1".parse().expect("valid"));
    assert_eq!(link.ask("c", 8).await, Outcome::NotOwner { owner: other, epoch: Epoch(8) });
}

#[tokio::test]
async fn a_pod_whose_heartbeats_get_no_answer_stops_serving_and_comes_back() {
    let control = Control::start().await;
    control.assign(GUILD, "gateway-0", 7);
    let pod = Pod::start(&control, &[]).await;
    pod.ready().await;
    let mut link = pod.link().await;
    assert!(committed(&link.ask("a", 7).await));
    control.mood(Mood::Silent);
    pod.outcome(&mut link, "b", 7, |outcome| matches!(outcome, Outcome::NotServing { .. })).await;
    pod.until(|status, text| status == 503 && text.contains("lease:")).await;
    control.mood(Mood::Grant);
    pod.outcome(&mut link, "c", 7, committed).await;
    pod.ready().await;
    assert_eq!(control.registrations(1).await.len(), 1, "the lease goes on, nothing was registered anew");
}

#[tokio::test]
async fn a_pod_whose_lease_is_refused_registers_anew_under_the_same_incarnation() {
    let control = Control::start().await;
    control.assign(GUILD, "gateway-0", 7);
    let pod = Pod::start(&control, &[]).await;
    pod.ready().await;
    control.mood(Mood::Conflict);
    let registrations = control.registrations(3).await;
    assert!(registrations.iter().all(|one| one.incarnation == registrations[0].incarnation));
    assert_eq!(registrations[0].address, pod.address.to_string());
    let mut link = pod.link().await;
    assert!(matches!(link.ask("a", 7).await, Outcome::NotServing { .. }));
    control.mood(Mood::Grant);
    pod.outcome(&mut link, "a", 7, committed).await;
}

#[tokio::test]
async fn a_grant_for_another_heartbeat_does_not_make_a_pod_ready() {
    let control = Control::start().await;
    control.mood(Mood::WrongNonce);
    let pod = Pod::start(&control, &[]).await;
    pod.until(|status, text| status == 503 && text.contains("lease:") && !text.contains("registered:")).await;
    let (_, metrics) = pod.get("/metrics", "").await;
    assert!(metrics.contains("berth_lease_remaining_seconds{pod=\"gateway-0\"} 0.0"), "{metrics}");
    control.mood(Mood::Grant);
    pod.ready().await;
}

#[tokio::test]
async fn a_machine_that_slept_serves_nothing_before_it_was_granted_a_lease_again() {
    let control = Control::start().await;
    control.assign(GUILD, "gateway-0", 7);
    let pod = Pod::start(&control, &[]).await;
    pod.ready().await;
    control.mood(Mood::Silent);
    let mut link = pod.link().await;
    for clock in [&pod.clock.boot_ms, &pod.clock.wall_ms] {
        clock.fetch_add(3_600_000, Ordering::SeqCst);
    }
    assert!(matches!(link.ask("a", 7).await, Outcome::NotServing { .. }));
    assert_eq!(pod.get("/readyz", "").await.0, 503);
    control.mood(Mood::Grant);
    pod.outcome(&mut link, "a", 7, committed).await;
}

#[tokio::test]
async fn clocks_that_drift_apart_cost_the_lease_and_the_pod_registers_anew() {
    let control = Control::start().await;
    control.assign(GUILD, "gateway-0", 7);
    let pod = Pod::start(&control, &[]).await;
    pod.ready().await;
    pod.clock.wall_ms.fetch_add(1_500, Ordering::SeqCst);
    control.registrations(2).await;
    pod.outcome(&mut pod.link().await, "a", 7, committed).await;
}

#[tokio::test]
async fn a_stream_that_is_cut_or_silent_goes_on_where_it_was() {
    for (silence, is_cut) in [("60s", true), ("200ms", false)] {
        let control = Control::start().await;
        // It is in what the first watch begins with: whichever is open when, none has to be told of it.
        control.assign(GUILD, "gateway-0", 7);
        let pod = Pod::start(&control, &["--watch-silence", silence]).await;
        pod.ready().await;
        let mut link = pod.link().await;
        assert!(committed(&link.ask("a", 7).await));
        if is_cut {
            control.cut();
        }
        let watches = control.watches(2).await;
        assert_eq!(watches[..2], [None, Some("1".to_owned())]);
        assert!(committed(&link.ask("b", 7).await));
    }
}

#[tokio::test]
async fn a_stream_that_is_told_to_start_over_asks_for_everything() {
    let control = Control::start().await;
    let pod = Pod::start(&control, &[]).await;
    pod.ready().await;
    control.tell(&Watch::Resync { reason: "too far behind".to_owned() });
    assert_eq!(control.watches(2).await[..2], [None, None]);
    control.assign(GUILD, "gateway-0", 7);
    assert!(committed(&pod.link().await.ask("a", 7).await));
}

#[tokio::test]
async fn an_older_copy_of_the_control_planes_database_takes_no_target_away() {
    let control = Control::start().await;
    control.assign("slack:guild:T2", "gateway-1", 1);
    control.assign(GUILD, "gateway-0", 7);
    let pod = Pod::start(&control, &[]).await;
    pod.ready().await;
    let mut link = pod.link().await;
    assert!(committed(&link.ask("a", 7).await));
    control.replace(1);
    control.tell(&Watch::Resync { reason: "the position is newer than the database".to_owned() });
    assert_eq!(control.watches(3).await[..3], [None, None, None]);
    assert!(committed(&link.ask("b", 7).await));
}

#[tokio::test]
async fn a_stopping_pod_says_goaway_to_routers_and_goodbye_to_config_service() {
    let control = Control::start().await;
    let pod = Pod::start(&control, &[]).await;
    pod.ready().await;
    let mut link = pod.link().await;
    pod.stop.cancel();
    assert_eq!(link.next().await, Some(Frame::Goaway));
    assert_eq!(link.next().await, None);
    tokio::time::timeout(PATIENCE, pod.role).await.expect("in time").expect("no panic").expect("in order");
    assert_eq!(control.goodbyes(), 1);
}

#[tokio::test]
async fn the_listener_answers_only_whom_it_may_and_says_what_to_send() {
    let control = Control::start().await;
    let pod = Pod::start(&control, &[]).await;
    pod.ready().await;
    let state = format!("/v1/local/targets/{GUILD}/state");
    let token = "authorization: Bearer secret\r\n";
    for (path, headers, status, code) in [
        (state.as_str(), "", 401, "unauthorized"),
        (&state, "authorization: Bearer wrong\r\n", 401, "unauthorized"),
        (&state, token, 421, "not-owner"),
        ("/v1/local/targets/irc:guild:1/state", token, 400, "bad-request"),
        ("/v1/local/targets/%ff/state", token, 400, "bad-request"),
        ("/v1/link", "", 401, "unauthorized"),
        ("/v1/link", token, 426, "upgrade-required"),
        ("/v1/nothing", token, 404, "not-found"),
    ] {
        let (got, body) = pod.get(path, headers).await;
        let problem: Problem = serde_json::from_str(&body).unwrap_or_else(|why| panic!("{path}: {why}: {body}"));
        assert_eq!((got, problem.code.as_str()), (status, code), "{path} {headers}");
    }
    assert_eq!(pod.get("/healthz", "").await, (200, "ok\n".to_owned()));
}

#[tokio::test]
async fn links_are_bounded() {
    let control = Control::start().await;
    let pod = Pod::start(&control, &["--links", "1"]).await;
    pod.ready().await;
    let first = pod.link().await;
    let headers = "authorization: Bearer secret\r\nupgrade: berth-link\r\n";
    let stream = TcpStream::connect(pod.address).await.expect("reached");
    let (status, body) = get(stream, "/v1/link", &headers.replace("upgrade:", "connection: upgrade\r\nupgrade:")).await;
    assert_eq!(status, 503, "{body}");
    drop(first);
}

#[tokio::test]
async fn a_gateway_that_cannot_start_says_what_to_do() {
    let data = tempfile::tempdir().expect("a folder");
    let refused =
        |options| async { format!("{:#}", serve(options, Still, Shutdown::new()).await.expect_err("refused")) };

    let text = refused(options(&data, &[])).await;
    assert!(text.contains("BERTH_SERVICE_TOKENS is not set"), "{text}");

    let tokens = ["--service-tokens", "secret"];
    let held = Folder::take(data.path(), &"gateway-0".parse().expect("valid"), None).expect("free");
    let text = refused(options(&data, &tokens)).await;
    assert!(text.contains("in use by process") && text.contains("--data"), "{text}");
    drop(held);

    let taken = bind("127.0.0.1:0".parse().expect("valid"), "--listen").await.expect("a port");
    let text = refused(Options { listen: taken.address, ..options(&data, &tokens) }).await;
    assert!(text.contains(&format!("port {}", taken.address.port())) && text.contains("--listen"), "{text}");

    let everywhere = Options { listen: "0.0.0.0:0".parse().expect("valid"), ..options(&data, &tokens) };
    let text = refused(everywhere).await;
    assert!(text.contains("BERTH_GATEWAY_ADVERTISE"), "{text}");

    let url = Options { config_url: "ftp://x".to_owned(), ..options(&data, &tokens) };
    let text = refused(url).await;
    assert!(text.contains("is not an http:// URL"), "{text}");
}

#[tokio::test]
async fn a_pod_alone_in_its_cluster_serves_on_without_a_control_plane() {
    let control = Control::start().await;
    control.name_witnesses(2, &[]);
    control.assign(GUILD, "gateway-0", 7);
    let pod = Pod::start(&control, &[]).await;
    pod.ready().await;
    let mut link = pod.link().await;
    assert!(committed(&link.ask("a", 7).await));
    control.mood(Mood::Silent);
    // Longer than what was granted lasts.
    let until = BootClock.now().after(LEASE + Duration::from_secs(1));
    for n in 0.. {
        assert!(committed(&link.ask(&format!("b{n}"), 7).await));
        tokio::time::sleep(Duration::from_millis(50)).await;
        if BootClock.now() > until {
            break;
        }
    }
    assert!(pod.get("/metrics", "").await.1.contains("berth_heartbeats_total{result=\"promised\"}"));
}

#[tokio::test]
async fn what_pods_ask_each_other_is_answered_to_services_only() {
    let control = Control::start().await;
    control.assign(GUILD, "gateway-0", 7);
    let pod = Pod::start(&control, &[]).await;
    pod.ready().await;
    assert!(committed(&pod.link().await.ask("a", 7).await));
    for path in ["/v1/local/owned", "/v1/local/owned?state=quarantined"] {
        assert_eq!(pod.get(path, "").await.0, 401);
    }
    let token = "authorization: Bearer secret\r\n";
    let (status, body) = pod.get("/v1/local/owned", token).await;
    let mut lines = body.lines().filter(|line| line.starts_with('{'));
    let first: shared::wire::control::Assignment =
        serde_json::from_str(lines.next().expect("a line")).expect("an assignment");
    assert_eq!((status, first.target.as_str(), first.epoch), (200, GUILD, Epoch(7)));
    assert_eq!((lines.next(), lines.next()), (Some("{\"end\":true}"), None));
    let (status, body) = pod.get("/v1/local/owned?state=quarantined", token).await;
    assert_eq!((status, body.lines().filter(|line| line.starts_with('{')).count()), (200, 1), "{body}");

    let client = |token: &str| {
        let token = shared::settings::Secret::new(token.to_owned());
        shared::http::Client::new(&format!("http://{}", pod.address), Some(token), PATIENCE).expect("an address")
    };
    let question = Extend {
        pod: "gateway-1".parse().expect("valid"),
        incarnation: "0190163d-8694-739b-aea5-966c26f8ad91".parse().expect("valid"),
        lease_id: shared::LeaseId(3),
        nonce: 9,
        extension_ms: 4_000,
    };
    let refused = client("wrong").post::<Extended>("/v1/peers/extend", &question).await.expect_err("refused");
    assert_eq!(refused.problem().map(|problem| problem.status), Some(401));
    let answer: Extended = client("secret").post("/v1/peers/extend", &question).await.expect("answered");
    assert_eq!(answer, Extended::Relay { nonce: 9 }, "config-service answers this one");
    let fence = Fence {
        pod: "gateway-1".parse().expect("valid"),
        lease_id: shared::LeaseId(3),
        term: shared::Term(1),
        round: 2,
    };
    let fenced: Fenced = client("secret").post("/v1/peers/fence", &fence).await.expect("answered");
    assert_eq!((fenced.by.as_str(), fenced.round, fenced.lease_id), ("gateway-0", 2, shared::LeaseId(3)));
    assert_eq!(fenced.lives.len(), 1, "the leader knows it by that of its folder");
    let answer: Extended = client("secret").post("/v1/peers/extend", &question).await.expect("answered");
    assert_eq!(answer, Extended::Fenced { nonce: 9, lease_id: shared::LeaseId(3) });
}
