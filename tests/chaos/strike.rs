//! Carries a drawn fault out, and takes it back. Decides which nodes it meets; when, and for how long, is `run`'s.

use crate::{
    faults::{Fault, Kind},
    load,
    net::Place,
    world::{Who, World},
};
use anyhow::bail;
use http::Method;
use rustix::process::Signal;
use serde_json::json;
use std::time::Duration;

/// What has to be done to take a fault back.
#[derive(Debug)]
enum Undo {
    Start(Who),
    Continue(Who),
    Postgres,
    Mend(Vec<(Place, Place)>),
    Pass(Who),
    Wall(usize),
    Rate(Who),
    Sync(usize),
    Clear(usize),
    Undrain(usize),
    Replicas,
}

/// A fault that is under way.
#[derive(Debug)]
pub(crate) struct Struck {
    undo: Vec<Undo>,
    /// The gateways whose targets feel it; none: all targets may.
    pub(crate) gateways: Vec<usize>,
    /// Whom it met, in words.
    pub(crate) detail: String,
}

impl Struck {
    fn of(who: &str) -> Self {
        Self { undo: Vec::new(), gateways: Vec::new(), detail: who.to_owned() }
    }
}

/// Carries a fault out.
pub(crate) async fn strike(world: &mut World, fault: &Fault) -> anyhow::Result<Struck> {
    use Kind as K;
    let gateway = fault.victim % world.gateways.len();
    let at_gateway = Who::Gateway(gateway);
    let mut struck = Struck::of(world.gateways[gateway].name());
    struck.gateways = vec![gateway];
    match fault.kind {
        K::GatewayKill | K::GatewayAway => kill(world, at_gateway, &mut struck),
        K::GatewayPause => pause(world, at_gateway, &mut struck),
        K::ConfigKill | K::LeaderKill | K::LeaderPause => {
            let who = Who::Config(config(world, fault).await);
            struck = Struck::of(world.node(who).name());
            if fault.kind == K::LeaderPause { pause(world, who, &mut struck) } else { kill(world, who, &mut struck) }
        }
        K::HttpKill | K::HttpPause => {
            let who = Who::Http(fault.victim % world.routers.len());
            struck = Struck::of(world.node(who).name());
            if fault.kind == K::HttpPause { pause(world, who, &mut struck) } else { kill(world, who, &mut struck) }
        }
        K::StepDown => {
            struck = Struck::of("the leader");
            ask(world, "/v1/leader/step-down").await?;
        }
        K::PostgresCrash | K::PostgresAway | K::ControlPlaneGone => {
            struck = Struck::of("postgres");
            if fault.kind == K::ControlPlaneGone {
                struck = Struck::of("control plane");
                (0..world.configs.len()).for_each(|n| kill(world, Who::Config(n), &mut struck));
            }
            world.postgres.crash();
            // The database first: the others begin with it.
            struck.undo.insert(0, Undo::Postgres);
        }
        K::Isolated | K::OneWay | K::Pair => cut(world, fault, gateway, &mut struck),
        K::Reset => {
            let all = world.places();
            let place = &all[fault.victim % all.len()];
            struck = Struck::of(place.name());
            world.net.reset(place);
        }
        K::Slow | K::Corrupt => {
            let who = match (fault.kind, fault.other % 3) {
                (K::Corrupt, _) => Who::Http(fault.victim % world.routers.len()),
                (_, 0) => Who::Config(fault.victim % world.configs.len()),
                _ => at_gateway,
            };
            if who != at_gateway {
                struck = Struck::of(world.node(who).name());
            }
            world.node(who).order(&format!("{} {}", fault.kind.name(), fault.amount));
            struck.undo.push(Undo::Pass(who));
        }
        K::WallJump | K::ClockRate | K::FsyncError | K::SlowDisk => turn(world, fault, gateway, &mut struck)?,
        K::DiskFull => {
            world.disks().fill(gateway)?;
            struck.undo.push(Undo::Clear(gateway));
        }
        K::Moves => {
            struck = Struck::of(&format!("{} targets", fault.amount));
            moves(world, fault).await?;
        }
        K::DiskLost => {
            // What is committed meanwhile is nowhere else: it must not have been acknowledged.
            world.node(Who::Litestream(gateway)).signal(Signal::STOP);
            tokio::time::sleep(Duration::from_millis(fault.amount)).await;
            world.lose_disk(gateway)?;
            struck.undo.extend([Undo::Start(at_gateway), Undo::Start(Who::Litestream(gateway))]);
        }
        K::LitestreamKill => kill(world, Who::Litestream(gateway), &mut struck),
        K::LitestreamPause => pause(world, Who::Litestream(gateway), &mut struck),
        K::StoreAway => {
            struck = Struck::of("the store");
            world.shut_replicas(true).await?;
            struck.undo.push(Undo::Replicas);
        }
        K::Drain => {
            ask(world, &format!("/v1/pods/{}/drain", struck.detail)).await?;
            struck.undo.push(Undo::Undrain(gateway));
        }
    }
    Ok(struck)
}

/// Takes a fault back.
pub(crate) async fn heal(world: &mut World, struck: &mut Struck) -> anyhow::Result<()> {
    for undo in struck.undo.drain(..) {
        match undo {
            Undo::Start(who) => world.bring_up(who)?,
            Undo::Continue(who) => world.node(who).signal(Signal::CONT),
            Undo::Postgres => world.postgres.resume().await?,
            Undo::Mend(pairs) => pairs.iter().for_each(|(from, to)| world.net.mend(from, to)),
            Undo::Pass(who) => world.node(who).order("pass"),
            Undo::Wall(gateway) => world.gateways[gateway].control().wall(0)?,
            Undo::Rate(who) => world.node(who).control().rate(0)?,
            Undo::Sync(gateway) => {
                world.gateways[gateway].control().fsync_fails(false)?;
                world.gateways[gateway].control().fsync_slow(0)?;
            }
            Undo::Replicas => world.shut_replicas(false).await?,
            Undo::Clear(gateway) => world.disks().clear(gateway),
            Undo::Undrain(gateway) => {
                let path = format!("/v1/pods/{}/undrain", world.gateways[gateway].name());
                ask(world, &path).await?;
            }
        }
    }
    Ok(())
}

fn kill(world: &mut World, who: Who, struck: &mut Struck) {
    world.take_down(who);
    struck.undo.push(Undo::Start(who));
}

fn pause(world: &mut World, who: Who, struck: &mut Struck) {
    world.node(who).signal(Signal::STOP);
    struck.undo.push(Undo::Continue(who));
}

/// Which config-service is meant: the leader, or one that is not.
async fn config(world: &World, fault: &Fault) -> usize {
    let all = world.configs.len();
    let leader = world.leader().await.unwrap_or(fault.victim % all);
    if fault.kind == Kind::ConfigKill && all > 1 { (leader + 1 + fault.victim % (all - 1)) % all } else { leader }
}

fn cut(world: &mut World, fault: &Fault, gateway: usize, struck: &mut Struck) {
    let own = world.gateways[gateway].place().clone();
    let others: Vec<Place> = world.places().into_iter().filter(|place| *place != own).collect();
    let out = others.iter().map(|other| (own.clone(), other.clone()));
    let back = others.iter().map(|other| (other.clone(), own.clone()));
    let pairs: Vec<_> = match fault.kind {
        Kind::Isolated => out.chain(back).collect(),
        Kind::OneWay if fault.other.is_multiple_of(2) => out.collect(),
        Kind::OneWay => back.collect(),
        _ => {
            let all = world.places();
            let from = &all[fault.victim % all.len()];
            let rest: Vec<_> = all.iter().filter(|place| *place != from).collect();
            let to = rest[fault.other % rest.len()];
            *struck = Struck::of("");
            vec![(from.clone(), to.clone()), (to.clone(), from.clone())]
        }
    };
    pairs.iter().for_each(|(from, to)| world.net.cut(from, to));
    struck.detail = match (fault.kind, pairs.first()) {
        (Kind::Isolated, _) => own.name().to_owned(),
        (Kind::OneWay, Some((from, _))) if *from == own => format!("from {}", own.name()),
        (Kind::OneWay, _) => format!("to {}", own.name()),
        (_, Some((from, to))) => format!("{} and {}", from.name(), to.name()),
        (_, None) => String::new(),
    };
    struck.undo.push(Undo::Mend(pairs));
}

fn turn(world: &mut World, fault: &Fault, gateway: usize, struck: &mut Struck) -> anyhow::Result<()> {
    let amount = i64::try_from(fault.amount)?;
    let sign = if fault.other.is_multiple_of(2) { 1 } else { -1 };
    match fault.kind {
        Kind::WallJump => {
            world.gateways[gateway].control().wall(sign * amount * 1_000)?;
            struck.undo.push(Undo::Wall(gateway));
        }
        Kind::ClockRate => {
            // One of three times a config-service's; towards where its clocks were before, so that they stay near.
            let config = fault.other.is_multiple_of(3);
            let who = if config { Who::Config(fault.victim % world.configs.len()) } else { Who::Gateway(gateway) };
            let ahead = world.node(who).control().ahead();
            let sign = if ahead == 0 { sign } else { -ahead.signum() };
            world.node(who).control().rate(sign * amount)?;
            if config {
                struck.gateways.clear();
            }
            struck.detail = format!("{} {:+} ppm", world.node(who).name(), sign * amount);
            struck.undo.push(Undo::Rate(who));
        }
        Kind::SlowDisk => {
            world.gateways[gateway].control().fsync_slow(amount)?;
            struck.undo.push(Undo::Sync(gateway));
        }
        _ => {
            world.gateways[gateway].control().fsync_fails(true)?;
            struck.undo.push(Undo::Sync(gateway));
        }
    }
    Ok(())
}

async fn moves(world: &World, fault: &Fault) -> anyhow::Result<()> {
    let owners = world.owners().await?;
    let all: Vec<_> = owners.keys().filter(|name| name.starts_with(&load::target(0)[..15])).collect();
    let mut begun = 0;
    for n in 0..usize::try_from(fault.amount)? {
        let name = all[(fault.victim + n * 7) % all.len().max(1)];
        begun += u64::from(ask(world, &format!("/v1/targets/{name}/move")).await.is_ok());
    }
    // Some are moving already, or have just moved.
    if begun == 0 {
        bail!("none of {} moves was begun", fault.amount)
    }
    Ok(())
}

async fn ask(world: &World, path: &str) -> anyhow::Result<()> {
    let reply = world.admin(&Method::POST, path, Some(&json!({"reason": "chaos"}))).await?;
    if !(200..300).contains(&reply.status) {
        bail!("POST {path}: {} {}", reply.status, reply.text());
    }
    Ok(())
}
