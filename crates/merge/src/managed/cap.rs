//! Bounds the number of updaters: the oldest of a version are joined into one.

use super::entries::{ManagerId, Operation, Owners};

/// Upstream's bound on owners by update; appliers are not counted.
const MAX_UPDATERS: usize = 10;

const BUCKET: &str = "ancient-changes";

pub(super) fn cap_updaters(owners: &mut Owners) {
    let mut updaters: Vec<ManagerId> = owners.keys().filter(|id| id.operation == Operation::Update).cloned().collect();
    let mut count = updaters.len();
    if count <= MAX_UPDATERS {
        return;
    }
    updaters.sort_by_key(|id| (owners[id].time.clone().unwrap_or_default(), id.clone()));
    let mut first_of_version: std::collections::BTreeMap<String, ManagerId> = Default::default();
    for id in updaters {
        if count <= MAX_UPDATERS {
            return;
        }
        let version = owners[&id].api_version.clone();
        let Some(first) = first_of_version.get(&version) else {
            first_of_version.insert(version, id);
            continue;
        };
        let bucket_id = ManagerId::new(BUCKET, Operation::Update, &version, "");
        if !owners.contains_key(&bucket_id)
            && let Some(owned) = owners.remove(first)
        {
            owners.insert(bucket_id.clone(), owned);
        }
        if id == bucket_id {
            continue;
        }
        if let (Some(newer), Some(bucket)) = (owners.remove(&id), owners.get_mut(&bucket_id)) {
            bucket.set.extend(newer.set);
            bucket.time = newer.time;
            count -= 1;
        }
    }
}
