//! The checks, in the order in which they are made, against a handler that can be reached. Each plays something that
//! happens to handlers in a cluster, and says what Berth would do with the answer.

mod run;

use super::{
    cases::{self, Case},
    judge::{self, Described},
    local::Shared,
    player::{Player, Refused, shown},
    report::Check,
    shape::describe,
};
use http::{Method, StatusCode};
use run::{Bench, Played};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::{task::JoinSet, time::sleep};

/// How long a description may take.
const DESCRIBE: Duration = Duration::from_secs(5);
/// From here on a description is slow: a pod asks for it before it is ready.
const SLOW: Duration = Duration::from_secs(2);
/// How many targets speak at once.
const AT_ONCE: u64 = 8;
/// Most timers of the handler's own that are played.
const MOST_TIMERS: usize = 8;

/// Makes all checks. Returns what the handler calls itself, and what was found.
pub(super) async fn checks(
    player: &Player,
    world: &Shared,
    local: &str,
    now_ms: u64,
    limit: Duration,
) -> (Option<String>, Vec<Check>) {
    let described = match describes(player, limit).await {
        Ok((described, check)) => (described, check),
        Err(check) => return (None, vec![check]),
    };
    let (described, first) = described;
    let name = described.name.clone();
    let bench = Bench::new(player.clone(), world.clone(), local, described, now_ms, limit);
    let mut all = vec![first, describes_again(&bench).await];
    for case in cases::kinds(now_ms).into_iter().chain(cases::commands(now_ms)).chain(cases::bodies(now_ms)) {
        all.push(event(&bench, &case).await);
    }
    all.push(newer_fields(&bench).await);
    all.push(twice(&bench).await);
    all.extend(timers(&bench).await);
    all.push(hurried(&bench).await);
    all.push(reads(&bench));
    all.push(reads_refused(&bench).await);
    all.push(beside_each_other(&bench).await);
    all.push(unknown_path(&bench).await);
    all.push(connections(&bench));
    all.extend(token(&bench).await);
    all.push(well_at_the_end(&bench).await);
    (name, all)
}

async fn describes(player: &Player, limit: Duration) -> Result<(Described, Check), Check> {
    const NAME: &str = "describe";
    let failed = |why: Refused| Check::failed(NAME, why.found, why.remedy);
    let heard = player.send(Method::GET, "/v1/describe", None, &[], limit.min(DESCRIBE)).await;
    let (answer, took) = heard.answer().map_err(failed)?;
    if !answer.status().is_success() {
        let found = format!("{}: {}", answer.status(), shown(answer.body()));
        return Err(Check::failed(NAME, found, "answer GET /v1/describe with 200 and {\"api\": [\"1\"]}"));
    }
    let said: Value = serde_json::from_slice(answer.body()).map_err(|why| {
        let found = format!("no JSON: {why}: {}", shown(answer.body()));
        Check::failed(NAME, found, "answer a JSON object like {\"api\": [\"1\"]}")
    })?;
    let described = judge::description(&said).map_err(|wrong| {
        let found: Vec<_> = wrong.iter().map(ToString::to_string).collect();
        Check::failed(NAME, found.join("; "), "docs/handlers.md lists the fields")
    })?;
    if !described.versions.iter().any(|version| version == judge::API) {
        let found = format!("speaks the versions [{}], Berth speaks {}", described.versions.join(", "), judge::API);
        return Err(Check::failed(NAME, found, "a pod refuses to start; name \"1\" in api and follow that version"));
    }
    let found =
        format!("{}, keys sent along: {}", described.name.as_deref().unwrap_or("no name"), described.preload.len());
    let check = if took > SLOW {
        Check::hint(NAME, format!("{found}; took {}", ago(took)), "describe answers at once where nothing is computed")
    } else if described.name.is_none() {
        Check::hint(NAME, found, "give name and version: they are shown to operators")
    } else {
        Check::ok(NAME, found)
    };
    Ok((described, check))
}

async fn describes_again(bench: &Bench) -> Check {
    match describes(&bench.player, bench.limit).await {
        Ok((again, _)) if again == bench.described => Check::ok("describe again", "the same"),
        Ok(_) => Check::hint("describe again", "differs from the first", "describe may change with the version only"),
        Err(check) => Check { check: "describe again".to_owned(), ..check },
    }
}

async fn event(bench: &Bench, case: &Case) -> Check {
    let played = bench.play(&case.event).await;
    if let (Ok(taken), "a word of 1000 letters") = (&played.taken, case.name.as_str())
        && taken.ignored
    {
        return Check::ok(&case.name, "ignored");
    }
    told(&case.name, &played)
}

/// Says how an answer was taken.
fn told(name: &str, played: &Played) -> Check {
    match &played.taken {
        Err(why) => Check::failed(name, &why.found, &why.remedy),
        Ok(taken) if !taken.doubts.is_empty() => {
            Check::hint(name, taken.doubts.join("; "), "correct as it is written, probably not as it is meant")
        }
        Ok(taken) if taken.ignored => Check::ok(name, "ignored (409)"),
        Ok(taken) => Check::ok(name, gist(&taken.said)),
    }
}

/// Says in a few words what an answer does.
fn gist(said: &Value) -> String {
    let reply = &said["reply"];
    let mut parts = vec![match (reply["text"].as_str(), reply["status"].as_u64()) {
        (Some(_), _) => format!("replies {}", describe(&reply["text"])),
        (None, Some(status)) => format!("replies {status}"),
        _ if reply.is_object() => "replies".to_owned(),
        _ => "no reply".to_owned(),
    }];
    let size = |value: &Value| value.as_array().map_or(0, Vec::len) + value.as_object().map_or(0, serde_json::Map::len);
    let counts = [
        ("set", size(&said["kv"]["set"])),
        ("deleted", size(&said["kv"]["delete"])),
        ("sql", size(&said["sql"])),
        ("outbox", size(&said["outbox"])),
        ("timers", size(&said["timers"])),
        ("sessions", size(&said["sessions"])),
    ];
    parts.extend(counts.iter().filter(|(_, n)| *n > 0).map(|(what, n)| format!("{what} {n}")));
    parts.join(", ")
}

async fn newer_fields(bench: &Bench) -> Check {
    let event = cases::said(-1_002, 1, "/stats", bench.now_ms);
    let played = bench
        .play_changed(&event, |request| {
            request["from_the_future"] = json!({"a": [1]});
            request["event"]["from_the_future"] = json!("b");
            request["state"]["from_the_future"] = json!(null);
        })
        .await;
    match played.taken {
        Ok(_) => Check::ok("fields of a newer Berth", "ignored, as it should be"),
        Err(why) => Check::failed(
            "fields of a newer Berth",
            why.found,
            "ignore fields you do not know: they come with new releases under the same version",
        ),
    }
}

async fn twice(bench: &Bench) -> Check {
    const NAME: &str = "one event twice";
    let event = cases::said(-1_003, 7, "/warn bob because", bench.now_ms);
    let first = bench.play_as(&event, 1).await;
    let second = bench.play_as(&event, 2).await;
    match (first.taken, second.taken) {
        (Ok(first), Ok(second)) if first.said == second.said => Check::ok(NAME, "the same answer for the same state"),
        (Ok(_), Ok(_)) => Check::hint(
            NAME,
            "another answer for the same event and the same state",
            "keep what counts in the answer, not in the handler: only one of two calls is kept",
        ),
        (Err(why), _) | (_, Err(why)) => Check::failed(NAME, why.found, why.remedy),
    }
}

async fn timers(bench: &Bench) -> Vec<Check> {
    let target = "telegram:channel:-1001".parse().expect("valid");
    let stranger = cases::timer(&target, "a-timer-of-an-older-version", bench.now_ms, "x");
    let mut all = vec![told("a timer it never set", &bench.play(&stranger).await)];
    // A mute or a reminder makes a bot set one; what is known of commands is what the moderation bot knows.
    for (update, text) in [(901, "/mute bob 1"), (902, "/remind bob 1")] {
        bench.play_and_keep(&cases::said(-1_001, update, text, bench.now_ms)).await;
    }
    for (target, id, due_ms, payload) in bench.timers().into_iter().take(MOST_TIMERS) {
        let Ok(target) = target.parse() else { continue };
        let played = bench.play_and_keep(&cases::timer(&target, &id, due_ms, &payload)).await;
        all.push(told(&format!("its timer {}", super::shape::cut(&id)), &played));
    }
    all
}

async fn hurried(bench: &Bench) -> Check {
    const NAME: &str = "a deadline that is almost over";
    let event = cases::said(-1_004, 1, "/stats", bench.now_ms);
    let played = bench.play_changed(&event, |request| request["deadline_ms"] = json!(1)).await;
    match played.taken {
        Ok(taken) => Check::ok(NAME, format!("answered in {}", ago(taken.took))),
        Err(why) if why.found.starts_with('5') => Check::ok(NAME, "gave up in order (5xx)"),
        Err(why) => {
            Check::failed(NAME, why.found, "answer what can be answered, or 503: a call that is too late is made again")
        }
    }
}

fn reads(bench: &Bench) -> Check {
    const NAME: &str = "reads while it works";
    let world = bench.world.lock();
    match world.refused.first() {
        Some(why) => Check::failed(
            NAME,
            format!("{why} ({} of {} reads)", world.refused.len(), world.refused.len() + world.reads),
            "read event.target only, with local.token of the same call, and not after the answer",
        ),
        None if world.queries > 0 => Check::hint(
            NAME,
            format!("{} reads, {} queries of its own tables", world.reads, world.queries),
            "queries were answered with no rows here; try them with berth up --handler",
        ),
        None => Check::ok(NAME, format!("{} reads with the token of their call", world.reads)),
    }
}

async fn reads_refused(bench: &Bench) -> Check {
    const NAME: &str = "reads that are refused";
    let event = cases::said(-1_001, 77, "/stats", bench.now_ms);
    let before = bench.world.lock().refused.len();
    let played = bench.play_changed(&event, |request| request["local"]["token"] = json!("over")).await;
    let tried = bench.world.lock().refused.len() > before;
    match played.taken {
        Ok(_) if tried => Check::hint(
            NAME,
            "answers as if the read had worked",
            "a read that fails is no value that is missing: answer 500, the event comes again",
        ),
        Ok(_) => Check::ok(NAME, "nothing was read"),
        Err(why) if why.found.starts_with('5') => Check::ok(NAME, "says 5xx, and the event comes again"),
        Err(why) => Check::failed(NAME, why.found, "answer 500 when a read fails; the event comes again"),
    }
}

async fn beside_each_other(bench: &Bench) -> Check {
    const NAME: &str = "many targets at once";
    let mut calls = JoinSet::new();
    for n in 0..AT_ONCE {
        let (bench, chat) = (bench.clone(), -2_000 - i64::try_from(n).unwrap_or_default());
        calls.spawn(async move { bench.play(&cases::said(chat, 1, "/stats", bench.now_ms)).await.taken });
    }
    let mut said = Vec::new();
    for taken in calls.join_all().await {
        match taken {
            Ok(taken) => said.push(taken.said),
            Err(why) => return Check::failed(NAME, why.found, why.remedy),
        }
    }
    said.dedup();
    if said.len() > 1 {
        let found = "targets with the same state and the same question got different answers";
        return Check::hint(NAME, found, "keep nothing between calls: what one target did must not show in another");
    }
    Check::ok(NAME, format!("{AT_ONCE} answered"))
}

async fn unknown_path(bench: &Bench) -> Check {
    const NAME: &str = "a path that is not there";
    let heard = bench.player.send(Method::GET, "/v1/no-such-path", None, &[], bench.limit).await;
    match heard.answer() {
        Ok((answer, _)) if answer.status() == StatusCode::NOT_FOUND => Check::ok(NAME, "404"),
        Ok((answer, _)) => Check::hint(
            NAME,
            format!("answered {}", answer.status()),
            "answer 404, so that a newer Berth can tell what you know",
        ),
        Err(why) => Check::failed(NAME, why.found, "answer 404"),
    }
}

fn connections(bench: &Bench) -> Check {
    const NAME: &str = "connections";
    if bench.closes() {
        return Check::hint(
            NAME,
            "closed after every answer",
            "speak HTTP/1.1 and keep them open: a connection per event costs time",
        );
    }
    Check::ok(NAME, "kept open between events")
}

async fn token(bench: &Bench) -> Option<Check> {
    const NAME: &str = "without its token";
    if !bench.player.has_token() {
        return None;
    }
    let stranger = bench.player.without_token();
    Some(match describes(&stranger, bench.limit).await {
        Ok(_) => Check::hint(NAME, "answered", "answer 401 to whoever does not show the token, or leave the token out"),
        Err(check) if check.found.starts_with("40") => Check::ok(NAME, check.found),
        Err(check) => Check::failed(NAME, check.found, "answer 401"),
    })
}

async fn well_at_the_end(bench: &Bench) -> Check {
    // A handler that broke under something above may be coming back.
    for _ in 0..10 {
        if let Ok((again, _)) = describes(&bench.player, bench.limit).await {
            let found = if again == bench.described { "still there" } else { "there, and describes itself otherwise" };
            return Check::ok("after all this", found);
        }
        sleep(Duration::from_millis(100)).await;
    }
    Check::failed("after all this", "does not answer any more", "nothing that an event holds may end the handler")
}

fn ago(took: Duration) -> String {
    crate::output::ago(u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
}
