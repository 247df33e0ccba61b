//! What is particular to etcd: others write there too, it can be away, and it can come back as another.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::json;
use store::{
    ConnectError, EtcdAlarm, EtcdConfig, Form, Malformed, OutOfWindow, ReadError, Revision, Seal, Store, Unsealable,
    WatchError, Write, WriteError, Writes,
};
use testkit::Etcd;

use crate::ground::{config, eventually, folder};

/// For where it is waited for that the time is over.
fn impatient(member: &Etcd) -> EtcdConfig {
    let patience = Duration::from_secs(10);
    EtcdConfig { read_timeout: patience, write_timeout: patience, ..patient(member) }
}

/// A loaded machine is slow, and that is not what is tested.
fn patient(member: &Etcd) -> EtcdConfig {
    let patience = Duration::from_secs(60);
    EtcdConfig {
        connect_timeout: patience,
        start_timeout: patience,
        read_timeout: patience,
        write_timeout: patience,
        ..config([member.endpoint()])
    }
}

async fn connect(member: &Etcd) -> Store {
    Store::connect(patient(member)).await.unwrap()
}

/// As `etcdctl put` would.
fn put(member: &Etcd, key: &str, value: &str) {
    let (key, value) = (Etcd::base64(key.as_bytes()), Etcd::base64(value.as_bytes()));
    member.call("kv/put", &json!({ "key": key, "value": value }));
}

async fn get(store: &Store, key: &str) -> Option<Bytes> {
    store.current().await.unwrap().get(key.as_bytes()).map(|kv| kv.value.clone())
}

#[tokio::test]
async fn what_others_write_is_seen_and_a_read_is_never_stale() {
    let member = Etcd::start();
    let (one, two) = (connect(&member).await, connect(&member).await);
    let mut watch = two.watch(b"", two.revision()).unwrap();
    put(&member, "/test/theirs", "1");
    assert_eq!(get(&one, "theirs").await.unwrap(), "1");
    assert_eq!(watch.next().await.unwrap()[0].current.as_ref().unwrap().value, "1");
    for round in 0..100 {
        let written = one.commit(Write::put(&b"ours"[..], format!("{round}"))).await.unwrap();
        let seen = two.current().await.unwrap();
        assert!(seen.revision() >= written.revision);
        assert_eq!(seen.get(b"ours").unwrap().value, format!("{round}"));
        assert!(two.not_before(written.revision).await.is_ok());
        if round % 10 == 0 {
            // Nothing below the prefix, and yet a revision that is to be reached.
            put(&member, "/elsewhere", "x");
        }
    }
    let elsewhere = member.call("kv/put", &json!({ "key": Etcd::base64(b"/elsewhere"), "value": "" }));
    let at: u64 = elsewhere["header"]["revision"].as_str().unwrap().parse().unwrap();
    assert!(one.current().await.unwrap().revision() >= Revision(at));
    assert!(one.snapshot_at(Revision(at)).is_ok(), "a moment at which only others wrote is one too");
    assert_eq!(one.snapshot().count(b""), 2, "the beacon is nobody's key");
    let unborn = two.not_before(Revision(at + 1_000_000)).await.err();
    assert!(matches!(unborn, Some(ReadError::Future { .. })), "{unborn:?}");
}

#[tokio::test]
async fn questions_are_shared() {
    let member = Etcd::start();
    let store = connect(&member).await;
    put(&member, "/test/k", "v");
    let all = futures::future::try_join_all((0..500).map(|_| store.current())).await.unwrap();
    assert!(all.iter().all(|snapshot| snapshot.get(b"k").is_some()));
}

#[tokio::test]
async fn wrong_endpoints_are_told() {
    let no = |endpoints: &[&str]| {
        Store::connect(EtcdConfig {
            start_timeout: Duration::from_millis(300),
            ..EtcdConfig::new(endpoints.iter().copied())
        })
    };
    assert!(matches!(no(&[]).await.err(), Some(ConnectError::NoEndpoint)));
    for wrong in ["127.0.0.1:2379", "ftp://a:1", "http://a:1/path", "http://"] {
        assert!(matches!(no(&[wrong]).await.err(), Some(ConnectError::Endpoint { .. })), "{wrong}");
    }
    let silent = no(&["http://127.0.0.1:1"]).await.err();
    assert!(matches!(silent, Some(ConnectError::Unavailable { .. })), "{silent:?}");
}

#[tokio::test]
async fn a_transaction_that_comes_in_fragments_is_told_as_one() {
    const KEYS: usize = 3000;
    let member = Etcd::start();
    let store = connect(&member).await;
    let name = |n: usize| format!("many/{n:04}-{}", "k".repeat(1000));
    for first in (0..KEYS).step_by(100) {
        let put = |n: usize| store::Op::Put { key: name(n).into_bytes().into(), value: "v".into() };
        store.commit(Write::transaction((first..first + 100).map(put).collect())).await.unwrap();
    }
    let mut watch = store.watch(b"many/", store.revision()).unwrap();
    // Three megabytes of keys: more than etcd puts into one answer.
    let (key, end) = (Etcd::base64(b"/test/many/"), Etcd::base64(b"/test/many0"));
    member.call("kv/deleterange", &json!({ "key": key, "range_end": end }));
    let events = watch.next().await.unwrap();
    assert_eq!(events.len(), KEYS);
    assert!(events.iter().all(|event| event.revision == events[0].revision && event.previous.is_some()));
    assert_eq!(store.current().await.unwrap().count(b""), 0);
}

#[tokio::test]
async fn a_member_that_ends_and_comes_back_is_followed_again() {
    let mut member = Etcd::start();
    let store = Store::connect(impatient(&member)).await.unwrap();
    let first = store.commit(Write::put(&b"k"[..], "1")).await.unwrap();
    let mut watch = store.watch(b"", first.revision).unwrap();
    member.kill();
    let away = store.commit(Write::put(&b"k"[..], "2")).await;
    assert!(matches!(away, Err(WriteError::Unavailable(_) | WriteError::Unknown { revision: None, .. })), "{away:?}");
    assert!(matches!(store.current().await.err(), Some(ReadError::Unavailable(_))));
    assert_eq!(store.snapshot().get(b"k").unwrap().value, "1");
    eventually("the loss is told", async || {
        let health = store.health().etcd.unwrap();
        health.following.is_none() && health.trouble.is_some() && !health.is_well()
    })
    .await;
    member.start_again();
    put(&member, "/test/k", "3");
    assert_eq!(watch.next().await.unwrap()[0].current.as_ref().unwrap().value, "3");
    eventually("it can be read", async || store.current().await.is_ok_and(|now| now.get(b"k").unwrap().value == "3"))
        .await;
    eventually("it can be written", async || store.commit(Write::put(&b"k"[..], "4")).await.is_ok()).await;
    assert_eq!(watch.next().await.unwrap()[0].current.as_ref().unwrap().value, "4");
    eventually("all is well", async || store.health().etcd.unwrap().is_well()).await;
}

#[tokio::test]
async fn a_paused_member_is_an_error_in_time_and_no_end() {
    let mut member = Etcd::start();
    let store = Store::connect(impatient(&member)).await.unwrap();
    member.pause();
    let (written, read) = tokio::join!(store.commit(Write::put(&b"k"[..], "1")), store.current());
    assert!(matches!(written, Err(WriteError::Unknown { .. })), "{written:?}");
    assert!(read.is_err());
    member.resume();
    eventually("it can be written again", async || store.commit(Write::put(&b"k"[..], "2")).await.is_ok()).await;
}

#[tokio::test]
async fn another_cluster_at_the_same_address_is_the_end() {
    let mut member = Etcd::start();
    let store = connect(&member).await;
    store.commit(Write::put(&b"k"[..], "1")).await.unwrap();
    let mut watch = store.watch(b"", store.revision()).unwrap();
    member.kill();
    member.start_anew();
    assert_eq!(watch.next().await, Err(WatchError::Closed));
    assert!(matches!(store.current().await.err(), Some(ReadError::Unavailable(trouble)) if trouble.is_final()));
    let refused = store.commit(Write::put(&b"k"[..], "2")).await;
    assert!(matches!(refused, Err(WriteError::Unavailable(_))), "{refused:?}");
    let health = store.health();
    assert_eq!(health.writes, Writes::Unavailable);
    assert!(health.etcd.unwrap().is_over);
    // A new start serves what is there now.
    let store = connect(&member).await;
    assert_eq!(store.snapshot().count(b""), 0);
}

#[tokio::test]
async fn a_restored_backup_is_the_end() {
    let mut member = Etcd::start();
    let store = connect(&member).await;
    store.commit(Write::put(&b"k"[..], "1")).await.unwrap();
    member.kill();
    let backup = member.back_up();
    member.start_again();
    for n in 0..20 {
        put(&member, "/test/k", &n.to_string());
    }
    assert_eq!(get(&store, "k").await.unwrap(), "19");
    let mut watch = store.watch(b"", store.revision()).unwrap();
    member.kill();
    member.restore(&backup);
    member.start_again();
    assert_eq!(watch.next().await, Err(WatchError::Closed));
    let health = store.health().etcd.unwrap();
    assert!(health.is_over && health.trouble.as_ref().unwrap().contains("has gone back"), "{health:?}");
    assert!(store.current().await.is_err());
}

#[tokio::test]
async fn a_full_database_refuses_writes_until_there_is_room() {
    let member = Etcd::start_with(&["--quota-backend-bytes=3000000"]);
    let store = connect(&member).await;
    let mut full = None;
    for n in 0..100 {
        match store.commit(Write::put(format!("k/{}", n % 3).into_bytes(), vec![n; 200_000])).await {
            Ok(_) => {}
            Err(error) => {
                full = Some(error);
                break;
            }
        }
    }
    assert!(matches!(full, Some(WriteError::NoSpace)), "{full:?}");
    assert_eq!(store.health().writes, Writes::NoSpace);
    assert_eq!(store.current().await.unwrap().count(b"k/"), 3);
    // A look at the alarms comes with a beat of the pulse, or with a new store.
    let second = connect(&member).await;
    eventually("the alarm is told", async || {
        let health = second.health();
        matches!(health.etcd.unwrap().alarms[..], [EtcdAlarm::NoSpace { .. }]) && health.writes == Writes::NoSpace
    })
    .await;
    let now = store.revision();
    member.call("kv/compaction", &json!({ "revision": now.0.to_string(), "physical": true }));
    member.call("maintenance/defragment", &json!({}));
    let alarms = member.call("maintenance/alarm", &json!({ "action": "GET" }));
    let id = alarms["alarms"][0]["memberID"].clone();
    member.call("maintenance/alarm", &json!({ "action": "DEACTIVATE", "memberID": id, "alarm": "NOSPACE" }));
    store.commit(Write::put(&b"k/0"[..], "small")).await.unwrap();
    assert_eq!(store.health().writes, Writes::Ok);
}

#[tokio::test]
async fn a_value_nobody_can_read_stops_the_feed_until_it_is_mended() {
    let member = Etcd::start();
    let store = Store::connect(impatient(&member)).await.unwrap();
    store.commit(Write::put(&b"a"[..], "good")).await.unwrap();
    let mut watch = store.watch(b"", store.revision()).unwrap();
    put(&member, "/test/b", "unreadable");
    let unread = store.current().await.err();
    assert!(matches!(unread, Some(ReadError::Behind { .. } | ReadError::Unavailable(_))), "{unread:?}");
    assert!(store.health().etcd.unwrap().trouble.unwrap().contains("nobody can read this"));
    let patience = Duration::from_secs(5);
    let refused = Store::connect(EtcdConfig { start_timeout: patience, ..impatient(&member) }).await.err();
    assert!(matches!(&refused, Some(ConnectError::Unreadable(_))), "{refused:?}");
    put(&member, "/test/b", "mended");
    // Read anew, because what came in between is not known.
    let ended = watch.next().await;
    assert!(matches!(ended, Err(WatchError::Interrupted { .. })), "{ended:?} {:?}", store.health());
    eventually("it can be read", async || {
        store.current().await.is_ok_and(|now| now.get(b"b").unwrap().value == "mended")
    })
    .await;
    assert_eq!(connect(&member).await.snapshot().count(b""), 2);
}

/// Goes on without what cannot be read.
#[derive(Debug)]
struct Lenient;

impl Form for Lenient {
    fn to_stored(&self, _key: &[u8], value: Bytes) -> Result<Bytes, Malformed> {
        Ok(value)
    }

    fn from_stored(&self, _key: &[u8], stored: Bytes, _revision: Revision) -> Result<Bytes, Malformed> {
        if stored == "garbled" { Err(Malformed("it is garbled".into())) } else { Ok(stored) }
    }

    fn in_place_of(&self, key: &[u8], why: &(dyn std::error::Error + 'static)) -> Option<Bytes> {
        Some(format!("!{}: {why}", String::from_utf8_lossy(key)).into())
    }

    fn why_unreadable(&self, value: &[u8]) -> Option<String> {
        value.strip_prefix(b"!").map(|why| String::from_utf8_lossy(why).into_owned())
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_told_and_neither_saved_nor_written_over() {
    let member = Etcd::start();
    let config = || EtcdConfig { form: Arc::new(Lenient), seal: Some(Arc::new(Turn)), ..patient(&member) };
    let store = Store::connect(config()).await.unwrap();
    store.commit(Write::put(&b"secret/a"[..], "good")).await.unwrap();
    let mut watch = store.watch(b"", store.revision()).unwrap();
    put(&member, "/test/b", "garbled");
    put(&member, "/test/secret/c", "?sealed with another key");
    let (b, c) = (
        "!b: it is garbled",
        "!secret/c: no matching key was found: it is encrypted with another, which is not configured",
    );
    let mut told = Vec::new();
    while told.len() < 2 {
        told.extend(watch.next().await.unwrap().iter().map(|event| event.current.as_ref().unwrap().value.clone()));
    }
    assert_eq!(told, [b, c]);
    // A start is none the worse for it.
    for store in [store, Store::connect(config()).await.unwrap()] {
        let now = store.current().await.unwrap();
        let value = |key: &[u8]| now.get(key).unwrap().value.clone();
        assert_eq!((value(b"secret/a"), value(b"b"), value(b"secret/c")), ("good".into(), b.into(), c.into()));
        let refused = store.rewrite().await.unwrap_err().to_string();
        assert_eq!(refused, "b: it is garbled (1 more such values)");
        assert_eq!(store.savable().err().unwrap().to_string(), refused);
    }
    let stored = |key: &str| {
        let answer = member.call("kv/range", &json!({"key": Etcd::base64(key.as_bytes())}));
        answer["kvs"][0]["value"].as_str().unwrap().to_owned()
    };
    assert_eq!(stored("/test/b"), Etcd::base64(b"garbled"));
    assert_eq!(stored("/test/secret/c"), Etcd::base64(b"?sealed with another key"));
    // Mended, all of it is written anew.
    put(&member, "/test/b", "mended");
    member.call("kv/deleterange", &json!({"key": Etcd::base64(b"/test/secret/c")}));
    let store = Store::connect(config()).await.unwrap();
    store.rewrite().await.unwrap();
    store.savable().unwrap();
}

/// No cipher: every byte of a secret is turned.
#[derive(Debug)]
struct Turn;

impl Seal for Turn {
    fn seal(&self, key: &[u8], value: &[u8]) -> Option<Vec<u8>> {
        let turned = value.iter().map(|byte| byte ^ 7);
        key.starts_with(b"secret/").then(|| [b'!'].into_iter().chain(turned).collect())
    }

    fn overhead(&self) -> usize {
        1
    }

    fn open(&self, _key: &[u8], stored: Bytes) -> Result<Bytes, Unsealable> {
        match &stored[..] {
            [b'!', rest @ ..] => Ok(rest.iter().map(|byte| byte ^ 7).collect()),
            [b'?', ..] => Err(Unsealable::UnknownKey { key: "another".to_owned() }),
            _ => Ok(stored),
        }
    }
}

#[tokio::test]
async fn what_is_sealed_lies_in_etcd_sealed() {
    let member = Etcd::start();
    put(&member, "/test/secret/old", "plain of old");
    let sealed = || EtcdConfig { seal: Some(Arc::new(Turn)), ..patient(&member) };
    let store = Store::connect(sealed()).await.unwrap();
    let written = store.commit(Write::put(&b"secret/a"[..], "a word for nobody")).await.unwrap();
    assert_eq!(written.current().unwrap().value, "a word for nobody");
    store.commit(Write::put(&b"open/a"[..], "a word for all")).await.unwrap();
    let lies = |key: &str| {
        let answer = member.call("kv/range", &json!({ "key": Etcd::base64(key.as_bytes()) }));
        answer["kvs"][0]["value"].as_str().unwrap().to_owned()
    };
    assert_ne!(lies("/test/secret/a"), Etcd::base64(b"a word for nobody"));
    assert_eq!(lies("/test/open/a"), Etcd::base64(b"a word for all"));
    assert_eq!(lies("/test/secret/old"), Etcd::base64(b"plain of old"));
    let conflict = store.commit(Write::create(&b"secret/a"[..], "x")).await.unwrap_err();
    let WriteError::Conflict { current: Some(current), .. } = conflict else { panic!("{conflict}") };
    assert_eq!(current.value, "a word for nobody");
    store.rewrite().await.unwrap();
    assert_ne!(lies("/test/secret/old"), Etcd::base64(b"plain of old"));
    assert_eq!(Store::connect(sealed()).await.unwrap().snapshot().get(b"secret/old").unwrap().value, "plain of old");
    // And it can be saved, as a local store can.
    let dir = folder();
    let file = dir.path().join("saved");
    store.savable().unwrap().save(&mut std::fs::File::create(&file).unwrap()).unwrap();
    assert_eq!(store::check(&file).unwrap().keys, 3);
}

/// What the key's lease is, of etcd.
fn lease(member: &Etcd, key: &str) -> serde_json::Value {
    let answer = member.call("kv/range", &json!({ "key": Etcd::base64(key.as_bytes()) }));
    answer["kvs"][0]["lease"].clone()
}

#[tokio::test]
async fn etcd_deletes_what_is_over_when_nobody_is_left() {
    let member = Etcd::start();
    // Nothing may be over before it has been looked at, on a loaded machine too.
    let ttl = Duration::from_secs(10);
    let config = || EtcdConfig { seal: Some(Arc::new(Turn)), ..patient(&member) };
    let store = Store::connect(config()).await.unwrap();
    let others = connect(&member).await;
    let limited = |key: &'static [u8]| Write::put(key, "v").lasting(ttl);
    for key in [&b"secret/short"[..], b"short", b"freed", b"renewed"] {
        store.commit(limited(key)).await.unwrap();
    }
    store.commit(Write::put(&b"long"[..], "v").lasting(Duration::from_secs(3600))).await.unwrap();
    store.commit(Write::put(&b"freed"[..], "v")).await.unwrap();
    let of = |key: &str| lease(&member, &format!("/test/{key}"));
    assert_ne!(of("short"), of("long"));
    assert_eq!(of("freed"), serde_json::Value::Null);
    // Written anew with another key, it lasts no longer.
    let before = of("secret/short");
    store.rewrite().await.unwrap();
    assert_eq!(of("secret/short"), before);
    let mut watch = others.watch(b"", others.current().await.unwrap().revision()).unwrap();
    let begun = tokio::time::Instant::now();
    while begun.elapsed() < ttl {
        store.commit(limited(b"renewed")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let last = tokio::time::Instant::now();
    store.commit(limited(b"renewed")).await.unwrap();
    store.close().await;
    drop(store);
    eventually("what is over is gone", async || {
        get(&others, "renewed").await.is_none() && get(&others, "short").await.is_none()
    })
    .await;
    assert!(last.elapsed() >= ttl, "it went early: {:?}", last.elapsed());
    let mut gone = std::collections::BTreeSet::new();
    while gone.len() < 3 {
        let events = watch.next().await.unwrap();
        gone.extend(events.iter().filter(|event| event.current.is_none()).map(|event| event.key.clone()));
    }
    assert!(get(&others, "freed").await.is_some() && get(&others, "long").await.is_some());
}

#[tokio::test]
async fn a_lease_that_etcd_lost_is_asked_for_again() {
    let member = Etcd::start();
    let store = connect(&member).await;
    let hour = Duration::from_secs(3600);
    store.commit(Write::put(&b"a"[..], "v").lasting(hour)).await.unwrap();
    store.commit(Write::put(&b"b"[..], "v").lasting(hour)).await.unwrap();
    let first = lease(&member, "/test/a");
    assert_eq!(lease(&member, "/test/b"), first, "a lease is shared");
    member.call("lease/revoke", &json!({ "ID": first }));
    store.commit(Write::create(&b"c"[..], "v").lasting(hour)).await.unwrap();
    assert_ne!(lease(&member, "/test/c"), first);
    assert_eq!(get(&store, "c").await.unwrap(), "v");
    assert_eq!(get(&store, "a").await, None);
    let left = member.call("lease/timetolive", &json!({ "ID": lease(&member, "/test/c") }));
    let left: u64 = left["TTL"].as_str().unwrap().parse().unwrap();
    assert!((3500..=3660).contains(&left), "{left}");
}

#[tokio::test]
async fn servers_take_turns_to_compact() {
    const EVERY: Duration = Duration::from_millis(400);
    let member = Etcd::start();
    let with = || EtcdConfig { compact_every: Some(EVERY), ..patient(&member) };
    let begun = tokio::time::Instant::now();
    let (one, two) = (Store::connect(with()).await.unwrap(), Store::connect(with()).await.unwrap());
    let first = one.commit(Write::put(&b"k"[..], "0")).await.unwrap().revision;
    let rounds = || {
        let answer = member.call("kv/range", &json!({ "key": Etcd::base64(b"compact_rev_key") }));
        answer["kvs"][0]["version"].as_str().map_or(0, |version| version.parse::<u128>().unwrap())
    };
    while rounds() < 6 {
        one.commit(Write::put(&b"k"[..], "n")).await.unwrap();
        two.current().await.unwrap();
    }
    // Taken after the rounds were counted: no machine is too slow for this.
    let (rounds, most) = (rounds(), begun.elapsed().as_millis() / EVERY.as_millis() + 2);
    assert!(rounds <= most, "{rounds} rounds in {:?}", begun.elapsed());
    // Neither in memory nor in etcd is the beginning left.
    for store in [&one, &two] {
        let is_gone = async || matches!(store.snapshot_at(first), Err(OutOfWindow::Compacted { .. }));
        eventually("the beginning is gone", is_gone).await;
    }
    let late = connect(&member).await;
    assert!(late.health().floor > first, "{:?}", late.health());
}

#[tokio::test]
async fn keys_of_others_are_refused() {
    let member = Etcd::start();
    let store = Store::connect(EtcdConfig { root: b"/registry/".to_vec(), ..patient(&member) }).await.unwrap();
    let refused = store.commit(Write::put(&b"/elsewhere/a"[..], "v")).await;
    assert!(matches!(refused, Err(WriteError::Foreign { .. })), "{refused:?}");
    store.commit(Write::put(&b"/registry/a"[..], "v")).await.unwrap();
    assert_eq!(get(&store, "/registry/a").await.unwrap(), "v");
}
