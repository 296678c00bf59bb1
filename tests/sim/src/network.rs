//! The network: who reaches whom, what is lost, doubled and late. Reordering follows from the waiting times.

use crate::agenda::Ns;
use crate::draw::Draw;
use std::fmt;

/// Somebody who sends and receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Node {
    /// A gateway.
    Pod(u8),
    /// A config-service.
    Plane(u8),
    /// An http-service.
    Router(u8),
    /// PostgreSQL.
    Database,
    /// The platforms.
    Platform,
    /// The object store.
    Store,
}

/// Gateways, config-services and routers of every run.
pub(crate) const PODS: u8 = 5;
/// Config-services.
pub(crate) const PLANES: u8 = 3;
/// Routers.
pub(crate) const ROUTERS: u8 = 2;
/// Everybody.
pub(crate) const NODES: usize = (PODS + PLANES + ROUTERS) as usize + 3;

impl Node {
    /// Returns its number among all.
    pub(crate) fn at(self) -> usize {
        usize::from(match self {
            Self::Pod(n) => n,
            Self::Plane(n) => PODS + n,
            Self::Router(n) => PODS + PLANES + n,
            Self::Database => PODS + PLANES + ROUTERS,
            Self::Platform => PODS + PLANES + ROUTERS + 1,
            Self::Store => PODS + PLANES + ROUTERS + 2,
        })
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod(n) => write!(f, "gateway-{n}"),
            Self::Plane(n) => write!(f, "config-{n}"),
            Self::Router(n) => write!(f, "router-{n}"),
            Self::Database => f.write_str("database"),
            Self::Platform => f.write_str("platform"),
            Self::Store => f.write_str("store"),
        }
    }
}

/// How bad the network is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    /// Messages lost, per mille.
    pub(crate) loss: u64,
    /// Messages that arrive twice, per mille.
    pub(crate) doubled: u64,
    /// Messages that are very late, per mille.
    pub(crate) late: u64,
    /// The mean waiting time.
    pub(crate) delay: Ns,
}

/// The network.
#[derive(Debug)]
pub(crate) struct Network {
    weather: Weather,
    draw: Draw,
    /// How many faults cut the way from one to the other.
    cuts: [[u8; NODES]; NODES],
}

impl Network {
    pub(crate) fn new(weather: Weather, draw: Draw) -> Self {
        Self { weather, draw, cuts: [[0; NODES]; NODES] }
    }

    /// Returns how long a message travels, once for each time it arrives.
    pub(crate) fn send(&mut self, from: Node, to: Node) -> [Option<Ns>; 2] {
        if self.is_cut(from, to) {
            return [None, None];
        }
        // Platforms repeat what is lost anyway; what is lost on a connection to a database or store is a fault of its own.
        let outside = [from, to].iter().any(|node| matches!(node, Node::Platform | Node::Database | Node::Store));
        if !outside && self.draw.chance(self.weather.loss) {
            return [None, None];
        }
        let again = (!outside && self.draw.chance(self.weather.doubled)).then(|| self.travel(50));
        [Some(self.travel(1)), again]
    }

    fn travel(&mut self, factor: u64) -> Ns {
        let late = if self.draw.chance(self.weather.late) { 200 } else { 1 };
        self.weather.delay / 2 + self.draw.waiting(self.weather.delay * factor * late)
    }

    /// Returns whether the way is cut.
    pub(crate) fn is_cut(&self, from: Node, to: Node) -> bool {
        self.cuts[from.at()][to.at()] > 0
    }

    /// Cuts the way, or ends one cut of it.
    pub(crate) fn cut(&mut self, from: Node, to: Node, cut: bool) {
        let count = &mut self.cuts[from.at()][to.at()];
        *count = if cut { count.saturating_add(1) } else { count.saturating_sub(1) };
    }

    /// Makes everything well.
    pub(crate) fn heal(&mut self) {
        self.cuts = [[0; NODES]; NODES];
        self.weather = Weather { loss: 0, doubled: 0, late: 0, ..self.weather };
    }
}
