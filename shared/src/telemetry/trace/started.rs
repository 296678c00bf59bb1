//! Puts a service's traces together, and takes them apart within a bounded time. Decides how a process is described.

use super::{
    TraceArgs, Tracer,
    batches::{Batches, Queue},
    collector::Collector,
    meters::Meters,
};
use crate::{settings::SettingError, shutdown::Shutdown, telemetry::Metrics};
use opentelemetry::{KeyValue, trace::TracerProvider};
use opentelemetry_sdk::{Resource, resource::TelemetryResourceDetector, trace::SdkTracerProvider};
use tokio::task::JoinHandle;

/// A service's traces while it runs.
#[derive(Debug, Default)]
pub struct Tracing {
    tracer: Tracer,
    task: Option<(Shutdown, JoinHandle<()>)>,
}

impl Tracing {
    /// Starts the traces of a process: `service` is its role's name in traces, `instance` tells processes of one role
    /// apart. Without an endpoint nothing is started. Must be called in a runtime.
    ///
    /// # Errors
    /// When a setting does not have its form.
    pub fn start(
        args: &TraceArgs,
        service: &'static str,
        instance: &str,
        metrics: &Metrics,
    ) -> Result<Self, SettingError> {
        let Some(mut plan) = args.plan()? else { return Ok(Self::default()) };
        let own = [
            KeyValue::new("service.name", service),
            KeyValue::new("service.instance.id", instance.to_owned()),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        ];
        let resource = Resource::builder_empty()
            .with_detector(Box::new(TelemetryResourceDetector))
            .with_attributes(own)
            .with_attributes(std::mem::take(&mut plan.resource))
            .build();
        let meters = Meters::register(metrics);
        let (queue, ended) = Queue::new(args.trace_queue, meters.clone());
        let provider = SdkTracerProvider::builder()
            .with_sampler(plan.sampler.clone())
            .with_resource(resource.clone())
            .with_span_processor(queue)
            .build();
        tracing::info!(endpoint = plan.base, path = plan.path, "traces are exported");
        let collector = Collector::new(plan, &resource, args.otlp_timeout)
            .map_err(|why| SettingError::Form { name: "OTEL_EXPORTER_OTLP_ENDPOINT", detail: why.to_string() })?;
        let batches = Batches {
            ended,
            collector,
            meters,
            most: args.trace_batch.max(1),
            delay: args.trace_delay,
            flush: args.trace_flush,
            out: 0,
            away: false,
        };
        let stop = Shutdown::new();
        let task = crate::shutdown::spawn(batches.run(stop.clone()));
        Ok(Self { tracer: Tracer::new(provider.tracer("berth")), task: Some((stop, task)) })
    }

    /// Returns what makes spans.
    pub fn tracer(&self) -> Tracer {
        self.tracer.clone()
    }

    /// Delivers what waits, within the bound of the settings, and ends.
    pub async fn stop(self) {
        if let Some((stop, task)) = self.task {
            stop.cancel();
            if task.await.is_err() {
                tracing::error!("the task that delivers spans ended with a panic");
            }
        }
    }
}
