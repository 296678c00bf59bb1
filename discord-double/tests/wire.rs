//! The double over its real sockets: what the rules say arrives as frames, close codes, broken connections and HTTP.

use bytes::Bytes;
use discord_double::{Answer, DiscordDouble, Settings, User, intents};
use flate2::{Decompress, FlushDecompress};
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message},
};

const GUILD: u64 = 4 << 22;
const LONG: Duration = Duration::from_secs(60);

struct Bot {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    stream: Option<Decompress>,
}

impl Bot {
    async fn connect(url: &str) -> Self {
        let (socket, _) = connect_async(url).await.expect("a connection");
        let stream = url.contains("compress=zlib-stream").then(|| Decompress::new(true));
        Self { socket, stream }
    }

    async fn send(&mut self, payload: Value) {
        self.socket.send(Message::text(payload.to_string())).await.expect("an open connection");
    }

    /// The next message, whatever it is; none at the end.
    async fn frame(&mut self) -> Option<Message> {
        let frame = tokio::time::timeout(LONG, self.socket.next()).await.expect("something within a minute");
        frame.and_then(Result::ok)
    }

    async fn payload(&mut self) -> Value {
        let text = match self.frame().await {
            Some(Message::Text(text)) if self.stream.is_none() => text.to_string(),
            Some(Message::Binary(packed)) => {
                let mut out = Vec::with_capacity(1 << 16);
                let stream = self.stream.as_mut().expect("asked for");
                stream.decompress_vec(&packed, &mut out, FlushDecompress::Sync).expect("zlib");
                String::from_utf8(out).expect("text")
            }
            other => panic!("no payload: {other:?}"),
        };
        serde_json::from_str(&text).expect("JSON")
    }

    /// Reads until an event of this name, and returns its data.
    async fn event(&mut self, name: &str) -> Value {
        loop {
            let mut payload = self.payload().await;
            if payload["t"] == name {
                return payload["d"].take();
            }
        }
    }

    async fn close_code(&mut self) -> Option<u16> {
        loop {
            match self.frame().await? {
                Message::Close(frame) => return frame.map(|frame| frame.code.into()),
                _ => continue,
            }
        }
    }
}

async fn double(change: impl FnOnce(&mut Settings)) -> (DiscordDouble, u64) {
    let mut settings = Settings { pace: Duration::ZERO, ..Settings::default() };
    change(&mut settings);
    let double = DiscordDouble::start(settings).await.expect("a free port");
    let channel = double.add_guild(GUILD, "a guild");
    (double, channel)
}

fn identify(token: &str) -> Value {
    let intents = intents::GUILDS | intents::GUILD_MESSAGES | intents::MESSAGE_CONTENT;
    json!({"op": 2, "d": {"token": token, "intents": intents, "properties": {}}})
}

async fn logged_in(double: &DiscordDouble, more: &str) -> Bot {
    let mut bot = Bot::connect(&format!("{}/?v=10&encoding=json{more}", double.gateway_url())).await;
    assert_eq!(bot.payload().await["op"], 10);
    bot.send(identify(double.token())).await;
    bot.event("GUILD_CREATE").await;
    bot
}

#[tokio::test]
async fn what_a_user_types_arrives_plain_and_compressed() {
    let (double, channel) = double(|_| {}).await;
    let (mut plain, mut packed) = (logged_in(&double, "").await, logged_in(&double, "&compress=zlib-stream").await);
    for text in ["hello", "hello again"] {
        double.say(channel, &User::new(7, "ann"), text).expect("a channel");
        for bot in [&mut plain, &mut packed] {
            assert_eq!(bot.event("MESSAGE_CREATE").await["content"], text);
        }
    }
    let asked: Vec<_> = double.connected().into_iter().map(|made| made.compress).collect();
    assert_eq!(asked, [None, Some("zlib-stream".to_owned())]);
}

#[tokio::test]
async fn a_close_code_arrives_and_a_cut_connection_has_none() {
    let (double, _) = double(|_| {}).await;
    let mut bot = logged_in(&double, "").await;
    assert_eq!(double.close(0, 4000), 1);
    assert_eq!(bot.close_code().await, Some(4000));
    let mut bot = logged_in(&double, "").await;
    assert_eq!(double.cut(0), 1);
    assert_eq!(bot.close_code().await, None);
}

#[tokio::test]
async fn a_client_that_resumes_by_the_resume_url_is_given_what_it_missed() {
    let (double, channel) = double(|_| {}).await;
    let mut bot = Bot::connect(&format!("{}/?v=10", double.gateway_url())).await;
    bot.send(identify(double.token())).await;
    let ready = bot.event("READY").await;
    bot.event("GUILD_CREATE").await;
    double.cut(0);
    double.say(channel, &User::new(7, "ann"), "missed").expect("a channel");
    let url = format!("{}?v=10&encoding=json", ready["resume_gateway_url"].as_str().expect("a URL"));
    double.set_stale_resume_url(true);
    match connect_async(&url).await {
        Err(Error::Http(answer)) => assert_eq!(answer.status(), 503),
        other => panic!("a stale URL was answered: {other:?}"),
    }
    double.set_stale_resume_url(false);
    let mut back = Bot::connect(&url).await;
    back.send(json!({"op": 6, "d": {"token": double.token(), "session_id": ready["session_id"], "seq": 2}})).await;
    assert_eq!(back.event("MESSAGE_CREATE").await["content"], "missed");
    back.event("RESUMED").await;
    let resumes = double.resumes();
    assert_eq!((resumes[0].answer, resumes[0].replayed, resumes[0].by_resume_url), (Answer::Accepted, 1, true));
}

#[tokio::test]
async fn a_client_that_never_beats_is_closed() {
    let (double, _) = double(|settings| settings.heartbeat = Duration::from_secs(3)).await;
    let mut bot = logged_in(&double, "").await;
    assert_eq!(bot.close_code().await, Some(4009));
}

#[tokio::test]
async fn a_silent_gateway_accepts_and_greets_nobody() {
    let (double, _) = double(|_| {}).await;
    double.set_silent(true);
    let url = format!("{}/?v=10", double.gateway_url());
    let mut first = Bot::connect(&url).await;
    first.send(identify(double.token())).await;
    // What is said to a client is decided when the double takes its connection, which may be after the client has it.
    while double.connected().is_empty() {
        tokio::task::yield_now().await;
    }
    double.set_silent(false);
    let mut second = Bot::connect(&url).await;
    assert_eq!(second.payload().await["op"], 10);
    double.forget_sessions();
    assert_eq!(first.frame().await, None, "it never heard a word");
    assert!(double.identifies().is_empty());
}

#[tokio::test]
async fn too_long_a_payload_and_nonsense_are_closed_with_4002() {
    let (double, _) = double(|_| {}).await;
    for text in ["x".repeat(100_000), "{".to_owned()] {
        let mut bot = Bot::connect(&format!("{}/?v=10", double.gateway_url())).await;
        bot.socket.send(Message::text(text)).await.expect("an open connection");
        assert_eq!(bot.close_code().await, Some(4002));
    }
}

#[tokio::test]
async fn what_is_sent_raw_and_what_nobody_knows_arrives_as_it_is() {
    let (double, _) = double(|_| {}).await;
    let mut bot = logged_in(&double, "").await;
    double.send_raw(0, "{not json");
    assert_eq!(bot.frame().await, Some(Message::text("{not json")));
    double.send_event(0, "NOBODY_KNOWS", &json!({"a": 1}));
    assert_eq!(bot.event("NOBODY_KNOWS").await, json!({"a": 1}));
}

#[tokio::test]
async fn a_double_that_is_dropped_leaves_nobody_connected() {
    let (double, _) = double(|_| {}).await;
    let mut bot = logged_in(&double, "").await;
    drop(double);
    assert_eq!(bot.close_code().await, None);
}

#[tokio::test]
async fn rest_is_served_beside_the_gateway() {
    let (double, channel) = double(|_| {}).await;
    let mut bot = logged_in(&double, "").await;
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let url = format!("{}/v10/channels/{channel}/messages", double.rest_url());
    for (token, status) in [("wrong", 401), (double.token(), 200)] {
        let request = http::Request::post(&url).header("authorization", format!("Bot {token}"));
        let request = request.body(Full::from(r#"{"content":"from the bot"}"#)).expect("a request");
        let answer = client.request(request).await.expect("an answer");
        assert_eq!(answer.status(), status);
        if status == 200 {
            assert_eq!(answer.headers()["x-ratelimit-remaining"], "4");
            let body = answer.into_body().collect().await.expect("a body").to_bytes();
            let message: Value = serde_json::from_slice(&body).expect("JSON");
            assert_eq!(bot.event("MESSAGE_CREATE").await["id"], message["id"]);
        }
    }
    let statuses: Vec<_> = double.calls().into_iter().map(|call| call.status).collect();
    assert_eq!((statuses, double.invalid_requests()), (vec![401, 200], 1));
}
