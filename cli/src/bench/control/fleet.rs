//! Gateways that exist on paper: they register and send heartbeats, so that targets may be given to them.

use crate::exit::Failure;
use shared::{
    Epoch, Incarnation, LeaseId, PodId, Revision, Term,
    http::Client,
    wire::{
        Hello,
        control::{Chain, Grant, Heartbeat, Load, Register, Registered, Track},
    },
};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often each sends its heartbeat.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// How long it may take until all of them have a lease.
const JOIN: Duration = Duration::from_secs(60);

/// The gateways.
#[derive(Debug)]
pub(super) struct Fleet {
    client: Client,
    pods: Vec<Pod>,
}

#[derive(Debug)]
struct Pod {
    name: PodId,
    incarnation: Incarnation,
    lease: LeaseId,
}

impl Fleet {
    /// Registers `pods` gateways, and waits until each has a lease.
    ///
    /// # Errors
    /// When config-service refuses one.
    pub(super) async fn join(client: Client, pods: u16) -> Result<Self, Failure> {
        let mut fleet = Self { client, pods: Vec::new() };
        for n in 0..pods {
            fleet.register(n).await?;
        }
        let deadline = Instant::now() + JOIN;
        while let Err(why) = fleet.beat().await {
            if Instant::now() > deadline {
                return Err(why);
            }
            sleep(HEARTBEAT / 5).await;
        }
        Ok(fleet)
    }

    async fn register(&mut self, n: u16) -> Result<(), Failure> {
        let name: PodId = format!("gateway-{n}").parse().map_err(Failure::error)?;
        let incarnation: Incarnation = format!("00000000-0000-4000-8000-{n:012x}").parse().map_err(Failure::error)?;
        let register = Register {
            hello: Hello::CURRENT,
            pod: name.clone(),
            incarnation: incarnation.clone(),
            address: format!("127.0.0.1:{}", n + 1),
            zone: None,
            previous: None,
            capacity: 1.0,
            schema: 1,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            highest_epoch: Epoch(0),
            term: Term(0),
            bot: None,
            replica: None,
            track: Track::default(),
        };
        let registered: Registered = self.client.post("/v1/pods/register", &register).await.map_err(Failure::error)?;
        self.pods.push(Pod { name, incarnation, lease: registered.lease_id });
        Ok(())
    }

    /// Sends heartbeats for as long as `what` takes.
    ///
    /// # Errors
    /// Those of `what`.
    pub(super) async fn beating<T>(&self, what: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let beats = async {
            loop {
                // One that is late or lost shows in what is measured: without a lease nothing is placed.
                let _ = self.beat().await;
                sleep(HEARTBEAT).await;
            }
        };
        tokio::select! {
            done = what => done,
            () = beats => Err(Failure::error("never")),
        }
    }

    async fn beat(&self) -> Result<(), Failure> {
        let send = async |pod: &Pod| {
            let heartbeat = Heartbeat {
                incarnation: pod.incarnation.clone(),
                lease_id: pod.lease,
                nonce: 1,
                load: Load::default(),
                revision: Revision(0),
                leaving: false,
                goodbye: None,
                not_ready: None,
                witnesses: 0,
                degraded: false,
                weights: Vec::new(),
                chain: Chain::default(),
                term: Term(0),
                served: Default::default(),
                measured: Default::default(),
            };
            let path = format!("/v1/pods/{}/heartbeat", pod.name);
            self.client.post::<Grant>(&path, &heartbeat).await.map_err(Failure::error)
        };
        futures_util::future::try_join_all(self.pods.iter().map(send)).await.map(drop)
    }
}
