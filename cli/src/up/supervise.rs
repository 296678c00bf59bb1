//! Starts and stops gateways while the cluster runs, as config-service says: it is told how many run, again and again, and
//! answers how many are to. Whether those that go are empty is config-service's to know. The count is written down before
//! anything is started or stopped, so that the next `up` in this folder begins with it.

use super::{
    child::Ground,
    fleet::{Fleet, Plan},
    mourner::Mourner,
};
use crate::{
    exit::Failure,
    home::{Cluster, Gateway, Home},
};
use shared::{
    http::{Client, ClientError},
    settings::Secret,
    wire::admin::{Supervise, Supervised},
};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// How often config-service is told.
const EVERY: Duration = Duration::from_secs(1);
/// How long it may take to answer.
const ANSWER: Duration = Duration::from_secs(3);
/// The most gateways on one machine.
pub(super) const MOST: u16 = 100;

/// Who starts and stops gateways.
pub(super) struct Supervisor<'a> {
    client: Client,
    home: &'a Home,
    plan: Plan<'a>,
    ground: Ground,
    mourner: Mourner,
}

impl<'a> Supervisor<'a> {
    /// Makes it ready; `plan` says what a gateway is started with.
    pub(super) fn new(
        home: &'a Home,
        config_url: &str,
        token: Secret,
        plan: Plan<'a>,
        ground: Ground,
        mourner: Mourner,
    ) -> Result<Self, ClientError> {
        Ok(Self { client: Client::new(config_url, Some(token), ANSWER)?, home, plan, ground, mourner })
    }

    /// Goes on until it is dropped; ends only when what it keeps in the folder cannot be written.
    pub(super) async fn run(&self, fleet: &mut Fleet, cluster: &mut Cluster) -> Failure {
        let mut every = interval(EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            let replicas = cluster.gateways.len();
            let said = Supervised {
                name: "berth up".to_owned(),
                prefix: "gateway".to_owned(),
                replicas: u32::try_from(replicas).unwrap_or(u32::MAX),
                running: (0..).take(replicas).collect(),
                most: MOST.into(),
            };
            // Who does not answer now is told in a moment.
            let Ok(Supervise { replicas: wanted }) = self.client.post("/v1/scale/supervisor", &said).await else {
                continue;
            };
            let wanted = u16::try_from(wanted).unwrap_or(MOST).clamp(1, MOST);
            if usize::from(wanted) == replicas {
                continue;
            }
            if let Err(why) = self.scale(fleet, cluster, wanted).await {
                return why;
            }
        }
    }

    /// Starts or stops gateways until so many are looked after.
    async fn scale(&self, fleet: &mut Fleet, cluster: &mut Cluster, wanted: u16) -> Result<(), Failure> {
        cluster.scaled = Some(wanted);
        while cluster.gateways.len() < usize::from(wanted) {
            let number = u16::try_from(cluster.gateways.len()).unwrap_or(MOST);
            let port = match self.plan.port(number) {
                Ok(port) => port,
                Err(why) => {
                    eprintln!("gateway-{number} is not started: {why}");
                    break;
                }
            };
            let pod = format!("gateway-{number}");
            cluster.gateways.push(Gateway { pod: pod.clone(), url: format!("http://127.0.0.1:{port}") });
            self.home.record(cluster)?;
            eprintln!("starting {pod}, there are to be {wanted}");
            fleet.add(self.plan.gateway(number, port)?, &self.ground);
        }
        let mut leaving = Vec::new();
        while cluster.gateways.len() > usize::from(wanted) {
            leaving.extend(cluster.gateways.pop().map(|gateway| gateway.pod));
        }
        self.home.record(cluster)?;
        if !leaving.is_empty() {
            fleet.remove(&leaving).await;
            for pod in leaving {
                // Nobody has to agree first that it is gone.
                self.mourner.clone().tell(pod).await;
            }
        }
        Ok(())
    }
}
