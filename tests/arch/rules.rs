//! The rules themselves (DESIGN's house, STYLE): pure, a source in, sentences out. Knows no file system.

use crate::{strip, tree::Source};

/// Within `subject`, except under `but`, no code may contain one of `words`.
pub(crate) struct Rule {
    /// A module (`crate/src/module`), a crate or everything (empty).
    pub(crate) subject: &'static str,
    /// Modules that may.
    pub(crate) but: &'static [&'static str],
    /// What may not occur: identifiers or paths.
    pub(crate) words: &'static [&'static str],
    /// Why.
    pub(crate) why: &'static str,
}

/// Who may call whom inside a service: http, control, agent, dispatch → planner, store → domain.
pub(crate) const LAYERS: &[Rule] = &[
    Rule {
        subject: "config-service/src/domain",
        but: &[],
        words: &["crate::planner", "crate::store", "crate::control", "crate::http"],
        why: "the domain imports no other module",
    },
    Rule {
        subject: "config-service/src/planner",
        but: &[],
        words: &["crate::store", "crate::control", "crate::http"],
        why: "the planner imports only the domain",
    },
    Rule {
        subject: "config-service/src/page",
        but: &[],
        words: &["crate::control", "crate::http", "crate::store", "crate::planner"],
        why: "the page is made of values; where they come from is http::pages'",
    },
    Rule {
        subject: "config-service/src/store",
        but: &[],
        words: &["crate::control", "crate::http", "crate::planner"],
        why: "the store keeps; it decides and serves nothing",
    },
    Rule {
        subject: "config-service/src/control",
        but: &[],
        words: &["crate::http"],
        why: "control is called by http, not the other way round",
    },
    Rule {
        subject: "config-service/src/scale",
        but: &[],
        words: &["crate::http", "crate::store"],
        why: "scaling asks control, and knows neither HTTP nor the store",
    },
    Rule {
        subject: "config-service/src/identify",
        but: &[],
        words: &["crate::http", "crate::planner", "crate::scale"],
        why: "the IDENTIFY budget asks control and the store, and is asked by http",
    },
    Rule {
        subject: "config-service/src/rest",
        but: &[],
        words: &["crate::http", "crate::planner", "crate::scale"],
        why: "slices of REST requests ask control and the store, and are asked for by http",
    },
    Rule {
        subject: "gateway/src/ownership",
        but: &[],
        words: &["crate::agent", "crate::store", "crate::dispatch", "crate::http", "crate::handlers", "crate::outbox"],
        why: "ownership knows no database, no network and no handler",
    },
    Rule {
        subject: "gateway/src/store",
        but: &[],
        words: &["crate::agent", "crate::dispatch", "crate::http", "crate::outbox"],
        why: "the store is called by the modules above it",
    },
    Rule {
        subject: "gateway/src/replica",
        but: &[],
        words: &[
            "crate::agent",
            "crate::dispatch",
            "crate::http",
            "crate::engine",
            "crate::ownership",
            "crate::outbox",
        ],
        why: "the replica is told what to do by those who know when",
    },
    Rule {
        subject: "gateway/src/handlers",
        but: &[],
        words: &["crate::agent", "crate::dispatch", "crate::http", "crate::outbox"],
        why: "what a bot author sees knows nothing of how it is run",
    },
    Rule {
        subject: "gateway/src/dispatch",
        but: &[],
        words: &["crate::agent", "crate::http"],
        why: "dispatch is called by the link, not the other way round",
    },
    Rule {
        subject: "http-service/src/ingress",
        but: &[],
        words: &["shared::router", "crate::http"],
        why: "verifying knows nothing of where an event goes",
    },
    Rule {
        subject: "shared/src/router/forward",
        but: &[],
        words: &["crate::router::routes", "crate::router::Router", "crate::router::Parking"],
        why: "a link carries what it is given",
    },
    Rule {
        subject: "gateway/src/discord",
        but: &["gateway/src/discord/shards", "gateway/src/discord/start", "gateway/src/discord/ways"],
        words: &["crate::engine", "crate::Engine", "crate::ownership", "crate::http", "crate::handoff"],
        why: "a shard's connection knows neither the database nor the router; both are given to it",
    },
];

/// Where databases and the outside may be touched. Tests and their library look from outside and may.
pub(crate) const OUTSIDE: &[Rule] = &[
    Rule {
        subject: "",
        but: &["config-service/src/store", "tests"],
        words: &["sqlx"],
        why: "PostgreSQL is config-service/src/store's",
    },
    Rule {
        subject: "",
        but: &["config-service/src/store", "gateway/src/store", "tests"],
        words: &["rusqlite"],
        why: "SQLite is the stores'",
    },
    Rule {
        subject: "",
        but: &["gateway/src/outbox", "tests"],
        words: &["reqwest"],
        why: "calls to the outside are the outbox's",
    },
    Rule {
        subject: "",
        but: &["gateway/src/replica", "tests"],
        words: &["object_store"],
        why: "the replicas' store is gateway/src/replica's",
    },
    Rule {
        subject: "",
        but: &["config-service/src/scale/kubernetes", "tests"],
        words: &["kube", "k8s_openapi"],
        why: "Kubernetes is config-service/src/scale/kubernetes's",
    },
    Rule {
        subject: "",
        but: &["config-service/src/identify/discord", "tests"],
        words: &["hyper_rustls"],
        why: "the control plane asks the outside one question, and config-service/src/identify/discord asks it",
    },
    Rule {
        subject: "",
        but: &["gateway/src/discord", "examples/twilight-queue", "tests"],
        words: &["twilight_gateway", "twilight_gateway_queue", "twilight_model"],
        why: "connections to Discord are gateway/src/discord's",
    },
];

const IMPURE: &[&str] =
    &["tokio", "async", "await", "Clock", "BootClock", "axum", "hyper", "std::fs", "std::net", "Mutex", "RwLock"];

/// What decides, and therefore does nothing.
pub(crate) const PURE: &[Rule] = &[
    Rule {
        subject: "config-service/src/planner",
        but: &[],
        words: IMPURE,
        why: "the planner is pure and synchronous: no I/O, no clock",
    },
    Rule {
        subject: "config-service/src/page",
        but: &[],
        words: IMPURE,
        why: "a page is a function of what is known and of the time",
    },
    Rule { subject: "config-service/src/domain", but: &[], words: IMPURE, why: "the domain only says what is" },
    Rule {
        subject: "config-service/src/identify/budget",
        but: &[],
        words: IMPURE,
        why: "when a shard may identify is a function of what was given and of the time",
    },
    Rule {
        subject: "config-service/src/rest/shares",
        but: &[],
        words: IMPURE,
        why: "who has how many slots is a function of what was said and of the time",
    },
    Rule {
        subject: "gateway/src/outbox/discord/limits",
        but: &[],
        words: IMPURE,
        why: "what may leave for Discord is a function of what was answered and of the time",
    },
    Rule {
        subject: "shared/src/lease",
        but: &[],
        words: &["tokio", "async", "await"],
        why: "lease arithmetic is pure",
    },
    Rule {
        subject: "shared/src/platform",
        but: &[],
        words: &["tokio", "async", "await"],
        why: "what platforms expect is a table, not an action",
    },
    Rule {
        subject: "http-service/src/ingress",
        but: &[],
        words: &["tokio", "await", "std::fs", "std::net", "BootClock"],
        why: "verifying takes bytes and `now`, and gives a verdict",
    },
    Rule { subject: "gateway/src/discord/after", but: &[], words: IMPURE, why: "what follows an end is a table" },
    Rule { subject: "gateway/src/discord/event", but: &[], words: IMPURE, why: "whose an event is, it says itself" },
    Rule { subject: "gateway/src/discord/progress", but: &[], words: IMPURE, why: "how far a session is, is a sum" },
    Rule {
        subject: "discord-double/src",
        but: &["discord-double/src/double"],
        words: IMPURE,
        why: "what Discord decides is a function of what it is asked and of the time",
    },
];

/// What the rules are about: each must exist, or a rule watches an empty room.
pub(crate) const SUBJECTS: &[&str] = &[
    "config-service/src/planner",
    "config-service/src/domain",
    "config-service/src/page",
    "config-service/src/store",
    "config-service/src/control",
    "config-service/src/scale",
    "config-service/src/identify",
    "config-service/src/identify/budget",
    "config-service/src/rest",
    "config-service/src/rest/shares",
    "gateway/src/outbox/discord/limits",
    "gateway/src/ownership",
    "gateway/src/store",
    "gateway/src/handlers",
    "gateway/src/dispatch",
    "gateway/src/outbox",
    "http-service/src/ingress",
    "shared/src/router/forward",
    "gateway/src/discord",
    "gateway/src/discord/after",
    "gateway/src/discord/event",
    "gateway/src/discord/progress",
    "shared/src/lease",
    "shared/src/platform",
    "discord-double/src/gateway",
    "discord-double/src/double",
];

/// Says whether one package of the workspace may depend on another.
pub(crate) fn may_import(package: &str, other: &str) -> bool {
    match package {
        "berth-shared" => false,
        "berth-config-service" | "berth-gateway" | "berth-http-service" | "berth-discord-double" => {
            other == "berth-shared"
        }
        "berth" | "berth-tests" => other != "berth-tests",
        // Drives what decides in every service, none of which knows of it.
        "berth-sim" => matches!(other, "berth-config-service" | "berth-gateway" | "berth-shared"),
        // Whoever writes a handler depends on the gateway and what it re-exports.
        _ => matches!(other, "berth-gateway" | "berth-shared"),
    }
}

/// Returns whether `path` is `module` itself (`module.rs`) or lies below it.
pub(crate) fn under(path: &str, module: &str) -> bool {
    module.is_empty() || path.strip_prefix(module).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

/// Returns what `source` breaks of `rules`.
pub(crate) fn check(rules: &[Rule], source: &Source) -> Vec<String> {
    let code = strip::code(&source.text);
    let mut broken = Vec::new();
    for rule in rules.iter().filter(|rule| under(&source.path, rule.subject)) {
        let free = rule.but.iter().any(|module| under(&source.path, module));
        // A module's own tests may drive it with whatever they need.
        if free || is_test(&source.path) {
            continue;
        }
        for (number, line) in code.lines().enumerate() {
            for word in rule.words.iter().filter(|word| has_word(line, word)) {
                broken.push(format!("{}:{}: {word}: {}", source.path, number + 1, rule.why));
            }
        }
    }
    broken
}

/// Returns whether a source is a module's own tests.
fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/src/") && path.contains("/tests/") || path.ends_with("/testing.rs")
}

/// Returns what is wrong with the look of `source`.
pub(crate) fn shape(source: &Source) -> Vec<String> {
    let mut broken = Vec::new();
    let mut say = |what: &str| broken.push(format!("{}: {what}", source.path));
    if source.path.ends_with("/mod.rs") {
        say("modules are foo.rs beside foo/, not foo/mod.rs");
    }
    // Tests decide nothing; their names say what is promised.
    if !source.text.starts_with("//!") && !is_test(&source.path) {
        say("begins without //! that says what it decides");
    }
    let lines = source.text.lines().count();
    if lines > 600 {
        say(&format!("{lines} lines: which state can leave?"));
    }
    // Put together from halves, so that this file does not mind itself.
    for (half, rest) in
        [("TO", "DO"), ("FIX", "ME"), ("XX", "X:"), ("todo", "!("), ("dbg", "!("), ("unimplemented", "!(")]
    {
        let word = format!("{half}{rest}");
        if source.text.contains(&word) {
            say(&format!("{word} is unfinished work"));
        }
    }
    if source.text.contains(concat!("/wo", "rk/")) || source.text.contains(concat!("/ho", "me/")) {
        say("names a folder of somebody's machine");
    }
    broken
}

/// Returns whether `line` has `word` as a whole path or identifier.
fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(part) && !after.is_some_and(part)
    })
}

/// Sources made up to break a rule each.
pub(crate) const OFFENCES: &[(&str, &str)] = &[
    ("config-service/src/planner/rank.rs", "//! x\nuse tokio::time;"),
    ("config-service/src/planner.rs", "//! x\npub async fn plan() {}"),
    ("config-service/src/planner.rs", "//! x\nuse shared::Clock;"),
    ("config-service/src/domain.rs", "//! x\nuse crate::store::Store;"),
    ("config-service/src/store/postgres.rs", "//! x\nuse crate::control::Leader;"),
    ("config-service/src/control/place.rs", "//! x\nuse crate::http::Api;"),
    ("config-service/src/http.rs", "//! x\nuse sqlx::PgPool;"),
    ("config-service/src/page/pod.rs", "//! x\nuse crate::control::View;"),
    ("gateway/src/dispatch.rs", "//! x\nfn f(c: &rusqlite::Connection) {}"),
    ("gateway/src/agent.rs", "//! x\nuse reqwest::Client;"),
    ("gateway/src/ownership.rs", "//! x\nuse crate::store::Writer;"),
    ("http-service/src/ingress/slack.rs", "//! x\nuse shared::router::Router;"),
    ("shared/src/router/forward/links.rs", "//! x\nuse crate::router::routes::Routes;"),
    ("gateway/src/discord/line.rs", "//! x\nuse crate::http::Door;"),
    ("gateway/src/discord/after.rs", "//! x\nuse tokio::time;"),
    ("gateway/src/outbox/call.rs", "//! x\nuse twilight_gateway::Shard;"),
    ("http-service/src/ingress/slack.rs", "//! x\nfn f() { BootClock.wall_ms(); }"),
    ("config-service/src/scale/keeper.rs", "//! x\nuse crate::http::Api;"),
    ("config-service/src/control.rs", "//! x\nuse kube::Client;"),
    ("discord-double/src/gateway/login.rs", "//! x\nuse axum::Router;"),
    ("config-service/src/identify/budget.rs", "//! x\nuse shared::Clock;"),
    ("config-service/src/rest.rs", "//! x\nuse crate::http::Api;"),
    ("config-service/src/rest/shares.rs", "//! x\nuse shared::Clock;"),
    ("gateway/src/outbox/discord/limits.rs", "//! x\nuse shared::Clock;"),
    ("config-service/src/identify/keeper.rs", "//! x\nuse hyper_rustls::HttpsConnector;"),
    ("config-service/src/identify.rs", "//! x\nuse crate::http::Api;"),
    ("cli/src/main.rs", "fn main() {}"),
    ("cli/src/up/mod.rs", "//! x"),
    ("cli/src/up.rs", concat!("//! x\n// TO", "DO later")),
    ("cli/src/up.rs", concat!("//! x\nfn f() { dbg", "!(1); }")),
    ("cli/src/up.rs", concat!("//! x\nconst P: &str = \"/wo", "rk/main\";")),
    ("gateway/src/store/long.rs", LONG),
];

/// Sources that only look like an offence.
pub(crate) const HARMLESS: &[(&str, &str)] = &[
    ("config-service/src/planner.rs", "//! No tokio, no async here.\nlet asynchronous = \"tokio\";"),
    ("gateway/src/store/writer.rs", "//! x\nuse rusqlite::Connection;"),
    ("gateway/src/outbox/call.rs", "//! x\nuse reqwest::Client;"),
    ("config-service/src/planner/tests.rs", "//! x\nuse shared::clock::BootClock;"),
];

const LONG: &str = concat_lines();

const fn concat_lines() -> &'static str {
    const TEXT: [u8; 705] = {
        let mut text = [b'\n'; 705];
        text[0] = b'/';
        text[1] = b'/';
        text[2] = b'!';
        text
    };
    match std::str::from_utf8(&TEXT) {
        Ok(text) => text,
        Err(_) => panic!("ASCII is UTF-8"),
    }
}
