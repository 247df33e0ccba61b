//! Random operations on the store and on a simple map with all its past; both must agree.

use std::collections::BTreeMap;

use futures::FutureExt;
use proptest::{prelude::*, test_runner::TestRunner};
use store::{EtcdConfig, Event, Op, OutOfWindow, Revision, Store, StoreConfig, Value, Watch, Write, WriteError};

use crate::ground::{config, folder};

/// The past of the model: the map after each revision, and the number the store gave it.
struct Model {
    /// Whether numbers may go to what changes no key: a store on etcd writes its beacon now and then.
    has_beacons: bool,
    past: Vec<(Revision, BTreeMap<String, Version>)>,
    /// Revisions before this one are compacted for sure; a restart may forget that.
    floor: Revision,
    /// The newest revision that was ever compacted to.
    compacted: Revision,
}

#[derive(Clone, Debug, PartialEq)]
struct Version {
    value: String,
    created: Revision,
    modified: Revision,
    version: u64,
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, bool),
    Create(u8),
    Update(u8, bool),
    Delete(u8, bool),
    Swap(u8, u8),
    ReadAt(u8),
    Watch(u8, u8),
    Drain,
    Compact(u8),
    Reopen(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..8u8, any::<bool>()).prop_map(|(key, relaxed)| Step::Put(key, relaxed)),
        4 => (0..8u8).prop_map(Step::Create),
        4 => (0..8u8, prop::bool::weighted(0.8)).prop_map(|(key, right)| Step::Update(key, right)),
        4 => (0..8u8, prop::bool::weighted(0.8)).prop_map(|(key, right)| Step::Delete(key, right)),
        3 => (0..8u8, 0..8u8).prop_map(|(a, b)| Step::Swap(a, b)),
        4 => any::<u8>().prop_map(Step::ReadAt),
        2 => (any::<u8>(), 0..4u8).prop_map(|(at, prefix)| Step::Watch(at, prefix)),
        3 => Just(Step::Drain),
        1 => any::<u8>().prop_map(Step::Compact),
        2 => any::<bool>().prop_map(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_is_a_map_with_a_past(steps in prop::collection::vec(step(), 1..80)) {
        let dir = folder();
        // Small enough that files end, and checkpoints are written, all the time.
        let config = StoreConfig {
            segment_bytes: 512, checkpoint_bytes: 1024, history_revisions: 40, ..StoreConfig::new(dir.path())
        };
        runtime().block_on(run(steps, false, async || Store::open(config.clone()).unwrap()));
    }
}

/// The same on one etcd, with a prefix for each case.
#[test]
fn a_store_on_etcd_is_a_map_with_a_past() {
    let member = testkit::Etcd::start();
    let cases = ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() };
    let number = std::cell::Cell::new(0);
    let result = TestRunner::new(cases).run(&prop::collection::vec(step(), 1..60), |steps| {
        number.set(number.get() + 1);
        let prefix = format!("/model-{}/", number.get()).into_bytes();
        let config = EtcdConfig { prefix, history_revisions: 40, ..config([member.endpoint()]) };
        runtime().block_on(run(steps, true, async || Store::connect(config.clone()).await.unwrap()));
        Ok(())
    });
    result.unwrap();
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

struct Followed {
    watch: Watch,
    prefix: String,
    after: Revision,
}

async fn run(steps: Vec<Step>, has_beacons: bool, open: impl AsyncFn() -> Store) {
    let mut store = open().await;
    let past = vec![(store.revision(), BTreeMap::new())];
    let mut model = Model { has_beacons, past, floor: Revision(0), compacted: Revision(0) };
    let mut followed: Vec<Followed> = Vec::new();
    for step in steps {
        match step {
            Step::ReadAt(at) => model.read_at(&store, at),
            Step::Watch(at, prefix) => {
                let after = model.some_revision(at);
                let prefix = ["", "k/", "k/1", "k/7"][prefix as usize].to_owned();
                match store.watch(prefix.as_bytes(), after) {
                    Ok(watch) => followed.push(Followed { watch, prefix, after }),
                    Err(OutOfWindow::Compacted { floor, .. }) => assert!(after < floor),
                    Err(error) => panic!("{error}"),
                }
            }
            Step::Drain => drain(&model, &mut followed).await,
            Step::Compact(at) => {
                let to = model.some_revision(at);
                if store.compact(to).await.is_ok() {
                    model.floor = model.floor.max(to);
                    model.compacted = model.compacted.max(to);
                }
            }
            Step::Reopen(clean) => {
                drain(&model, &mut followed).await;
                followed.clear();
                if clean {
                    store.close().await;
                }
                drop(store);
                store = open().await;
                assert!(store.recovery().clean);
                model.floor = Revision(0);
            }
            write => model.write(&store, write).await,
        }
        model.agrees(&store);
    }
    drain(&model, &mut followed).await;
}

impl Model {
    fn now(&self) -> &(Revision, BTreeMap<String, Version>) {
        self.past.last().unwrap()
    }

    /// A number that the store has come to: that of the last change, or a beacon's, for the same keys.
    fn moved(&mut self, revision: Revision) {
        let (known, map) = self.now().clone();
        if self.has_beacons && revision > known {
            self.past.push((revision, map));
        } else {
            assert_eq!(revision, known);
        }
    }

    fn some_revision(&self, at: u8) -> Revision {
        // Mostly recent ones: they are in the window.
        let back = at as usize % self.past.len().min(60);
        self.past[self.past.len() - 1 - back].0
    }

    async fn write(&mut self, store: &Store, step: Step) {
        let (revision, map) = self.now().clone();
        let (next, mut map) = (revision.next(), map);
        let at = |key: &str| map.get(key).map(|version| version.modified);
        let built = || Value::built(|revision| format!("v@{revision}").into());
        let key = |n: u8| format!("k/{n}");
        let (write, changes, holds) = match step {
            Step::Put(n, relaxed) => {
                let write = Write::put(key(n).as_bytes(), built());
                (if relaxed { write.relaxed() } else { write }, vec![(key(n), Some(()))], true)
            }
            Step::Create(n) => {
                let holds = at(&key(n)).is_none();
                (Write::create(key(n).as_bytes(), built()), vec![(key(n), Some(()))], holds)
            }
            Step::Update(n, right) => {
                let expected = at(&key(n)).filter(|_| right);
                let write = Write::update(key(n).as_bytes(), expected.unwrap_or_default(), built());
                (write, vec![(key(n), Some(()))], expected.is_some())
            }
            Step::Delete(n, right) => {
                let expected = at(&key(n)).filter(|_| right);
                let write = Write::delete(key(n).as_bytes(), expected.unwrap_or_default());
                (write, vec![(key(n), None)], expected.is_some())
            }
            Step::Swap(a, b) => {
                let ops = vec![
                    Op::Create { key: key(a).as_bytes().into(), value: built() },
                    Op::Put { key: key(b).as_bytes().into(), value: built() },
                ];
                let changes = vec![(key(a), Some(())), (key(b), Some(()))];
                (Write::transaction(ops), changes, a != b && at(&key(a)).is_none())
            }
            other => unreachable!("{other:?} is no write"),
        };
        match store.commit(write).await {
            Ok(committed) => {
                assert!(holds);
                let at = committed.revision;
                assert!(at == next || self.has_beacons && at > next, "{at} after {revision}");
                changes.into_iter().for_each(|(key, is)| set(&mut map, at, key, is.map(|()| format!("v@{at}"))));
                self.past.push((at, map));
            }
            Err(WriteError::Conflict { key, current }) => {
                assert!(!holds);
                assert_eq!(current.map(|kv| kv.mod_revision), at(std::str::from_utf8(&key).unwrap()));
            }
            Err(WriteError::RepeatedKey { .. }) => assert!(matches!(step, Step::Swap(a, b) if a == b)),
            Err(error) => panic!("{error}"),
        }
    }

    fn agrees(&mut self, store: &Store) {
        let snapshot = store.snapshot();
        self.moved(snapshot.revision());
        assert_eq!(versions(&snapshot), self.now().1);
    }

    fn read_at(&self, store: &Store, at: u8) {
        let revision = self.some_revision(at);
        match store.snapshot_at(revision) {
            Ok(snapshot) => {
                assert!(revision >= self.floor);
                let (_, map) = self.past.iter().find(|(at, _)| *at == revision).unwrap();
                assert_eq!(versions(&snapshot), *map);
            }
            Err(OutOfWindow::Compacted { floor, .. }) => {
                assert!(revision < floor);
                assert!(floor <= self.compacted || self.past.len() > 40, "let go of without a reason");
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// What a watch of this prefix after this revision must have seen by now.
    fn changes(&self, prefix: &str, after: Revision) -> Vec<(Revision, String, Option<String>)> {
        let mut changes = Vec::new();
        for pair in self.past.windows(2) {
            let ((_, before), (revision, map)) = (&pair[0], &pair[1]);
            let keys: std::collections::BTreeSet<_> = before.keys().chain(map.keys()).collect();
            let changed = keys.into_iter().filter(|key| before.get(*key) != map.get(*key));
            for key in changed.filter(|key| key.starts_with(prefix) && *revision > after) {
                changes.push((*revision, key.clone(), map.get(key).map(|v| v.value.clone())));
            }
        }
        changes
    }
}

fn set(map: &mut BTreeMap<String, Version>, at: Revision, key: String, value: Option<String>) {
    let Some(value) = value else {
        map.remove(&key);
        return;
    };
    let before = map.get(&key);
    let (created, version) = before.map_or((at, 1), |before| (before.created, before.version + 1));
    map.insert(key, Version { value, created, modified: at, version });
}

fn versions(snapshot: &store::Snapshot) -> BTreeMap<String, Version> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let version = |kv: &std::sync::Arc<store::KeyValue>| Version {
        value: text(&kv.value),
        created: kv.create_revision,
        modified: kv.mod_revision,
        version: kv.version,
    };
    snapshot.walk(b"", None).map(|kv| (text(&kv.key), version(kv))).collect()
}

/// Each watch gives exactly the changes of the model, in order of revisions, then waits.
async fn drain(model: &Model, followed: &mut [Followed]) {
    for Followed { watch, prefix, after } in followed {
        let mut expected = model.changes(prefix, *after);
        let mut seen: Vec<(Revision, String, Option<String>)> = Vec::new();
        while seen.len() < expected.len() {
            let events = watch.next().await.unwrap();
            assert!(!events.is_empty());
            seen.extend(events.iter().map(|event| described(event)));
        }
        assert!(seen.is_sorted_by_key(|(revision, ..)| *revision));
        // The changes of one transaction have no order between them.
        expected.sort();
        seen.sort();
        assert_eq!(seen, expected);
        assert!(watch.next().now_or_never().is_none(), "more than there was");
        *after = model.now().0;
        let progress = watch.progress();
        assert!(progress == *after || model.has_beacons && progress > *after, "{progress} is not {after}");
    }
}

fn described(event: &Event) -> (Revision, String, Option<String>) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (event.revision, text(&event.key), event.current.as_ref().map(|kv| text(&kv.value)))
}
