//! Leader election on a Lease, as client-go does it: of several candidates one leads, as long as it renews its lease.
//!
//! A candidate trusts no clock but its own: a lease is over when it has been seen unchanged for its duration. A leader
//! that cannot renew stops before that, so that two never lead at once.

use std::time::Duration;

use api::{
    coordination::v1::{Lease, LeaseSpec},
    core::v1::ObjectReference,
    jiff::Timestamp,
    meta::{MicroTime, ObjectMeta},
};
use client::{Api, ApiError, Client, PostParams, events::Recorder};
use rand::Rng;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::Tasks;

/// Upstream's durations of its own components.
const LEASE_DURATION: Duration = Duration::from_secs(15);
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
const RETRY_PERIOD: Duration = Duration::from_secs(2);
/// What the work of a term has to end in: what is left until another may lead.
const STOP_LIMIT: Duration = Duration::from_secs(4);
const RELEASE_LIMIT: Duration = Duration::from_secs(2);
const REASON: &str = "LeaderElection";

/// A candidate for one office.
pub struct Election {
    pub client: Client,
    pub namespace: String,
    /// The lease's name: `kube-scheduler`.
    pub name: String,
    /// Differs for every process.
    pub identity: String,
}

/// The lease as it was last seen, and since when it is so.
struct Observed {
    lease: Lease,
    since: Instant,
}

impl Observed {
    fn spec(&self) -> Option<&LeaseSpec> {
        self.lease.spec.as_ref()
    }

    fn holder(&self) -> &str {
        self.spec().and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default()
    }

    fn is_over(&self) -> bool {
        // A lease that was given back says so by its short duration.
        let seconds = self.spec().and_then(|spec| spec.lease_duration_seconds).and_then(|s| u64::try_from(s).ok());
        let duration = seconds.map_or(LEASE_DURATION, Duration::from_secs).min(LEASE_DURATION);
        self.holder().is_empty() || self.since.elapsed() >= duration
    }
}

impl Election {
    /// Runs `lead` with a group of tasks of its own whenever this candidate is elected, until `tasks` are stopped.
    /// The group is stopped when the term ends, for whichever reason.
    pub fn start(self, tasks: &Tasks, lead: impl Fn(&Tasks) + Send + Sync + 'static) {
        let group = tasks.clone();
        let name = format!("{}-election", self.name);
        tasks.spawn_graceful(&name, move |stop| async move { self.run(&group, &stop, &lead).await });
    }

    async fn run(&self, tasks: &Tasks, stop: &CancellationToken, lead: &(impl Fn(&Tasks) + Send + Sync)) {
        let (recorder, writer) = Recorder::new(self.client.clone(), &self.name, None);
        tasks.spawn("election-events", writer.run());
        let mut observed = None;
        loop {
            if stop.run_until_cancelled(self.acquire(&mut observed)).await.is_none() {
                return;
            }
            tracing::info!(office = self.name, identity = self.identity, "leading");
            recorder.normal(&self.reference(), REASON, format!("{} became leader", self.identity));
            // Not a child: it is awaited below, before anybody else can lead.
            let term = Tasks::new();
            lead(&term);
            let stopped = stop.run_until_cancelled(self.renew(&mut observed)).await.is_none();
            if !term.stop(STOP_LIMIT).await {
                // Upstream's components exit whenever they lose an election, for this reason.
                tracing::error!(office = self.name, "work goes on after the end of the term; the process ends instead");
                std::process::exit(1);
            }
            if stopped {
                self.release(observed).await;
                return;
            }
            tracing::warn!(office = self.name, "leading no longer: the lease could not be renewed in time");
            recorder.normal(&self.reference(), REASON, format!("{} stopped leading", self.identity));
        }
    }

    fn api(&self) -> Api<Lease> {
        self.client.namespaced(&self.namespace)
    }

    fn reference(&self) -> ObjectReference {
        ObjectReference {
            api_version: Some("coordination.k8s.io/v1".to_owned()),
            kind: Some("Lease".to_owned()),
            namespace: Some(self.namespace.clone()),
            name: Some(self.name.clone()),
            ..ObjectReference::default()
        }
    }

    /// Returns when this candidate holds the lease.
    async fn acquire(&self, observed: &mut Option<Observed>) {
        loop {
            match timeout(RENEW_DEADLINE, self.try_hold(observed)).await {
                Ok(Ok(true)) => return,
                Ok(Ok(false)) => {}
                Ok(Err(error)) => tracing::debug!(office = self.name, %error, "the lease could not be had"),
                Err(_) => tracing::debug!(office = self.name, "the API server does not answer about the lease"),
            }
            let jitter = rand::rng().random_range(1.0..2.2);
            tokio::time::sleep(RETRY_PERIOD.mul_f64(jitter)).await;
        }
    }

    /// Returns when the lease is lost.
    async fn renew(&self, observed: &mut Option<Observed>) {
        let mut deadline = Instant::now() + RENEW_DEADLINE;
        loop {
            tokio::time::sleep(RETRY_PERIOD.min(deadline.duration_since(Instant::now()))).await;
            let begun = Instant::now();
            match timeout_at(deadline, self.try_hold(observed)).await {
                Ok(Ok(true)) => deadline = begun + RENEW_DEADLINE,
                Ok(Ok(false)) => return,
                Ok(Err(error)) => tracing::debug!(office = self.name, %error, "the lease could not be renewed"),
                Err(_) => return,
            }
            if Instant::now() >= deadline {
                return;
            }
        }
    }

    /// Takes or renews the lease; false if somebody else holds it.
    async fn try_hold(&self, observed: &mut Option<Observed>) -> Result<bool, client::Error> {
        // Who leads knows the lease: one request instead of two.
        if let Some(seen) = observed.as_ref().filter(|seen| seen.holder() == self.identity) {
            match self.write(&seen.lease).await {
                Ok(lease) => {
                    *observed = Some(Observed { lease, since: Instant::now() });
                    return Ok(true);
                }
                Err(error) if error.is_conflict() || error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        let Some(lease) = self.api().get_opt(&self.name).await? else {
            let made = self.api().create(&PostParams::default(), &self.next(None)).await?;
            *observed = Some(Observed { lease: made, since: Instant::now() });
            return Ok(true);
        };
        let version = |lease: &Lease| lease.metadata.resource_version.clone();
        if observed.as_ref().is_none_or(|seen| version(&seen.lease) != version(&lease)) {
            *observed = Some(Observed { lease, since: Instant::now() });
        }
        let Some(seen) = observed.as_ref() else { return Ok(false) };
        if seen.holder() != self.identity && !seen.is_over() {
            return Ok(false);
        }
        match self.write(&seen.lease).await {
            Ok(lease) => {
                *observed = Some(Observed { lease, since: Instant::now() });
                Ok(true)
            }
            Err(error) if error.is_conflict() => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn write(&self, before: &Lease) -> Result<Lease, client::Error> {
        self.api().replace(&self.name, &PostParams::default(), &self.next(Some(before))).await
    }

    /// The lease as this candidate holds it.
    fn next(&self, before: Option<&Lease>) -> Lease {
        let now = micro();
        let old = before.and_then(|lease| lease.spec.clone()).unwrap_or_default();
        let held = old.holder_identity.as_deref() == Some(&self.identity);
        let transitions = old.lease_transitions.unwrap_or_default();
        let metadata = before.map_or_else(
            || ObjectMeta {
                name: Some(self.name.clone()),
                namespace: Some(self.namespace.clone()),
                ..ObjectMeta::default()
            },
            |lease| lease.metadata.clone(),
        );
        let spec = LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(LEASE_DURATION.as_secs()).ok(),
            acquire_time: if held { old.acquire_time.clone() } else { Some(now.clone()) },
            renew_time: Some(now),
            lease_transitions: Some(if held || before.is_none() { transitions } else { transitions + 1 }),
            ..old
        };
        Lease { metadata, spec: Some(spec) }
    }

    /// Gives the lease back, so that nobody has to wait for its end.
    async fn release(&self, observed: Option<Observed>) {
        let Some(Observed { mut lease, .. }) = observed.filter(|seen| seen.holder() == self.identity) else { return };
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
            spec.renew_time = Some(micro());
        }
        let api = self.api();
        let written = timeout(RELEASE_LIMIT, api.replace(&self.name, &PostParams::default(), &lease)).await;
        if !matches!(written, Ok(Ok(_))) {
            tracing::debug!(office = self.name, "the lease was not given back; it ends by itself");
        }
    }
}

/// The API keeps microseconds.
fn micro() -> MicroTime {
    let now = Timestamp::now();
    MicroTime(Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now))
}
