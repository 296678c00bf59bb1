//! Waits until every role says that it is ready, and knows who is not and why.

use bytes::Bytes;
use http::Method;
use shared::http::Client;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::{Instant, sleep};

/// How often the roles are asked.
const POLL: Duration = Duration::from_millis(50);
/// How often a person who waits hears why.
const REPORT: Duration = Duration::from_secs(3);
/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(2);

/// Waits until all are ready. `roles` are names and base URLs; `tell` gets a line about who is awaited, every few
/// seconds.
///
/// # Errors
/// When `limit` passes first: who is not ready, with the reason.
pub(super) async fn wait(
    roles: &[(String, String)],
    limit: Duration,
    mut tell: impl FnMut(&str),
) -> Result<(), Vec<String>> {
    let begun = Instant::now();
    let mut told = begun;
    let mut clients = BTreeMap::new();
    for (name, url) in roles {
        let client = Client::new(url, None, ANSWER).map_err(|why| vec![why.to_string()])?;
        clients.insert(name.as_str(), client);
    }
    let mut reasons = BTreeMap::new();
    loop {
        let mut ready = Vec::new();
        for (name, client) in &clients {
            match reason(client).await {
                None => ready.push(*name),
                Some(reason) => {
                    reasons.insert(*name, reason);
                }
            }
        }
        for name in ready {
            clients.remove(name);
            reasons.remove(name);
        }
        if clients.is_empty() {
            return Ok(());
        }
        let awaited = || reasons.iter().map(|(name, reason)| format!("{name} is not ready: {reason}"));
        if begun.elapsed() >= limit {
            return Err(awaited().collect());
        }
        if told.elapsed() >= REPORT {
            told = Instant::now();
            awaited().for_each(|line| tell(&line));
        }
        sleep(POLL).await;
    }
}

/// Returns why a role is not ready; `None` when it is.
async fn reason(client: &Client) -> Option<String> {
    match client.exchange(Method::GET, "/readyz", &[], Bytes::new()).await {
        Ok(answer) if answer.status().is_success() => None,
        Ok(answer) => {
            let text = String::from_utf8_lossy(answer.body()).trim().replace('\n', ", ");
            Some(if text.is_empty() { format!("it answers {}", answer.status()) } else { text })
        }
        Err(_) => Some("it does not listen yet".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::{
        http::{Probes, ServeLimits, bind, serve},
        shutdown::Shutdown,
        telemetry::Metrics,
    };

    #[tokio::test]
    async fn who_waits_hears_who_is_not_ready_and_why() {
        let probes = Probes::new();
        let latch = probes.latch("registered", "config-service is not reachable yet");
        let bound = bind("127.0.0.1:0".parse().expect("an address"), "--listen").await.expect("free");
        let roles = [("gateway-0".to_owned(), format!("http://{}", bound.address))];
        let stop = Shutdown::new();
        let server =
            shared::shutdown::spawn(serve(bound, probes.routes(Metrics::new()), ServeLimits::default(), stop.clone()));
        let late = wait(&roles, Duration::ZERO, |_| {}).await.expect_err("not ready");
        assert_eq!(late, ["gateway-0 is not ready: registered: config-service is not reachable yet"]);
        latch.open();
        wait(&roles, Duration::from_secs(10), |_| {}).await.expect("ready");
        stop.cancel();
        server.await.expect("no panic").expect("served");
        let gone = wait(&roles, Duration::ZERO, |_| {}).await.expect_err("gone");
        assert_eq!(gone, ["gateway-0 is not ready: it does not listen yet"]);
    }
}
