//! Metrics of all work queues of the process, under upstream's names.

use std::sync::LazyLock;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabels {
    name: String,
}

struct Families {
    depth: Family<QueueLabels, Gauge>,
    adds: Family<QueueLabels, Counter>,
    retries: Family<QueueLabels, Counter>,
    queue_duration: Family<QueueLabels, Histogram, fn() -> Histogram>,
    work_duration: Family<QueueLabels, Histogram, fn() -> Histogram>,
}

/// The metrics of one queue.
pub(crate) struct QueueMetrics {
    pub(crate) depth: Gauge,
    pub(crate) adds: Counter,
    pub(crate) retries: Counter,
    pub(crate) queue_duration: Histogram,
    pub(crate) work_duration: Histogram,
}

static FAMILIES: LazyLock<Families> = LazyLock::new(|| Families {
    depth: Family::default(),
    adds: Family::default(),
    retries: Family::default(),
    queue_duration: Family::new_with_constructor(duration_histogram),
    work_duration: Family::new_with_constructor(duration_histogram),
});

/// Ten nanoseconds to a thousand seconds, as upstream has it.
fn duration_histogram() -> Histogram {
    Histogram::new(exponential_buckets(10e-9, 10.0, 12))
}

pub(crate) fn queue(name: &str) -> QueueMetrics {
    let labels = QueueLabels { name: name.to_owned() };
    QueueMetrics {
        depth: FAMILIES.depth.get_or_create(&labels).clone(),
        adds: FAMILIES.adds.get_or_create(&labels).clone(),
        retries: FAMILIES.retries.get_or_create(&labels).clone(),
        queue_duration: FAMILIES.queue_duration.get_or_create(&labels).clone(),
        work_duration: FAMILIES.work_duration.get_or_create(&labels).clone(),
    }
}

/// Makes the work queues' metrics part of what `registry` serves.
pub fn register_metrics(registry: &mut Registry) {
    registry.register("workqueue_depth", "Current depth of workqueue", FAMILIES.depth.clone());
    // Counters are served with `_total` behind their name.
    registry.register("workqueue_adds", "Total number of adds handled by workqueue", FAMILIES.adds.clone());
    registry.register("workqueue_retries", "Total number of retries handled by workqueue", FAMILIES.retries.clone());
    registry.register(
        "workqueue_queue_duration_seconds",
        "How long in seconds an item stays in workqueue before being requested.",
        FAMILIES.queue_duration.clone(),
    );
    registry.register(
        "workqueue_work_duration_seconds",
        "How long in seconds processing an item from workqueue takes.",
        FAMILIES.work_duration.clone(),
    );
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn names_are_upstreams() {
        queue("deployment").adds.inc();
        let mut registry = Registry::default();
        register_metrics(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(text.contains("workqueue_adds_total{name=\"deployment\"} 1"), "{text}");
    }
}
