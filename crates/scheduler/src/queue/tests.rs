#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::plugins::ALL;

fn pod(name: &str, priority: i32) -> Arc<PodInfo> {
    let pod: api::core::v1::Pod = serde_json::from_value(serde_json::json!({
        "metadata": {"name": name, "namespace": "ns", "uid": name},
        "spec": {"containers": [], "priority": priority},
    }))
    .unwrap();
    Arc::new(PodInfo::new(&pod))
}

fn pop(queue: &mut Queue, now: Instant) -> Option<String> {
    queue.pop(now).map(|p| p.key.name.to_string())
}

#[tokio::test(start_paused = true)]
async fn the_important_and_the_patient_go_first() {
    let now = Instant::now();
    let mut queue = Queue::default();
    for (name, priority) in [("a", 0), ("b", 5), ("c", 0)] {
        queue.put(pod(name, priority));
    }
    assert_eq!([pop(&mut queue, now), pop(&mut queue, now), pop(&mut queue, now)].map(Option::unwrap), ["b", "a", "c"]);
    assert_eq!(pop(&mut queue, now), None);
}

#[tokio::test(start_paused = true)]
async fn only_an_event_that_may_help_wakes_and_not_before_the_backoff() {
    let now = Instant::now();
    let mut queue = Queue::default();
    queue.put(pod("a", 0));
    let a = queue.pop(now).unwrap();
    queue.refuse(&a.key, vec!["NodeResourcesFit"], now);
    queue.on_event(ClusterEvent::PodAdded, ALL, now);
    assert_eq!(queue.lengths(), (0, 0, 1));
    queue.on_event(ClusterEvent::PodRemoved, ALL, now);
    assert_eq!(queue.lengths(), (0, 1, 0));
    assert_eq!(queue.next_wake(), Some(now + INITIAL_BACKOFF));
    assert_eq!(pop(&mut queue, now), None);
    assert_eq!(pop(&mut queue, now + INITIAL_BACKOFF), Some("a".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn an_event_during_the_attempt_is_not_missed() {
    let now = Instant::now();
    let mut queue = Queue::default();
    queue.put(pod("a", 0));
    let a = queue.pop(now).unwrap();
    queue.on_event(ClusterEvent::NodeAdded, ALL, now);
    queue.refuse(&a.key, vec!["NodeResourcesFit"], now);
    assert_eq!(queue.lengths(), (0, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_forever_and_the_removed_are_gone() {
    let now = Instant::now();
    let mut queue = Queue::default();
    queue.put(pod("a", 0));
    queue.put(pod("b", 0));
    for _ in 0..2 {
        let pod = queue.pop(now).unwrap();
        queue.refuse(&pod.key, vec!["NodeName"], now);
    }
    queue.remove(&pod("b", 0).key);
    queue.flush_aside(now + MAX_ASIDE);
    assert_eq!(pop(&mut queue, now + MAX_ASIDE), Some("a".to_owned()));
    assert_eq!(pop(&mut queue, now + MAX_ASIDE), None);
}

#[test]
fn backoff_doubles_to_its_limit() {
    assert_eq!([1, 2, 3, 4, 5, 60].map(|n| backoff(n).as_secs()), [1, 2, 4, 8, 10, 10]);
}
