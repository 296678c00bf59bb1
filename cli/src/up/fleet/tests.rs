use super::*;
use crate::{args, home::Home, secrets::Made};
use clap::Parser;

fn parsed(line: &[&str]) -> Box<Args> {
    let cli = args::Cli::try_parse_from([&["berth", "up"], line].concat()).expect("a valid line");
    match cli.command {
        args::Command::Up(args) => args,
        other => panic!("{other:?}"),
    }
}

/// What is run, in groups; the first group is the last one that is stopped.
fn specs(
    args: &Args,
    home: &Home,
    ports: &Ports,
    passed: &[Passed],
    replicas: &Replicas,
) -> Result<Vec<Vec<Spec>>, Failure> {
    let specs = Plan { args, home, ports, passed, replicas, discord: None }.specs()?;
    let (gateways, beside): (Vec<_>, Vec<_>) =
        specs.gateways.into_iter().map(|spec| (spec.gateway, spec.beside)).unzip();
    let beside: Vec<_> = beside.into_iter().flatten().collect();
    Ok([vec![specs.config], beside, gateways, vec![specs.http]].into_iter().filter(|group| !group.is_empty()).collect())
}

fn none() -> Replicas {
    Replicas::None(String::new())
}

#[test]
fn no_secret_is_on_a_command_line_and_no_child_gets_more_than_it_needs() {
    let dir = tempfile::tempdir().expect("a folder");
    let made = Made::fresh().expect("made");
    let args = parsed(&[
        "--config-store",
        "postgres://berth:hunter2@db/berth",
        "--slack-signing-secret",
        "opensesame",
        "--handler",
        "http://127.0.0.1:9",
        "--handler-token",
        "swordfish",
    ]);
    let passed = args.secrets.settle(&made, false).expect("settled");
    let ports = Ports { http: 1, config: 2, gateways: vec![3, 4, 5] };
    let groups = specs(&args, &Home::at(dir.path()), &ports, &passed, &none()).expect("specified");
    assert_eq!(
        groups.iter().map(|group| group.iter().map(|spec| spec.name.as_str()).collect::<Vec<_>>()).collect::<Vec<_>>(),
        [vec!["config-service"], vec!["gateway-0", "gateway-1", "gateway-2"], vec!["http-service"]]
    );
    for spec in groups.iter().flatten() {
        let line = spec.args.join(std::ffi::OsStr::new(" ")).into_string().expect("text");
        let secrets =
            ["hunter2", "opensesame", "swordfish", &made.admin_token, &made.service_token, &made.github_secret];
        assert!(secrets.iter().all(|secret| !line.contains(secret)), "{line}");
        let names: Vec<_> = spec.env.iter().map(|(name, _)| *name).collect();
        let expected = match spec.name.as_str() {
            "config-service" => vec![SERVICE_TOKENS, ADMIN_TOKENS, "BERTH_CONFIG_STORE"],
            "http-service" => settings::ALL.into_iter().filter(|name| *name != ADMIN_TOKENS).collect(),
            _ => vec![SERVICE_TOKENS, handler::TOKEN],
        };
        assert_eq!(names, expected, "{}", spec.name);
        assert!(settings::ALL.iter().all(|name| spec.hidden.iter().any(|hidden| hidden == name)));
        assert_eq!(line.contains("--handler http://127.0.0.1:9"), spec.name.starts_with("gateway"), "{line}");
        assert!(line.contains("--exit-with-parent") && line.contains("--listen 127.0.0.1:"), "{line}");
    }
}

#[test]
fn every_childs_command_line_is_one_the_binary_takes() {
    let dir = tempfile::tempdir().expect("a folder");
    let args = parsed(&[
        "--migrations",
        "m",
        "--schema",
        "s",
        "--handler",
        "http://127.0.0.1:9",
        "--log",
        "debug",
        "--standard-targets",
        "demo=/x",
        "--config-store",
        "sqlite:x",
    ]);
    let passed = args.secrets.settle(&Made::fresh().expect("made"), false).expect("settled");
    let ports = Ports { http: 1, config: 2, gateways: vec![3] };
    for spec in specs(&args, &Home::at(dir.path()), &ports, &passed, &none()).expect("specified").into_iter().flatten()
    {
        let mut line: Vec<OsString> = vec!["berth".into()];
        line.extend(spec.args.iter().cloned());
        if spec.name == "config-service" {
            // It has its store from the environment.
            line.extend(["--store".into(), "sqlite:x".into()]);
        }
        let cli = args::Cli::try_parse_from(line).unwrap_or_else(|why| panic!("{}: {why}", spec.name));
        assert!(cli.exit_with_parent, "{}", spec.name);
    }
}

#[test]
fn a_litestream_follows_the_preparation_of_its_gateway_and_ends_after_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let (args, made) = (parsed(&["--pods", "2"]), Made::fresh().expect("made"));
    let passed = args.secrets.settle(&made, false).expect("settled");
    let ports = Ports { http: 1, config: 2, gateways: vec![3, 4] };
    let replicas = Replicas::Kept {
        litestream: "/usr/bin/litestream".into(),
        base: "file:///data/replica".parse().expect("valid"),
    };
    let groups = specs(&args, &Home::at(dir.path()), &ports, &passed, &replicas).expect("specified");
    let names: Vec<Vec<_>> = groups.iter().map(|group| group.iter().map(|spec| spec.name.as_str()).collect()).collect();
    assert_eq!(
        names,
        [
            vec!["config-service"],
            vec!["litestream-0", "litestream-1"],
            vec!["gateway-0", "gateway-1"],
            vec!["http-service"]
        ]
    );
    for (litestream, gateway) in groups[1].iter().zip(&groups[2]) {
        let (before, after) = (gateway.before.as_ref().expect("prepared"), litestream.after.as_ref().expect("waits"));
        assert!(!*after.borrow());
        before.done.send_replace(true);
        assert!(*after.borrow(), "each waits for its own");
        for line in [&gateway.args, &before.args, &litestream.args] {
            let parsed = crate::roles::command().try_get_matches_from([&["berth".into()], line.as_slice()].concat());
            parsed.unwrap_or_else(|why| panic!("{line:?}: {why}"));
            assert!(line.iter().any(|word| word == "file:///data/replica"), "{line:?}");
        }
    }
}
