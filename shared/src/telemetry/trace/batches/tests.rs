use super::*;
use crate::telemetry::{
    Metrics,
    trace::{SpanKind, TraceArgs, Tracing},
};
use axum::{Router, body::Bytes, extract::State, routing::post};
use clap::Parser;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU16, Ordering},
};

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: TraceArgs,
}

/// A collector that answers what it is told; 0 is never.
#[derive(Clone)]
struct Double {
    status: Arc<AtomicU16>,
    names: Arc<Mutex<Vec<Vec<String>>>>,
}

impl Double {
    async fn start(status: u16) -> (Self, String) {
        let double = Self { status: Arc::new(AtomicU16::new(status)), names: Arc::default() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let take = async |State(double): State<Self>, body: Bytes| {
            let status = double.status.load(Ordering::SeqCst);
            if status == 0 {
                std::future::pending::<()>().await;
            }
            if status == 200 {
                let request = ExportTraceServiceRequest::decode(body).expect("protobuf");
                let spans = request.resource_spans.into_iter().flat_map(|of| of.scope_spans).flat_map(|of| of.spans);
                double.names.lock().expect("whole").push(spans.map(|span| span.name).collect());
            }
            http::StatusCode::from_u16(status).expect("valid")
        };
        let router = Router::new().route("/v1/traces", post(take)).with_state(double.clone());
        crate::shutdown::spawn(async move { axum_serve(listener, router).await });
        (double, url)
    }
}

async fn axum_serve(listener: tokio::net::TcpListener, router: Router) {
    loop {
        let (socket, _) = listener.accept().await.expect("accepts");
        let service = hyper_util::service::TowerToHyperService::new(router.clone());
        crate::shutdown::spawn(
            hyper::server::conn::http1::Builder::new().serve_connection(hyper_util::rt::TokioIo::new(socket), service),
        );
    }
}

fn start(url: &str, flags: &[&str]) -> (Tracing, Metrics) {
    let line = ["test", "--otlp-endpoint", url];
    let args = Line::parse_from(line.iter().chain(flags)).args;
    let metrics = Metrics::new();
    (Tracing::start(&args, "berth-test", "one", &metrics).expect("valid"), metrics)
}

fn work(tracing: &Tracing, count: usize) {
    for n in 0..count {
        drop(tracing.tracer().start(format!("work {n}"), SpanKind::Internal, None));
    }
}

fn spans(metrics: &Metrics, result: &str) -> u64 {
    let text = metrics.render().expect("text");
    let name = format!("berth_trace_spans_total{{result=\"{result}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&name)).expect("registered").parse().expect("a number")
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work).await.expect("not endless")
}

#[tokio::test]
async fn a_process_that_stops_delivers_its_last_spans_in_batches_of_the_size_that_was_set() {
    let (double, url) = Double::start(200).await;
    let (tracing, metrics) = start(&url, &["--trace-batch", "3", "--trace-delay", "1h", "--trace-flush", "1m"]);
    work(&tracing, 7);
    within(tracing.stop()).await;
    let names = double.names.lock().expect("whole");
    assert_eq!(names.iter().map(Vec::len).sum::<usize>(), 7);
    assert!(names.iter().all(|batch| batch.len() <= 3), "{names:?}");
    assert_eq!((spans(&metrics, "exported"), spans(&metrics, "failed")), (7, 0));
}

#[tokio::test]
async fn a_few_spans_do_not_wait_for_more_than_the_delay() {
    let (double, url) = Double::start(200).await;
    let (tracing, _) = start(&url, &["--trace-delay", "10"]);
    work(&tracing, 2);
    within(async {
        while double.names.lock().expect("whole").iter().flatten().count() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_batch_a_busy_collector_put_off_is_delivered_when_it_is_better() {
    let (double, url) = Double::start(503).await;
    let (tracing, metrics) = start(&url, &["--trace-delay", "1"]);
    work(&tracing, 4);
    double.status.store(200, Ordering::SeqCst);
    within(async {
        while spans(&metrics, "exported") < 4 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(double.names.lock().expect("whole").iter().flatten().count(), 4);
}

#[tokio::test]
async fn what_a_collector_refuses_is_counted_and_not_tried_again() {
    let (_double, url) = Double::start(400).await;
    let (tracing, metrics) = start(&url, &["--trace-flush", "1m"]);
    work(&tracing, 2);
    within(tracing.stop()).await;
    assert_eq!(spans(&metrics, "rejected"), 2);
}

#[tokio::test]
async fn a_collector_that_hangs_does_not_hold_up_the_end() {
    let (_double, url) = Double::start(0).await;
    let (tracing, metrics) =
        start(&url, &["--trace-batch", "2", "--trace-delay", "1", "--otlp-timeout", "1h", "--trace-flush", "50ms"]);
    work(&tracing, 5);
    within(tracing.stop()).await;
    assert_eq!(spans(&metrics, "failed"), 5);
}

#[tokio::test]
async fn a_collector_that_is_not_there_costs_only_the_spans() {
    let (tracing, metrics) = start("http://127.0.0.1:9", &["--trace-queue", "4", "--trace-delay", "1h"]);
    work(&tracing, 10);
    assert_eq!(spans(&metrics, "queue_full"), 6);
    within(tracing.stop()).await;
    assert_eq!(spans(&metrics, "failed"), 4);
}
