//! A newcomer's first bot on Discord: `berth up --discord-double` has a Discord of its own and a page to type into. What is typed
//! there reaches the bot through a shard, and its answer is on the page.

use berth_tests::{
    Client, eventually,
    handler_double::{HandlerDouble, Says},
    role::free_ports,
    supervised::Up,
};
use serde_json::{Value, json};
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(180);

/// The page of a running `up`, used as its script does.
struct Page {
    client: Client,
    url: String,
}

impl Page {
    async fn get(&self, path: &str) -> Option<Value> {
        let reply = self.client.get(&format!("{}{path}", self.url)).await.ok()?;
        (reply.status == 200).then(|| reply.json())
    }

    async fn rooms(&self) -> Vec<(String, String)> {
        let rooms = eventually("the page names its guilds", PATIENCE, async || self.get("/page/rooms").await).await;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let rooms = rooms.as_array().expect("a list").iter();
        rooms.map(|room| (text(&room["name"]), text(&room["channel"]))).collect()
    }

    async fn post(&self, body: String, kind: &str, host: Option<&str>) -> u16 {
        let mut headers = vec![("content-type".to_owned(), kind.to_owned())];
        headers.extend(host.map(|host| ("host".to_owned(), host.to_owned())));
        let url = format!("{}/page/messages", self.url);
        let reply = self.client.call(http::Method::POST, &url, &headers, body).await;
        reply.expect("the page answers").status
    }

    /// Types something until the bot has answered with a text that contains `part`: what is written before a shard's session
    /// begins is told to nobody.
    async fn answered(&self, channel: &str, text: &str, part: &str) {
        eventually(&format!("{text:?} is answered with {part:?}"), PATIENCE, async || {
            let body = json!({"channel": channel, "text": text}).to_string();
            assert_eq!(self.post(body, "application/json", None).await, 200);
            let path = format!("/page/messages?channel={channel}");
            for _ in 0..10 {
                let messages = self.get(&path).await?;
                let by_bot = |message: &&Value| message["bot"] == true && message["author"] == "berth";
                let mut said = messages.as_array()?.iter().filter(by_bot);
                if said.any(|message| message["text"].as_str().is_some_and(|text| text.contains(part))) {
                    return Some(());
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            None
        })
        .await;
    }
}

async fn begin(folder: &TempDir, more: &[&str]) -> (Up, Page) {
    let first = free_ports(5);
    let port = (first + 4).to_string();
    let line = [&["--discord-double", "--discord-double-port", &port], more].concat();
    let mut up = Up::start_on(folder.path(), first, &line);
    up.ready().await;
    let page = Page { client: Client::new(Duration::from_secs(10)), url: format!("http://127.0.0.1:{port}") };
    assert!(up.process.stdout.contains(&format!("discord    {}/", page.url)), "{}", up.process.stdout.tail(30));
    assert!(up.process.stdout.contains("  admin API  "), "{}", up.process.stdout.tail(30));
    (up, page)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_newcomer_types_on_the_page_is_answered_by_the_bot_in_every_guild() {
    let folder = TempDir::with_prefix("berth-up-").expect("a temporary folder");
    let (_up, page) = begin(&folder, &[]).await;
    let rooms = page.rooms().await;
    assert_eq!(rooms.len(), 3, "{rooms:?}");
    for (name, channel) in &rooms {
        page.answered(channel, "/warn bob too loud", "bob has been warned: too loud").await;
        page.answered(channel, "/warnings bob", "too loud").await;
        assert!(!name.is_empty());
    }
    let reply = page.client.get(&format!("{}/", page.url)).await.expect("the page");
    assert!(reply.text().contains("<input id=\"text\""), "{}", reply.text());
    let policy = reply.header("content-security-policy").expect("a policy");
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    for part in ["/page.css", "/page.js"] {
        let reply = page.client.get(&format!("{}{part}", page.url)).await.expect("a part of the page");
        assert_eq!(reply.status, 200, "{part}");
    }
    // What another site can make a browser send is not read.
    let body = json!({"channel": rooms[0].1, "text": "/stats"}).to_string();
    assert_eq!(page.post(body.clone(), "text/plain", None).await, 415);
    assert_eq!(page.post(body, "application/json", Some("evil.example")).await, 403);
    assert_eq!(page.post(json!({"channel": "1", "text": "x"}).to_string(), "application/json", None).await, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_of_ones_own_answers_on_the_page() {
    let handler =
        HandlerDouble::start(|asked| match asked.body.pointer("/event/message/text").and_then(Value::as_str) {
            Some(text) => Says::Json(200, json!({"reply": {"text": format!("you said {text}")}})),
            None if asked.route == "GET /v1/describe" => {
                Says::Json(200, json!({"api": ["1"], "name": "own", "version": "1"}))
            }
            None => Says::Json(200, json!({})),
        });
    let folder = TempDir::with_prefix("berth-up-").expect("a temporary folder");
    let (_up, page) = begin(&folder, &["--handler", &handler.url()]).await;
    let rooms = page.rooms().await;
    page.answered(&rooms[1].1, "hello", "you said hello").await;
}
