//! Leases of etcd, by which it deletes keys itself when their time is over, whether any server lives or not.
//!
//! As upstream's servers do, one lease serves many keys that are written soon after each other: granting one is a write
//! to etcd's log. A key is written again with a newer lease instead of a lease being kept alive.

use tokio::{
    sync::Mutex,
    time::{Duration, Instant},
};

use super::{calls::Calls, trouble::EtcdTrouble};

/// A lease is given to further keys for so long, or for this part of its time if that is less.
const SHARED_FOR: Duration = Duration::from_secs(60);
const SHARED_PART: u32 = 20;
/// At most so many keys share one: etcd deletes them all in one transaction.
const MAX_KEYS: u32 = 1000;
/// How many different times to live are remembered.
const MAX_KINDS: usize = 8;

/// A lease that was granted here.
struct Lease {
    id: i64,
    ttl: Duration,
    /// Not later than etcd lets go of it.
    ends: Instant,
    keys: u32,
}

/// The last lease of each time to live.
#[derive(Default)]
pub(crate) struct Leases {
    last: Mutex<Vec<Lease>>,
}

impl Leases {
    /// A lease that lasts for `ttl` from now, or a little longer.
    pub(crate) async fn lasting(&self, ttl: Duration, calls: &Calls, until: Instant) -> Result<i64, EtcdTrouble> {
        // Who comes meanwhile waits, and shares what is granted.
        let mut last = self.last.lock().await;
        let now = Instant::now();
        if let Some(lease) = last.iter_mut().find(|lease| lease.ttl == ttl)
            && lease.keys < MAX_KEYS
            && now + ttl <= lease.ends
        {
            lease.keys += 1;
            return Ok(lease.id);
        }
        let seconds = whole_seconds(ttl);
        let id = calls.grant(seconds, until).await?;
        last.retain(|lease| lease.ttl != ttl);
        last.truncate(MAX_KINDS - 1);
        last.push(Lease { id, ttl, ends: now + Duration::from_secs(seconds), keys: 1 });
        Ok(id)
    }

    /// Etcd does not know it.
    pub(crate) async fn forget(&self, id: i64) {
        self.last.lock().await.retain(|lease| lease.id != id);
    }
}

/// With the time for which it is shared.
fn whole_seconds(ttl: Duration) -> u64 {
    let shared = (ttl / SHARED_PART).min(SHARED_FOR).as_secs();
    ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0) + shared
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_lasts_longer_than_its_keys_must() {
        assert_eq!(whole_seconds(Duration::from_secs(15)), 15);
        assert_eq!(whole_seconds(Duration::from_millis(1500)), 2);
        assert_eq!(whole_seconds(Duration::from_secs(600)), 630);
        assert_eq!(whole_seconds(Duration::from_secs(3600)), 3660);
    }
}
