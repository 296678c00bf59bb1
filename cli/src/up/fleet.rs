//! The children of one cluster: what each is told, and the order in which they end.

use super::{
    Args,
    child::{Before, Child, Death, Ended, Ground, Spec},
    handler,
    mourner::Mourner,
    ports::Ports,
    replicas::Replicas,
    restart::Next,
    settings::{self, ADMIN_TOKENS, Passed, SERVICE_TOKENS},
};
use crate::{exit::Failure, home::Home};
use clap::ValueEnum;
use std::{ffi::OsString, fs, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

/// The children in groups; the first group started is the last one stopped.
#[derive(Debug)]
pub(super) struct Fleet(Vec<Vec<Child>>);

impl Fleet {
    /// Starts all at once: the roles wait for each other.
    pub(super) fn start(groups: &[Vec<Spec>], ground: &Ground) -> Self {
        let start = |spec: &Spec| Child::start(spec.clone(), ground.clone());
        Self(groups.iter().map(|group| group.iter().map(start).collect()).collect())
    }

    /// Stops http-service first, so that nothing new comes in, then the gateways, what copies their databases, and config-service.
    pub(super) async fn stop(&mut self) {
        while let Some(group) = self.0.pop() {
            let names: Vec<_> = group.iter().map(|child| child.name.as_str()).collect();
            eprintln!("stopping {}", names.join(", "));
            group.iter().for_each(Child::ask_to_end);
            for child in group {
                let name = child.name.clone();
                if child.ended().await == Ended::Killed {
                    eprintln!("{name} did not stop in time and was killed");
                }
            }
        }
    }
}

/// Shows every death, and has config-service told of gateways that are away: at once of those in `away`, whose folders are
/// not used any more. Returns only when a child cannot start at all.
pub(super) async fn lost(
    deaths: &mut mpsc::Receiver<Death>,
    home: &Home,
    mourner: &Mourner,
    away: Vec<String>,
) -> Failure {
    let mut telling: JoinSet<()> = away.into_iter().map(|name| mourner.clone().tell(name)).collect();
    loop {
        let death = tokio::select! {
            death = deaths.recv() => death,
            Some(_) = telling.join_next() => continue,
        };
        let Some(Death { name, how, lines, next }) = death else { break };
        if Mourner::cares(&name, next) {
            telling.spawn(mourner.clone().tell(name.clone()));
        }
        let then = match next {
            Next::After(Duration::ZERO) => "; starting it again".to_owned(),
            Next::After(wait) => format!("; starting it again in {}s", wait.as_secs()),
            Next::GiveUp => String::new(),
        };
        eprintln!("{name} {how}{then}");
        lines.iter().for_each(|line| eprintln!("  {name} | {line}"));
        if next == Next::GiveUp {
            let log = home.log(&name);
            return Failure::error(format!(
                "{name} cannot start; its last lines are above, all of them in {}",
                log.display()
            ));
        }
    }
    // The senders live as long as the children's tasks, and those only end here or when they are told to.
    std::future::pending().await
}

/// Returns what to run, group by group: config-service, the Litestreams, the gateways, http-service.
///
/// # Errors
/// When a child's folder cannot be made.
pub(super) fn specs(
    args: &Args,
    home: &Home,
    ports: &Ports,
    passed: &[Passed],
    replicas: &Replicas,
) -> Result<Vec<Vec<Spec>>, Failure> {
    let loopback = |port: u16| format!("127.0.0.1:{port}");
    let config_url = format!("http://{}", loopback(ports.config));
    let folder = |name: &str| {
        let path = home.child(name);
        fs::create_dir_all(&path)
            .map(|()| path.clone())
            .map_err(|why| Failure::error(format!("cannot make {}: {why}", path.display())))
    };

    let store = match &args.config_store {
        Some(store) => store.clone(),
        None => format!("sqlite:{}", folder("config-service")?.join("config.db").display()),
    };
    let flags = vec!["--listen".into(), loopback(ports.config).into(), "--open-reads".into()];
    let mut env = pick(passed, |name| matches!(name, SERVICE_TOKENS | ADMIN_TOKENS));
    env.push(("BERTH_CONFIG_STORE", store));
    let config = spec(args, home, "config-service", &["config-service"], flags, env);

    let handler_token = args.handler.token()?;
    let (mut gateways, mut litestreams) = (Vec::new(), Vec::new());
    for (port, n) in ports.gateways.iter().zip(0_u16..) {
        let name = format!("gateway-{n}");
        let mut flags: Vec<OsString> = vec![
            "--listen".into(),
            loopback(*port).into(),
            "--advertise".into(),
            loopback(*port).into(),
            "--pod".into(),
            name.clone().into(),
            "--config-url".into(),
            config_url.clone().into(),
            "--data".into(),
            folder(&name)?.into(),
        ];
        flags.extend(args.handler.flags());
        flags.extend(replicas.flags());
        let mut env = pick(passed, |name| name == SERVICE_TOKENS);
        env.extend(handler_token.iter().map(|token| (handler::TOKEN, token.clone())));
        let mut gateway = spec(args, home, &name, &["gateway"], flags.clone(), env.clone());
        if replicas.are_kept() {
            // Whoever starts this has reaped the process before, or was told of its end by the ports that it held.
            let (done, prepared) = watch::channel(false);
            let before = spec(args, home, &name, &["gateway", "prepare", "--reaped"], flags.clone(), Vec::new());
            gateway.before = Some(Before { args: before.args, done });
            let beside = spec(args, home, &format!("litestream-{n}"), &["gateway", "replicate"], flags, env);
            litestreams.push(Spec { after: Some(prepared), ..beside });
        }
        gateways.push(gateway);
    }

    // What a new http-service goes by while config-service is away.
    let others: Vec<_> = ports.gateways.iter().map(|port| loopback(*port)).collect();
    let mut flags: Vec<OsString> = vec![
        "--listen".into(),
        loopback(ports.http).into(),
        "--config-url".into(),
        config_url.into(),
        "--table".into(),
        folder("http-service")?.join("table.json").into(),
        "--gateways".into(),
        others.join(",").into(),
    ];
    if let Some(targets) = args.secrets.standard_targets() {
        flags.extend(["--standard-targets".into(), targets.into()]);
    }
    let http = spec(args, home, "http-service", &["http-service"], flags, pick(passed, |name| name != ADMIN_TOKENS));
    // A gateway ends before its Litestream, which uploads what it has committed last.
    let groups = [vec![config], litestreams, gateways, vec![http]];
    Ok(groups.into_iter().filter(|group| !group.is_empty()).collect())
}

fn pick(passed: &[Passed], wanted: impl Fn(&str) -> bool) -> Vec<(&'static str, String)> {
    passed.iter().filter(|passed| wanted(passed.name)).map(|passed| (passed.name, passed.value.clone())).collect()
}

fn spec(
    args: &Args,
    home: &Home,
    name: &str,
    role: &[&str],
    flags: Vec<OsString>,
    env: Vec<(&'static str, String)>,
) -> Spec {
    let format = args.log.log_format.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
    let mut line: Vec<OsString> = role.iter().map(Into::into).collect();
    line.push("--exit-with-parent".into());
    line.extend(["--log".into(), args.log.log.clone().into(), "--log-format".into(), format.into()]);
    line.extend(flags);
    // A child sees only the secrets it needs, and never a value and a file for the same one.
    let mut hidden: Vec<_> = settings::ALL
        .iter()
        .chain(&[handler::TOKEN])
        .flat_map(|name| [(*name).to_owned(), format!("{name}_FILE")])
        .collect();
    hidden.push("BERTH_CONFIG_STORE".to_owned());
    Spec { name: name.to_owned(), args: line, env, hidden, log: home.log(name), before: None, after: None }
}

#[cfg(test)]
mod tests;
