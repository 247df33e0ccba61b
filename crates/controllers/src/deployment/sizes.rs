//! How large each replica set may be: the arithmetic of surge, unavailability and proportion.

use api::{
    IntOrString,
    apps::v1::{Deployment, ReplicaSet},
    scaled_value,
};

use super::revision::max_replicas;

pub(crate) fn wanted(deployment: &Deployment) -> i32 {
    deployment.spec.replicas.unwrap_or(1)
}

pub(crate) fn replicas(set: &ReplicaSet) -> i32 {
    set.spec.replicas.unwrap_or(1)
}

pub(crate) fn available(set: &ReplicaSet) -> i32 {
    set.status.as_ref().and_then(|s| s.available_replicas).unwrap_or(0)
}

pub(crate) fn total<'a>(sets: impl IntoIterator<Item = &'a ReplicaSet>) -> i32 {
    sets.into_iter().map(replicas).sum()
}

pub(crate) fn is_rolling_update(deployment: &Deployment) -> bool {
    let strategy = deployment.spec.strategy.as_ref();
    strategy.and_then(|s| s.type_.as_deref()).unwrap_or("RollingUpdate") == "RollingUpdate"
}

/// Surge and unavailability as counts. Both 0 would stop every rollout, so one may then be missing.
fn fenceposts(deployment: &Deployment) -> (i32, i32) {
    let strategy = deployment.spec.strategy.as_ref();
    let rolling = strategy.and_then(|s| s.rolling_update.clone()).unwrap_or_default();
    let quarter = || IntOrString::String("25%".to_owned());
    let wanted = wanted(deployment);
    let surge = scaled_value(&rolling.max_surge.unwrap_or_else(quarter), wanted, true);
    let unavailable = scaled_value(&rolling.max_unavailable.unwrap_or_else(quarter), wanted, false);
    if surge == 0 && unavailable == 0 { (0, 1) } else { (surge, unavailable) }
}

pub(crate) fn max_surge(deployment: &Deployment) -> i32 {
    if is_rolling_update(deployment) { fenceposts(deployment).0 } else { 0 }
}

pub(crate) fn max_unavailable(deployment: &Deployment) -> i32 {
    let wanted = wanted(deployment);
    if !is_rolling_update(deployment) || wanted == 0 { 0 } else { fenceposts(deployment).1.min(wanted) }
}

/// The size the newest set may have now, beside `all` sets of the deployment.
pub(crate) fn new_set_size(deployment: &Deployment, all_total: i32, current: i32) -> i32 {
    let wanted = wanted(deployment);
    if !is_rolling_update(deployment) {
        return wanted;
    }
    let room = wanted + max_surge(deployment) - all_total;
    if room <= 0 { current } else { current + room.min(wanted - current) }
}

/// A set's share of `to_add` pods (or, negative, of those to take away) of which `added` are given out.
pub(crate) fn proportion(set: &ReplicaSet, deployment: &Deployment, to_add: i32, added: i32) -> i32 {
    if replicas(set) == 0 || to_add == 0 || to_add == added {
        return 0;
    }
    let (share, allowed) = (fraction(set, deployment), to_add - added);
    if to_add > 0 { share.min(allowed) } else { share.max(allowed) }
}

fn fraction(set: &ReplicaSet, deployment: &Deployment) -> i32 {
    let size = replicas(set);
    if wanted(deployment) == 0 {
        return -size;
    }
    let new_max = wanted(deployment) + max_surge(deployment);
    let counted = deployment.status.as_ref().and_then(|s| s.replicas).unwrap_or(0);
    let old_max = max_replicas(set).filter(|max| *max != 0).unwrap_or(counted);
    if old_max == 0 {
        return 0;
    }
    let scaled = f64::from(size) * f64::from(new_max) / f64::from(old_max);
    scaled.round() as i32 - size
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use serde_json::json;

    use super::*;

    fn deployment(replicas: i32, surge: serde_json::Value, unavailable: serde_json::Value) -> Deployment {
        serde_json::from_value(json!({"spec": {
            "replicas": replicas, "selector": {}, "template": {},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}},
        }}))
        .unwrap()
    }

    #[test]
    fn surge_and_unavailability() {
        let cases = [
            (10, json!("25%"), json!("25%"), (3, 2)),
            (1, json!("25%"), json!("25%"), (1, 0)),
            (10, json!(0), json!("5%"), (0, 1)),
            (4, json!(2), json!(9), (2, 4)),
            (0, json!("25%"), json!(1), (0, 0)),
        ];
        for (replicas, surge, unavailable, expect) in cases {
            let deployment = deployment(replicas, surge, unavailable);
            assert_eq!((max_surge(&deployment), max_unavailable(&deployment)), expect, "{replicas}");
        }
    }

    #[test]
    fn the_new_set_grows_into_the_room_there_is() {
        let deployment = deployment(10, json!(3), json!(2));
        for (all, current, expect) in [(0, 0, 10), (10, 0, 3), (13, 3, 3), (11, 3, 5), (20, 1, 1), (9, 8, 10)] {
            assert_eq!(new_set_size(&deployment, all, current), expect, "{all} {current}");
        }
    }
}
