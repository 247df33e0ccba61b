//! Two candidates for one lease, whose server is one object in memory.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use apimachinery::UserInfo;
use client::{Body, Client};
use controller_runtime::{Election, Tasks};
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::time::Instant;

/// The lease, with a version that counts its writes.
#[derive(Clone, Default)]
struct Lease(Arc<Mutex<Option<Value>>>);

impl Lease {
    fn serve(&self, method: &Method, path: &str, body: &[u8]) -> (u16, Value) {
        if path.contains("/events") {
            return (201, serde_json::from_slice(body).unwrap());
        }
        let mut lease = self.0.lock().unwrap();
        let refuse = |code: u16, reason: &str| {
            let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "reason": reason, "message": reason, "code": code});
            (code, status)
        };
        let version =
            |lease: &Value| lease["metadata"]["resourceVersion"].as_str().unwrap_or("0").parse::<u64>().unwrap();
        match (method.as_str(), lease.clone()) {
            ("GET", Some(lease)) => (200, lease),
            ("POST", Some(_)) => refuse(409, "AlreadyExists"),
            ("GET" | "PUT", None) => refuse(404, "NotFound"),
            (_, before) => {
                let mut new: Value = serde_json::from_slice(body).unwrap();
                let now = before.as_ref().map_or(0, version);
                if before.is_some() && version(&new) != now {
                    return refuse(409, "Conflict");
                }
                new["metadata"]["resourceVersion"] = (now + 1).to_string().into();
                *lease = Some(new.clone());
                (if before.is_some() { 200 } else { 201 }, new)
            }
        }
    }

    fn spec(&self, field: &str) -> Value {
        self.0.lock().unwrap().as_ref().unwrap()["spec"][field].clone()
    }
}

struct Candidate {
    tasks: Tasks,
    leads: Arc<AtomicBool>,
    /// Its requests hang.
    cut: Arc<AtomicBool>,
}

/// Sets the flag for as long as the term's work runs.
struct Leading(Arc<AtomicBool>, Arc<AtomicUsize>);

impl Drop for Leading {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
        self.1.fetch_sub(1, Ordering::SeqCst);
    }
}

/// How many lead; more than one at once fails the test.
fn candidate(lease: &Lease, identity: &str, leaders: &Arc<AtomicUsize>) -> Candidate {
    let (tasks, leads, cut) = (Tasks::new(), Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (lease, is_cut) = (lease.clone(), cut.clone());
    let service = tower::service_fn(move |request: Request<Body>| {
        let (lease, is_cut) = (lease.clone(), is_cut.clone());
        async move {
            if is_cut.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let (code, answer) = lease.serve(&parts.method, parts.uri.path(), &body);
            let answer = Body::from(answer.to_string().into_bytes());
            Ok::<_, Infallible>(Response::builder().status(code).body(answer).unwrap())
        }
    });
    let election = Election {
        client: Client::in_process(service, UserInfo::anonymous()),
        namespace: "kube-system".to_owned(),
        name: "office".to_owned(),
        identity: identity.to_owned(),
    };
    let (flag, leaders) = (leads.clone(), leaders.clone());
    election.start(&tasks, move |term| {
        assert_eq!(leaders.fetch_add(1, Ordering::SeqCst), 0, "two lead at once");
        flag.store(true, Ordering::SeqCst);
        let leading = Leading(flag.clone(), leaders.clone());
        term.spawn("work", async move {
            let _leading = leading;
            std::future::pending::<()>().await;
        });
    });
    Candidate { tasks, leads, cut }
}

async fn until(what: &str, condition: impl Fn() -> bool) -> Duration {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(120), "never: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn one_leads_and_the_other_follows_when_it_is_silent() {
    let (lease, leaders) = (Lease::default(), Arc::default());
    let first = candidate(&lease, "first", &leaders);
    until("the first leads", || first.leads.load(Ordering::SeqCst)).await;
    let second = candidate(&lease, "second", &leaders);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(first.leads.load(Ordering::SeqCst) && !second.leads.load(Ordering::SeqCst));
    assert_eq!((lease.spec("holderIdentity"), lease.spec("leaseTransitions")), (json!("first"), json!(0)));

    first.cut.store(true, Ordering::SeqCst);
    let stopped = until("the first stops", || !first.leads.load(Ordering::SeqCst)).await;
    assert!(stopped <= Duration::from_secs(13), "{stopped:?}");
    until("the second leads", || second.leads.load(Ordering::SeqCst)).await;
    assert_eq!((lease.spec("holderIdentity"), lease.spec("leaseTransitions")), (json!("second"), json!(1)));

    // It comes back as one who waits.
    first.cut.store(false, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(second.leads.load(Ordering::SeqCst) && !first.leads.load(Ordering::SeqCst));
}

#[tokio::test(start_paused = true)]
async fn who_stops_gives_the_lease_back() {
    let (lease, leaders) = (Lease::default(), Arc::default());
    let first = candidate(&lease, "first", &leaders);
    until("the first leads", || first.leads.load(Ordering::SeqCst)).await;
    let second = candidate(&lease, "second", &leaders);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(first.tasks.stop(Duration::from_secs(10)).await);
    assert_eq!(lease.spec("holderIdentity"), "");
    let took = until("the second leads", || second.leads.load(Ordering::SeqCst)).await;
    assert!(took < Duration::from_secs(6), "{took:?}");
}
