//! Permits to identify: a shard that has no session to resume waits here until config-service gives it one, whichever leads
//! (docs/adr/0029). Decides nothing but when to ask again; a shard that does not wait any more takes none.

use shared::{
    http::{Client, ClientError},
    wire::discord::{Permit, PermitAsk, Shard},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::oneshot;
use twilight_gateway::queue::Queue;

/// The wait before it is asked again after an answer that does not say so itself.
const PAUSE: Duration = Duration::from_secs(5);

/// How long one request waits for its turn.
const TURN: Duration = Duration::from_secs(20);

/// How long its answer is waited for.
pub(super) const ANSWER: Duration = Duration::from_secs(30);

/// The permits of one connection.
#[derive(Debug, Clone)]
pub(super) struct Permits {
    /// config-service, with [`ANSWER`] as its patience.
    pub(super) client: Client,
    pub(super) ask: Arc<PermitAsk>,
}

impl Permits {
    /// Asks for a shard, which may have a session that Discord refused to resume.
    pub(super) fn new(client: Client, shard: Shard, refused: Option<String>) -> Self {
        let wait_ms = u64::try_from(TURN.as_millis()).ok();
        let ask = PermitAsk { shard: shard.id, shards: shard.count, refused_session: refused, wait_ms };
        Self { client, ask: Arc::new(ask) }
    }

    async fn until_permitted(self, mut permit: oneshot::Sender<()>) {
        let mut said = None;
        loop {
            let asked = tokio::select! {
                () = permit.closed() => return,
                asked = self.client.post::<Permit>("/v1/discord/permits", &*self.ask) => asked,
            };
            let why = match asked {
                Ok(Permit { remaining, .. }) => {
                    tracing::info!(shard = self.ask.shard, remaining, "the shard may identify");
                    // One that has gone this moment has spent it.
                    let _ = permit.send(());
                    return;
                }
                Err(why) => why,
            };
            let pause = wait(&why);
            let code = why.problem().map(|problem| problem.code.to_string());
            // That others come first is no trouble, and the same trouble is told once.
            if code.as_deref() != Some("identify-later") && code != said {
                tracing::warn!(shard = self.ask.shard, again_in_ms = pause.as_millis(), error = %why, "no permit to identify on Discord yet");
            }
            said = code;
            tokio::select! {
                () = permit.closed() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}

/// Returns when to ask again after a refusal: as it says.
fn wait(why: &ClientError) -> Duration {
    why.problem().and_then(|problem| problem.retry_after).unwrap_or(PAUSE).max(Duration::from_millis(100))
}

impl Queue for Permits {
    fn enqueue(&self, _id: u32) -> oneshot::Receiver<()> {
        let (permit, permitted) = oneshot::channel();
        shared::shutdown::spawn(self.clone().until_permitted(permit));
        permitted
    }
}
