//! The children of one cluster: what each is told, and the order in which they end.

use super::{
    Args,
    child::{Before, Child, Death, Ended, Ground, Spec},
    discord::Discord,
    handler,
    mourner::Mourner,
    ports::Ports,
    replicas::Replicas,
    restart::Next,
    settings::{self, ADMIN_TOKENS, Passed, SERVICE_TOKENS},
};
use crate::{exit::Failure, home::Home};
use clap::ValueEnum;
use std::{ffi::OsString, fs, path::PathBuf, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

/// The children, by what they are to each other.
#[derive(Debug)]
pub(super) struct Fleet {
    config: Vec<Child>,
    gateways: Vec<Child>,
    /// What copies the gateways' databases.
    beside: Vec<Child>,
    http: Vec<Child>,
}

impl Fleet {
    /// Starts all at once: the roles wait for each other.
    pub(super) fn start(specs: Specs, ground: &Ground) -> Self {
        let mut fleet = Self {
            config: vec![Child::start(specs.config, ground.clone())],
            gateways: Vec::new(),
            beside: Vec::new(),
            http: vec![Child::start(specs.http, ground.clone())],
        };
        specs.gateways.into_iter().for_each(|spec| fleet.add(spec, ground));
        fleet
    }

    /// Starts one gateway more, with what copies its database.
    pub(super) fn add(&mut self, spec: GatewaySpec, ground: &Ground) {
        self.beside.extend(spec.beside.map(|beside| Child::start(beside, ground.clone())));
        self.gateways.push(Child::start(spec.gateway, ground.clone()));
    }

    /// Stops these gateways, then what copies their databases: it uploads what they have committed last.
    pub(super) async fn remove(&mut self, pods: &[String]) {
        let leaves = |child: &mut Child| pods.contains(&child.name);
        let gateways: Vec<_> = self.gateways.extract_if(.., leaves).collect();
        let beside: Vec<_> =
            self.beside.extract_if(.., |child| pods.iter().any(|pod| litestream(pod) == child.name)).collect();
        end(gateways).await;
        end(beside).await;
    }

    /// Stops http-service first, so that nothing new comes in, then the gateways, what copies their databases, and config-service.
    pub(super) async fn stop(&mut self) {
        for group in [&mut self.http, &mut self.gateways, &mut self.beside, &mut self.config] {
            end(std::mem::take(group)).await;
        }
    }
}

async fn end(group: Vec<Child>) {
    if group.is_empty() {
        return;
    }
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

/// What copies a gateway's database is called after it.
fn litestream(pod: &str) -> String {
    pod.replacen("gateway", "litestream", 1)
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

/// What to run.
#[derive(Debug)]
pub(super) struct Specs {
    config: Spec,
    gateways: Vec<GatewaySpec>,
    http: Spec,
}

/// What to run for one gateway.
#[derive(Debug)]
pub(super) struct GatewaySpec {
    gateway: Spec,
    /// What copies its database, where replicas are kept.
    beside: Option<Spec>,
}

/// What children are told.
#[derive(Clone, Copy)]
pub(super) struct Plan<'a> {
    /// What was said to `up`.
    pub(super) args: &'a Args,
    /// The data folder.
    pub(super) home: &'a Home,
    /// The ports of those that begin.
    pub(super) ports: &'a Ports,
    /// The secrets.
    pub(super) passed: &'a [Passed],
    /// The replicas.
    pub(super) replicas: &'a Replicas,
    /// The double of Discord.
    pub(super) discord: Option<&'a Discord>,
}

impl Plan<'_> {
    /// Returns what to run.
    ///
    /// # Errors
    /// When a child's folder cannot be made.
    pub(super) fn specs(&self) -> Result<Specs, Failure> {
        let Self { args, ports, passed, .. } = *self;
        let store = match &args.config_store {
            Some(store) => store.clone(),
            None => format!("sqlite:{}", self.folder("config-service")?.join("config.db").display()),
        };
        let mut flags = vec!["--listen".into(), loopback(ports.config).into(), "--open-reads".into()];
        flags.extend(self.discord.map(Discord::of_config).unwrap_or_default());
        let mut env = pick(passed, |name| matches!(name, SERVICE_TOKENS | ADMIN_TOKENS));
        env.push(("BERTH_CONFIG_STORE", store));
        env.extend(self.discord.map(Discord::secret));
        let config = self.spec("config-service", &["config-service"], flags, env);

        let numbered = ports.gateways.iter().zip(0_u16..);
        let gateways = numbered.map(|(port, number)| self.gateway(number, *port)).collect::<Result<_, _>>()?;

        // What a new http-service goes by while config-service is away.
        let others: Vec<_> = ports.gateways.iter().map(|port| loopback(*port)).collect();
        let mut flags: Vec<OsString> = vec![
            "--listen".into(),
            loopback(ports.http).into(),
            "--config-url".into(),
            self.config_url().into(),
            "--table".into(),
            self.folder("http-service")?.join("table.json").into(),
            "--gateways".into(),
            others.join(",").into(),
        ];
        if let Some(targets) = args.secrets.standard_targets() {
            flags.extend(["--standard-targets".into(), targets.into()]);
        }
        let env = pick(passed, |name| name != ADMIN_TOKENS);
        let http = self.spec("http-service", &["http-service"], flags, env);
        Ok(Specs { config, gateways, http })
    }

    /// Returns what to run for the gateway of a number, on a port.
    ///
    /// # Errors
    /// When its folder cannot be made.
    pub(super) fn gateway(&self, number: u16, port: u16) -> Result<GatewaySpec, Failure> {
        let Self { args, passed, replicas, .. } = *self;
        let name = format!("gateway-{number}");
        let mut flags: Vec<OsString> = vec![
            "--listen".into(),
            loopback(port).into(),
            "--advertise".into(),
            loopback(port).into(),
            "--pod".into(),
            name.clone().into(),
            "--config-url".into(),
            self.config_url().into(),
            "--data".into(),
            self.folder(&name)?.into(),
        ];
        flags.extend(args.handler.flags());
        flags.extend(self.discord.map(Discord::of_gateway).unwrap_or_default());
        flags.extend(replicas.flags());
        let mut env = pick(passed, |name| name == SERVICE_TOKENS);
        env.extend(args.handler.token()?.map(|token| (handler::TOKEN, token)));
        env.extend(self.discord.map(Discord::secret));
        let mut gateway = self.spec(&name, &["gateway"], flags.clone(), env.clone());
        if !replicas.are_kept() {
            return Ok(GatewaySpec { gateway, beside: None });
        }
        // Whoever starts this has reaped the process before, or was told of its end by the ports that it held.
        let (done, prepared) = watch::channel(false);
        let before = self.spec(&name, &["gateway", "prepare", "--reaped"], flags.clone(), Vec::new());
        gateway.before = Some(Before { args: before.args, done });
        let beside = self.spec(&litestream(&name), &["gateway", "replicate"], flags, env);
        Ok(GatewaySpec { gateway, beside: Some(Spec { after: Some(prepared), ..beside }) })
    }

    /// Chooses the port of a gateway that begins later.
    ///
    /// # Errors
    /// When it is taken.
    pub(super) fn port(&self, number: u16) -> Result<u16, Failure> {
        self.args.ports.another(number, self.args.check)
    }

    fn spec(&self, name: &str, role: &[&str], flags: Vec<OsString>, env: Vec<(&'static str, String)>) -> Spec {
        let Self { args, home, discord, .. } = *self;
        let format =
            args.log.log_format.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
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
        if discord.is_some() {
            hidden.extend(Discord::hidden());
        }
        Spec { name: name.to_owned(), args: line, env, hidden, log: home.log(name), before: None, after: None }
    }

    fn config_url(&self) -> String {
        format!("http://{}", loopback(self.ports.config))
    }

    fn folder(&self, name: &str) -> Result<PathBuf, Failure> {
        let path = self.home.child(name);
        fs::create_dir_all(&path)
            .map(|()| path.clone())
            .map_err(|why| Failure::error(format!("cannot make {}: {why}", path.display())))
    }
}

fn loopback(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

fn pick(passed: &[Passed], wanted: impl Fn(&str) -> bool) -> Vec<(&'static str, String)> {
    passed.iter().filter(|passed| wanted(passed.name)).map(|passed| (passed.name, passed.value.clone())).collect()
}

#[cfg(test)]
mod tests;
