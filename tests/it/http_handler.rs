//! Handlers that are other programs: what a pod asks, what it takes for an answer, and what it does with one that is wrong,
//! late, cut or gone.

use berth_tests::{
    Cluster, Setup,
    cluster::ADMIN_TOKEN,
    double::PlatformDouble,
    eventually,
    handler_double::{Asked, HandlerDouble, Says, whole},
    pod_data,
    role::free_port,
    senders::{discord, standard},
    supervised,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{task::JoinSet, time::Instant};

const SECOND: Duration = Duration::from_secs(1);
/// The machine may be busy with much else: nothing here is about how long something takes.
const LONG: Duration = Duration::from_secs(120);

fn with_handler(url: &str) -> Setup {
    Setup { gateways: 1, ..Setup::default() }
        .with("BERTH_HANDLER", url)
        .with("BERTH_HANDLER_TOKEN", "swordfish")
        .with("BERTH_HANDLER_PROBE", "200ms")
        .with("BERTH_HANDLER_RETRY", "100ms")
}

fn described() -> Says {
    Says::Json(
        200,
        json!({"api": ["1"], "name": "double", "preload": ["handled"], "statements": {"odd": "DELETE FROM x"}}),
    )
}

/// The event's own body, which says what to do.
fn told(asked: &Asked) -> Value {
    serde_json::from_str(asked.body["event"]["body"].as_str().unwrap_or_default()).unwrap_or_default()
}

/// Counts the events of a target, and answers with the count.
fn count(asked: &Asked) -> Says {
    let handled = asked.body["state"]["kv"]["handled"].as_u64().unwrap_or(0) + 1;
    Says::Json(200, json!({"reply": {"body": {"handled": handled}}, "kv": {"set": {"handled": handled}}}))
}

async fn tell(cluster: &Cluster, target: &str, id: &str, mut told: Value) -> (u16, Value) {
    told["target"] = json!(target);
    let delivery = standard::signed(&cluster.keys, id, told.to_string().as_bytes());
    let reply = cluster.post(&delivery).await.expect("an answer");
    (reply.status, reply.json())
}

/// Returns the reasons of events that were put aside by their ids, and the keys of all targets, from a pod that has stopped.
fn dead_and_kept(cluster: &Cluster) -> (BTreeMap<String, String>, Vec<(String, String)>) {
    let database = pod_data::open(&cluster.pod_folder("gateway-0"));
    let mut dead =
        database.prepare("SELECT event_id, reason FROM journal WHERE state IN ('dead', 'failed')").expect("a schema");
    let dead = dead.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("readable").map(|row| row.expect("row"));
    let dead = dead.collect();
    let mut kv = database
        .prepare("SELECT name, key FROM kv JOIN target ON target.id = target_id ORDER BY name, key")
        .expect("a schema");
    let kept = kv.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("readable").map(|row| row.expect("row"));
    (dead, kept.collect())
}

/// What a handler can do wrong, and what the journal then says.
fn wrongs() -> Vec<(&'static str, Says, &'static str)> {
    let kv = r#"{"kv":{"set":{"lost":1}}}"#;
    let head = |more: &str| format!("HTTP/1.1 200 OK\r\n{more}\r\n");
    let lost = |text: &str| Says::Text(200, text.to_owned());
    vec![
        ("hangs", Says::Nothing, "took longer than 5s"),
        ("drips", Says::Drip(whole(200, kv)), "took longer than 5s"),
        ("late", Says::After(12 * SECOND, json!({"kv": {"set": {"lost": 1}}})), "took longer than 5s"),
        ("interim", Says::Flood(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()), "took longer than 5s"),
        ("long", Says::Bytes(format!("{}{kv}", head("content-length: 9999\r\n")).into_bytes()), "broke off its answer"),
        ("short", Says::Loose(format!("{}{kv}", head("content-length: 7\r\n")).into_bytes()), "answer: no JSON"),
        ("dies", Says::Bytes(b"HTTP/1.1 200 OK\r\ncontent-le".to_vec()), "broke off its answer"),
        (
            "chunk",
            Says::Bytes(format!("{}ff\r\n{kv}", head("transfer-encoding: chunked\r\n")).into_bytes()),
            "broke off",
        ),
        ("silent", Says::Bytes(vec![]), "broke off its answer"),
        ("noise", Says::Bytes(vec![0xff; 4_000]), "broke off its answer"),
        ("huge", lost(&format!("{{\"reply\":\"{}\"}}", "x".repeat(10 << 20))), "more than 1048576 bytes"),
        ("heads", Says::Bytes(head(&"x-pad: 0123456789\r\n".repeat(50_000)).into_bytes()), "broke off its answer"),
        (
            "redirects",
            Says::Bytes(b"HTTP/1.1 307 x\r\nlocation: /v1/describe\r\ncontent-length: 0\r\n\r\n".to_vec()),
            "redirects are not followed",
        ),
        (
            "utf8",
            Says::Bytes(
                [whole(200, "{\"kv\":{\"set\":{\"a\":\"xx\"}}}")]
                    .concat()
                    .iter()
                    .map(|b| if *b == b'x' { 0xc3 } else { *b })
                    .collect(),
            ),
            "answer: no JSON: invalid unicode",
        ),
        ("text", lost("<html>"), "answer: no JSON"),
        ("type", lost(r#"{"kv":{"set":[1]}}"#), "answer.kv.set: expected an object, found a list"),
        ("unknown", lost(r#"{"kv":{"set":{"lost":1}},"wishes":1}"#), "unknown field \"wishes\""),
        ("version", lost(r#"{"api":"2","kv":{"set":{"lost":1}}}"#), "unknown field \"api\""),
        ("table", lost(r#"{"kv":{"set":{"lost":1}},"sql":[{"statement":"DELETE FROM nowhere"}]}"#), "sql[0]: "),
        ("named", lost(r#"{"kv":{"set":{"lost":1}},"sql":[{"statement":"odd"}]}"#), "sql[0]: "),
        ("berths", lost(r#"{"kv":{"set":{"lost":1}},"sql":[{"statement":"UPDATE kv SET value = 1"}]}"#), "sql[0]: "),
        ("outside", lost(r#"{"kv":{"set":{"lost":1}},"outbox":[{"id":"1","url":"http://10.0.0.1/"}]}"#), "outbox[0]: "),
        (
            "500",
            Says::Text(500, "the cause\nin words".to_owned()),
            "answered 500 Internal Server Error: the cause in words",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_wrong_with_an_answer_keeps_nothing_says_why_and_holds_up_no_other_target() {
    let script: BTreeMap<_, _> = wrongs().into_iter().map(|(what, says, _)| (what, says)).collect();
    let handler = HandlerDouble::start(move |asked| match asked.route.as_str() {
        "GET /v1/describe" => described(),
        _ => told(asked)["do"].as_str().and_then(|what| script.get(what).cloned()).unwrap_or_else(|| count(asked)),
    });
    let mut cluster = with_handler(&handler.url())
        .with("BERTH_HANDLER_ATTEMPTS", "1")
        .with("BERTH_HANDLER_TIMEOUT_SLOW", "5s")
        .start()
        .await;
    let mut sent = JoinSet::new();
    for (what, ..) in wrongs() {
        let (client, keys) = (cluster.client.clone(), cluster.keys.clone());
        let url = cluster.routers[0].url("/webhooks/standard/shop");
        sent.spawn(async move {
            let body = json!({"target": what, "do": what}).to_string();
            let delivery = standard::signed(&keys, what, body.as_bytes());
            let reply =
                client.call(http::Method::POST, &url, &delivery.headers, delivery.body).await.expect("an answer");
            (what, reply.status)
        });
    }
    // Meanwhile others are served, and not one is mixed up with a wrong answer.
    let begun = Instant::now();
    for n in 1..=30_u64 {
        let target = format!("good{}", n % 3);
        let (status, answer) = tell(&cluster, &target, &format!("good-{n}"), json!({})).await;
        assert_eq!((status, answer), (200, json!({"handled": n.div_ceil(3)})), "{n} after {:?}", begun.elapsed());
    }
    while let Some(ended) = sent.join_next().await {
        let (what, status) = ended.expect("a sender ends well");
        assert_eq!(status, 200, "{what} is put aside and acknowledged");
    }
    cluster.gateways[0].stop().await;
    let (dead, kept) = dead_and_kept(&cluster);
    for (what, _, reason) in wrongs() {
        let found = dead.get(what).map_or("not put aside", String::as_str);
        assert!(found.contains(reason), "{what}: {found}");
    }
    let names: Vec<_> = (0..3).map(|n| (format!("webhook:key:shop.good{n}"), "handled".to_owned())).collect();
    assert_eq!(kept, names, "nothing of a wrong answer is kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_is_sent_everything_it_needs_and_may_read_its_target_while_it_works_only() {
    let (seen, reads) = (Arc::<Mutex<Vec<Asked>>>::default(), Arc::<Mutex<Vec<(String, u16, String)>>>::default());
    let (asked_all, read_all) = (Arc::clone(&seen), Arc::clone(&reads));
    let handler = HandlerDouble::start(move |asked| {
        if asked.route == "GET /v1/describe" {
            return Says::Json(200, json!({"api": ["1"], "preload": ["note", "n:*"]}));
        }
        let target = asked.body["event"]["target"].as_str().unwrap_or_default();
        for path in [
            format!("/v1/local/targets/{target}/kv/note"),
            format!("/v1/local/targets/{target}/kv/n:a%2Fb"),
            format!("/v1/local/targets/{target}/kv?prefix=n:&limit=1"),
            format!("/v1/local/targets/{target}/sessions/s"),
            "/v1/local/targets/discord:guild:other/kv/note".to_owned(),
        ] {
            let (status, text) = read_local(&asked.body, &path);
            read_all.lock().expect("whole").push((path, status, text));
        }
        asked_all.lock().expect("whole").push(asked.clone());
        Says::Json(
            200,
            json!({
                "reply": {"text": "done", "private": true},
                "kv": {"set": {"note": "first", "n:a/b": [1], "n:c": 2}, "ttl_ms": {"n:c": 600_000}},
                "sessions": [{"id": "s", "set": {"step": 1}, "ttl_ms": 600_000}],
            }),
        )
    });
    let cluster = with_handler(&handler.url()).start().await;
    for id in ["1001", "1002"] {
        let options = json!([{"name": "user", "type": 3, "value": "bob"}]);
        let body = discord::command("77", id, "Warn", &options).to_string();
        let delivery = discord::signed(&cluster.keys, discord::INTERACTIONS, body.as_bytes());
        let reply = cluster.post_until_taken(&delivery, LONG).await.json();
        assert_eq!((&reply["data"]["content"], &reply["data"]["flags"]), (&json!("done"), &json!(64)));
    }
    let seen = seen.lock().expect("whole").clone();
    let (first, second) = (&seen[0], &seen[1]);
    let header = |name: &str| first.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
    assert_eq!(header("authorization"), Some("Bearer swordfish"));
    assert_eq!((header("berth-target"), header("content-type")), (Some("discord:guild:77"), Some("application/json")));
    let event = &first.body["event"];
    assert_eq!((&event["platform"], &event["kind"]), (&json!("discord"), &json!("discord_command")));
    assert_eq!((&event["id"], &event["attempt"], &event["form"]), (&json!("1001"), &json!(1), &Value::Null));
    assert_eq!(event["command"], json!({"name": "warn", "user": "200", "args": "bob", "options": {"user": "bob"}}));
    assert!(first.body["deadline_ms"].as_u64().is_some_and(|left| (1..=2_000).contains(&left)), "{}", first.body);
    assert_eq!((&first.body["api"], &first.body["state"]["kv"]), (&json!("1"), &json!({})));
    assert_eq!(second.body["state"]["kv"], json!({"note": "first", "n:a/b": [1], "n:c": 2}));
    let reads = reads.lock().expect("whole").clone();
    let answers: Vec<_> =
        reads.iter().map(|(_, status, text)| (*status, serde_json::from_str(text).unwrap_or(json!(text)))).collect();
    assert_eq!(answers[..5].iter().map(|(status, _)| *status).collect::<Vec<_>>(), [404, 404, 200, 404, 401]);
    assert_eq!(answers[2].1, json!({"entries": [], "more": false}));
    assert_eq!(
        (answers[5].clone(), answers[6].clone()),
        ((200, json!({"value": "first"})), (200, json!({"value": [1]})))
    );
    assert_eq!(answers[7], (200, json!({"entries": [{"key": "n:a/b", "value": [1]}], "more": true})));
    assert_eq!((answers[8].clone(), answers[9].0), ((200, json!({"value": {"step": 1}})), 401));
    // The calls are over, and so are their tokens.
    let path = "/v1/local/targets/discord:guild:77/kv/note";
    assert_eq!(read_local(&second.body, path).0, 401);
}

/// Reads on the pod's loopback listener with the token of a call, as a handler does.
fn read_local(asked: &Value, path: &str) -> (u16, String) {
    ask_local(asked, "GET", path, "")
}

fn ask_local(asked: &Value, method: &str, path: &str, body: &str) -> (u16, String) {
    let (url, token) =
        (asked["local"]["url"].as_str().expect("a URL"), asked["local"]["token"].as_str().expect("a token"));
    let (host, length) = (url.trim_start_matches("http://"), body.len());
    let mut stream = TcpStream::connect(host).expect("the listener accepts");
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\nauthorization: Bearer {token}\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(head.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("read");
    let body = answer.split_once("\r\n\r\n").map_or(String::new(), |(_, body)| body.to_owned());
    (berth_tests::raw::status(&answer), body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_reads_and_writes_its_own_tables_and_never_another_targets_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    let table = "CREATE TABLE note (target_id INTEGER NOT NULL, id INTEGER NOT NULL, text TEXT NOT NULL,
                 PRIMARY KEY (target_id, id)) STRICT, WITHOUT ROWID;";
    std::fs::write(folder.path().join("0001_note.sql"), table).expect("a migration");
    std::fs::write(folder.path().join("schema.toml"), "[tables.note]\ncolumn = 'target_id'\n").expect("a map");
    let handler = HandlerDouble::start(|asked| {
        if asked.route == "GET /v1/describe" {
            let add = "INSERT INTO note (target_id, id, text) VALUES (:target, :id, :text)";
            let statements = json!({"add": add, "all": "SELECT text FROM note ORDER BY id"});
            return Says::Json(200, json!({"api": ["1"], "statements": statements}));
        }
        let (told, target) = (told(asked), asked.body["event"]["target"].as_str().unwrap_or_default());
        let path = format!("/v1/local/targets/{target}/query");
        let ask = |query: Value| ask_local(&asked.body, "POST", &path, &query.to_string());
        let (status, found) = ask(json!({"statement": "SELECT text FROM note ORDER BY id", "params": []}));
        assert_eq!(status, 200, "{found}");
        assert_eq!(ask(json!({"statement": "all"})), (200, found.clone()), "a name stands for its statement");
        let rows = serde_json::from_str::<Value>(&found).expect("rows")["rows"].clone();
        let (written, _) = ask(json!({"statement": "DELETE FROM note"}));
        let (added, why) = ask(json!({"statement": "add", "params": {"id": 7, "text": "x"}}));
        assert!(added == 400 && why.contains("only reads"), "{added} {why}");
        Says::Json(
            200,
            json!({
                "reply": {"body": {"rows": rows, "deleting": written}},
                "sql": told["sql"].as_array().cloned().unwrap_or_default(),
            }),
        )
    });
    let mut cluster = with_handler(&handler.url())
        .with("BERTH_MIGRATIONS", folder.path().to_str().expect("a plain name"))
        .with("BERTH_HANDLER_ATTEMPTS", "1")
        .start()
        .await;
    let add = |text: &str| json!({"sql": [{"statement": "add", "params": {"id": 1, "text": text}}]});
    for target in ["a", "b"] {
        assert_eq!(tell(&cluster, target, &format!("{target}-add"), add(target)).await.0, 200);
    }
    for (n, theft) in [
        "UPDATE note SET text = 'stolen'",
        "DELETE FROM note",
        "INSERT OR REPLACE INTO note (target_id, id, text) SELECT target_id, id, 'stolen' FROM note",
        "UPDATE note SET target_id = target_id + 1",
    ]
    .iter()
    .enumerate()
    {
        // What it does to its own row first is undone with the rest.
        let sql =
            json!({"sql": [{"statement": "add", "params": {"id": 100 + n, "text": "kept"}}, {"statement": theft}]});
        tell(&cluster, "b", &format!("theft-{n}"), sql).await;
    }
    for target in ["a", "b"] {
        let (status, said) = tell(&cluster, target, &format!("{target}-read"), json!({})).await;
        assert_eq!((status, &said["rows"]), (200, &json!([[target]])), "{said}");
        assert!(said["deleting"].as_u64().is_some_and(|status| status >= 400), "{said}");
    }
    for target in ["a", "b"] {
        let (name, url) = (format!("webhook:key:shop.{target}"), cluster.config.url(""));
        let exported =
            supervised::run(&["target", "export", &name, "--config-url", &url, "--token", ADMIN_TOKEN]).stdout;
        let lines: Vec<Value> =
            String::from_utf8_lossy(&exported).lines().map(|line| line.parse().expect("JSON")).collect();
        let rows: Vec<_> = lines.iter().filter(|line| line["table"] == "note").map(|line| &line["row"]).collect();
        assert_eq!(rows, [&json!({"id": 1, "text": target})], "the export of {target}");
    }
    cluster.gateways[0].stop().await;
    let (aside, _) = dead_and_kept(&cluster);
    for n in 0..4 {
        let reason = aside.get(&format!("theft-{n}")).map_or("not put aside", String::as_str);
        assert!(reason.starts_with("sql[1]: "), "{n}: {reason}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_left_over_from_one_answer_are_never_taken_for_the_next() {
    let handler = HandlerDouble::start(|asked| match asked.route.as_str() {
        "GET /v1/describe" => described(),
        _ if told(asked)["do"] == "smuggle" => {
            let evil = r#"{"reply":{"body":{"handled":666}}}"#;
            Says::Loose([whole(200, "{}"), whole(200, evil), whole(200, evil)].concat())
        }
        _ => count(asked),
    });
    let cluster = with_handler(&handler.url()).start().await;
    for n in 1..=20_u64 {
        assert_eq!(tell(&cluster, "evil", &format!("evil-{n}"), json!({"do": "smuggle"})).await.0, 200);
        assert_eq!(tell(&cluster, "good", &format!("good-{n}"), json!({})).await, (200, json!({"handled": n})));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_whose_handler_is_not_there_owns_its_targets_says_why_it_is_not_ready_and_keeps_their_events() {
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let mut cluster = with_handler(&url).prepare();
    cluster.config.ready().await;
    cluster.launch_rest();
    let said = eventually("the pod says that its handler is missing", LONG, async || {
        let reply = cluster.client.get(&cluster.gateways[0].url("/readyz")).await.ok()?;
        let text = reply.text();
        (reply.status == 503 && text.lines().count() == 1).then_some(text)
    })
    .await;
    assert!(said.starts_with("handler: ") && said.contains(&url), "{said}");
    eventually("config-service says it too", LONG, async || {
        let pods = cluster.pods().await;
        pods[0].not_ready.as_ref().filter(|why| why.contains(&url)).map(drop)
    })
    .await;
    cluster.routers[0].ready().await;
    // GitHub and others are acknowledged when their time nears; this one is kept, and handled when there is a handler.
    let command = discord::command("77", "1", "x", &json!([])).to_string();
    let delivery = discord::signed(&cluster.keys, discord::INTERACTIONS, command.as_bytes());
    let reply = cluster.post_until_taken(&delivery, LONG).await;
    assert_eq!(reply.json()["type"], json!(5), "deferred: {}", reply.text());
    let _handler = HandlerDouble::start_on(port, |asked| match asked.route.as_str() {
        "GET /v1/describe" => described(),
        _ => count(asked),
    });
    cluster.gateways[0].ready().await;
    eventually("config-service hears that it is well", LONG, async || cluster.pods().await[0].is_well().then_some(()))
        .await;
    eventually("the event is handled", LONG, async || {
        cluster.state("discord:guild:77").await.filter(|state| state.applied == 1)
    })
    .await;
    let failed = cluster.gateways[0].metric("berth_events_total", &[("result", "retried")]).await;
    assert!(failed == 0.0, "while it was known to be down, no attempt was counted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_of_another_version_is_refused_with_both_versions_named() {
    let handler = HandlerDouble::start(|_| Says::Json(200, json!({"api": ["7"]})));
    let mut cluster = with_handler(&handler.url()).prepare();
    cluster.config.ready().await;
    cluster.launch_rest();
    let ended = eventually("the pod refuses to start", LONG, async || cluster.gateways[0].process().ended()).await;
    assert!(!ended.success());
    assert!(cluster.gateways[0].logged("the handler speaks version 7 of the handlers' API, this gateway version 1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_reply_leaves_when_the_call_returns_although_the_pod_was_killed_meanwhile() {
    let (outside, open, calls) =
        (PlatformDouble::start().await, Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
    let (gate, counted) = (Arc::clone(&open), Arc::clone(&calls));
    let handler = HandlerDouble::start(move |asked| match asked.route.as_str() {
        "GET /v1/describe" => described(),
        _ => {
            counted.fetch_add(1, Ordering::SeqCst);
            if gate.load(Ordering::SeqCst) {
                Says::Json(200, json!({"reply": {"text": "at last"}, "kv": {"set": {"handled": 1}}}))
            } else {
                Says::Nothing
            }
        }
    });
    let mut cluster = with_handler(&handler.url())
        .with("BERTH_HANDLER_TIMEOUT_FAST", "20s")
        .with("BERTH_DISCORD_API", &format!("http://{}", outside.host()))
        .with("BERTH_OUTBOX_HOSTS", &outside.host())
        .with("BERTH_OUTBOX_PRIVATE", "true")
        .start()
        .await;
    let command = discord::command("77", "1", "x", &json!([])).to_string();
    let delivery = discord::signed(&cluster.keys, discord::INTERACTIONS, command.as_bytes());
    let reply = cluster.post_until_taken(&delivery, LONG).await;
    assert_eq!(reply.json()["type"], json!(5), "deferred: {}", reply.text());
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    cluster.gateways[0].kill().await;
    open.store(true, Ordering::SeqCst);
    cluster.gateways[0].start_again();
    cluster.gateways[0].ready().await;
    let call = eventually("the reply leaves", LONG, async || outside.calls().into_iter().next()).await;
    assert_eq!((call.method.as_str(), call.path.as_str()), ("PATCH", "/webhooks/100/token-1/messages/@original"));
    assert!(call.body.contains("at last"), "{}", call.body);
    assert_eq!(calls.load(Ordering::SeqCst), 2, "the call that was out when the pod died was made again");
    cluster.applied("discord:guild:77", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_is_killed_and_started_again_under_load_loses_nothing_and_does_nothing_twice() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/it/counting_handler.py");
    let port = free_port();
    let start = || {
        let mut command = berth_tests::process::clean(std::process::Command::new("python3"));
        command.arg(script).env("PORT", port.to_string()).env("PYTHONDONTWRITEBYTECODE", "1");
        berth_tests::process::Process::start("handler", command)
    };
    let mut handler = start();
    let mut cluster =
        with_handler(&format!("http://127.0.0.1:{port}")).with("BERTH_HANDLER_ATTEMPTS", "1000").start().await;
    let (stop, taken) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
    let mut senders = JoinSet::new();
    for sender in 0..6 {
        let (client, keys) = (cluster.client.clone(), cluster.keys.clone());
        let url = cluster.routers[0].url("/webhooks/standard/shop");
        let (stop, taken) = (Arc::clone(&stop), Arc::clone(&taken));
        senders.spawn(async move {
            let mut sent = 0_u64;
            while !stop.load(Ordering::SeqCst) {
                sent += 1;
                let body = json!({"target": format!("k{sender}")}).to_string();
                loop {
                    let delivery = standard::signed(&keys, &format!("{sender}-{sent}"), body.as_bytes());
                    let reply = client.call(http::Method::POST, &url, &delivery.headers, delivery.body).await;
                    if reply.is_ok_and(|reply| reply.status == 200) {
                        break;
                    }
                }
                taken.fetch_add(1, Ordering::SeqCst);
            }
            (sender, sent)
        });
    }
    for _ in 0..3 {
        let from = taken.load(Ordering::SeqCst);
        eventually("events are taken", LONG, async || (taken.load(Ordering::SeqCst) > from + 40).then_some(())).await;
        handler.kill().await;
        handler = start();
    }
    stop.store(true, Ordering::SeqCst);
    let mut sent = BTreeMap::new();
    while let Some(ended) = senders.join_next().await {
        let (sender, n) = ended.expect("a sender ends well");
        sent.insert(format!("webhook:key:shop.k{sender}"), n);
    }
    for (target, n) in &sent {
        eventually("all are applied", LONG, async || cluster.state(target).await.filter(|state| state.applied == *n))
            .await;
    }
    cluster.gateways[0].stop().await;
    drop(handler);
    let database = pod_data::open(&cluster.pod_folder("gateway-0"));
    for (target, n) in sent {
        let sql = "SELECT value FROM kv JOIN target ON target.id = target_id WHERE name = ?1 AND key = 'handled'";
        let handled: String = database.query_row(sql, [&target], |row| row.get(0)).expect("counted");
        assert_eq!(handled, n.to_string(), "{target}");
    }
}
