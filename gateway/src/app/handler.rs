//! A handler that is another program: its client, and the loopback listener on which it reads while it works. Decides how
//! both are put together from the options.

use crate::{
    Options,
    handlers::remote::{Incompatible, Remote, RemoteSettings},
    http::local,
};
use anyhow::Context;
use shared::http::{BoundListener, Trust, bind, traced};
use shared::settings::value_or_file;
use shared::shutdown::Shutdown;
use shared::telemetry::trace::Tracer;
use tokio::task::JoinHandle;

/// A handler that is another program.
pub(super) struct Attached {
    remote: Remote,
    local: BoundListener,
}

/// The same at work.
pub(super) struct Working {
    watch: JoinHandle<Incompatible>,
}

impl Attached {
    /// Makes the way to the handler that the options name; nothing when they name none.
    pub(super) async fn new(options: &Options) -> anyhow::Result<Option<Self>> {
        let args = &options.handler;
        let Some(url) = args.handler.clone() else { return Ok(None) };
        let name = "BERTH_HANDLER_TOKEN";
        let token = value_or_file(name, args.handler_token.as_deref(), args.handler_token_file.as_deref())?;
        let local = bind(args.local_listen, "--local-listen (BERTH_LOCAL_LISTEN)").await?;
        if !local.address.ip().is_loopback() {
            tracing::warn!(address = %local.address, "the handler's reads are reachable from other machines");
        }
        let remote = Remote::new(RemoteSettings {
            url,
            token: token.map(shared::settings::Secret::new),
            patience: args.handler_timeout_fast,
            probe: args.handler_probe,
            max_answer: args.handler_max_answer,
            max_head: options.limits.max_head_bytes,
            max_headers: options.limits.max_headers,
            local_url: format!("http://{}", local.address),
        })?;
        Ok(Some(Self { remote, local }))
    }

    /// Returns the handler.
    pub(super) fn remote(&self) -> Remote {
        self.remote.clone()
    }

    /// Serves its reads until `stop`, and watches it.
    pub(super) fn start(self, options: &Options, tracer: &Tracer, stop: Shutdown) -> Working {
        let routes = traced(local::routes(self.remote.calls()), tracer, Trust::Caller);
        let reads = shared::http::serve(self.local, routes, options.limits.clone(), stop);
        shared::shutdown::spawn(async move {
            if let Err(why) = reads.await {
                tracing::error!(error = %why, "the listener for the handler's reads failed");
            }
        });
        let remote = self.remote;
        Working { watch: shared::shutdown::spawn(async move { remote.watch().await }) }
    }
}

impl Working {
    /// Completes when the handler turns out to be one that this gateway cannot speak with.
    pub(super) async fn refused(&mut self) -> anyhow::Error {
        match (&mut self.watch).await.context("the handler's watch failed") {
            Ok(why) => anyhow::Error::new(why),
            Err(why) => why,
        }
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.watch.abort();
    }
}
