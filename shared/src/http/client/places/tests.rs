use super::super::{Client, ClientError};
use crate::{problem::Problem, shutdown};
use axum::{Router, routing::any};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::net::TcpListener;

/// A replica that counts what it is asked and always answers the same.
struct Double {
    url: String,
    asked: Arc<AtomicUsize>,
}

impl Double {
    async fn new(answer: impl Fn() -> Result<&'static str, Problem> + Clone + Send + Sync + 'static) -> Self {
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let handler = any(async move || {
            counter.fetch_add(1, Ordering::Relaxed);
            answer()
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        shutdown::spawn(async move { axum::serve(listener, Router::new().fallback(handler)).await });
        Self { url, asked }
    }

    async fn well() -> Self {
        Self::new(|| Ok("7")).await
    }

    async fn saying(code: &'static str) -> Self {
        Self::new(move || Err(Problem::unavailable(code, "not here"))).await
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

/// A port at which nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    format!("http://{}", listener.local_addr().expect("bound"))
}

/// A listener that accepts and never answers, as a stopped process does.
async fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    (listener, url)
}

fn client(places: &[&str]) -> Client {
    Client::new(&places.join(","), None, Duration::from_secs(10)).expect("URLs")
}

#[tokio::test]
async fn a_call_goes_on_to_the_next_replica_and_stays_with_the_one_that_answers() {
    let (away, first, second) = (nobody().await, Double::saying("not-leader").await, Double::well().await);
    let client = client(&[&away, &first.url, &second.url]);
    for _ in 0..3 {
        assert_eq!(client.post::<u32>("/x", &()).await.expect("an answer"), 7);
    }
    assert_eq!((first.asked(), second.asked()), (1, 3));
    assert_eq!(client.base(), second.url);
    assert_eq!(client.apart().base(), away, "another choice is another's");
}

#[tokio::test]
async fn a_change_whose_outcome_is_unknown_is_not_made_again_elsewhere() {
    let (unsure, well) = (Double::saying("store-unavailable").await, Double::well().await);
    let client = client(&[&unsure.url, &well.url]);
    let refused = client.post::<u32>("/x", &()).await.expect_err("unknown");
    assert_eq!(refused.problem().map(|problem| problem.code.as_str()), Some("store-unavailable"));
    assert_eq!(well.asked(), 0);
    assert_eq!(client.post::<u32>("/x", &()).await.expect("the next call goes elsewhere"), 7);
    client.leave(&well.url);
    client.leave(&well.url);
    assert_eq!(client.get::<u32>("/x").await.expect("a question may be asked again"), 7);
    assert_eq!((unsure.asked(), well.asked()), (2, 2));
}

#[tokio::test]
async fn a_replica_that_is_silent_costs_a_question_only_its_share_of_the_time() {
    let ((_held, stopped), well) = (silent().await, Double::well().await);
    let client = client(&[&stopped, &well.url]).within(Duration::from_secs(4));
    assert_eq!(client.get::<u32>("/x").await.expect("the other answers"), 7);
    client.leave(&well.url);
    let late = client.post::<u32>("/x", &()).await.expect_err("it may have been done");
    assert!(matches!(late, ClientError::Unreachable { sent: true, .. }), "{late}");
    assert_eq!(client.base(), well.url, "the next call goes elsewhere");
    client.leave(&well.url);
    // Whoever gives a call up gives its place up too.
    let given_up = tokio::time::timeout(Duration::from_millis(100), client.post::<u32>("/x", &())).await;
    assert!(given_up.is_err());
    assert_eq!(client.base(), well.url);
}

#[tokio::test]
async fn a_refusal_that_would_be_the_same_everywhere_is_the_answer() {
    let (refuses, well) = (Double::saying("place-queue-full").await, Double::well().await);
    let client = client(&[&refuses.url, &well.url]);
    assert!(client.get::<u32>("/x").await.is_err());
    assert_eq!((client.base(), well.asked()), (refuses.url.as_str(), 0));
    for text in ["", " , ", "https://x", "http://a,ftp://b"] {
        assert!(matches!(Client::new(text, None, Duration::from_secs(1)), Err(ClientError::Url(_))), "{text}");
    }
}
