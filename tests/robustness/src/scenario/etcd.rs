//! Two stores on an etcd of three members, of which one after the other is killed, paused and cut off.
//!
//! What is judged is what clients of both stores see together: etcd is trusted to be right, our image of it is not.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use store::{EtcdConfig, Store};
use testkit::{Etcd, EtcdCluster};
use tokio::time::timeout;

use super::{Load, Tasks, all};
use crate::{
    backend::{Backend, Change, Listing, Transaction, Written, servers::Servers},
    history::{Inner, Restart},
    traffic::{Life, PATIENCE, Run},
};
use testkit::Dice;

/// Other servers' work: neither too often, nor never.
const COMPACT_ONE_OF: u64 = 4;

fn config(cluster: &EtcdCluster) -> EtcdConfig {
    EtcdConfig {
        root: Vec::new(),
        prefix: b"/robustness/".to_vec(),
        history_revisions: 3000,
        compact_every: None,
        connect_timeout: Duration::from_millis(500),
        start_timeout: PATIENCE,
        read_timeout: Duration::from_secs(2),
        write_timeout: Duration::from_secs(2),
        ..EtcdConfig::new(cluster.endpoints())
    }
}

/// What goes wrong, mostly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// Anything.
    Anything,
    /// Members are killed.
    Kills,
    /// Members hear what they are asked, and are not heard.
    LostAnswers,
    /// Etcd is out of reach, and others compact it.
    Compaction,
}

/// Several lives of two servers, with some faults in each.
pub fn run(seed: u64, lives: u64, faults: u64, theme: Theme) -> Inner {
    let mut cluster = EtcdCluster::start();
    // All threads are where the members can be reached.
    let network = cluster.network();
    network.inside(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a runtime can be built").block_on(live(&mut cluster, Dice(seed), (lives, faults), theme))
    })
}

async fn live(cluster: &mut EtcdCluster, mut dice: Dice, (lives, faults): (u64, u64), theme: Theme) -> Inner {
    let mut servers = connect(cluster).await;
    let run = Run::new(servers.stores().map(|store| store.revision().0).min().unwrap_or_default());
    for _ in 0..lives {
        let life = Life::new(run.clone(), servers.clone());
        let load = Load { calls: u64::MAX, ..Load::some(&mut dice) };
        let tasks = Tasks::start(&life, load, &mut dice).await;
        for _ in 0..faults {
            fault(cluster, &mut dice, (&run, &servers), theme).await;
        }
        let ended = run.history.clock.now();
        life.end();
        timeout(PATIENCE, all(tasks.clients)).await.expect("clients end");
        close(&servers).await;
        timeout(PATIENCE, all(tasks.watches)).await.expect("watches of a closed store end");
        servers = connect(cluster).await;
        let state = everything(&servers).await;
        let (begun, ended, revision) = (ended, run.history.clock.now(), state.revision);
        run.history.restarted(Restart { begun, ended, kept: revision, revision, is_power_cut: false, state });
    }
    end(&run, &servers).await;
    Arc::into_inner(run).expect("everybody has ended").history.finish()
}

async fn connect(cluster: &EtcdCluster) -> Arc<Servers> {
    let (one, two) = tokio::join!(Store::connect(config(cluster)), Store::connect(config(cluster)));
    Arc::new(Servers::new([one, two].map(|store| store.expect("all members are there"))))
}

/// All members are well, so it is there, if not at once.
async fn everything(servers: &Servers) -> Listing {
    let listed = async {
        loop {
            if let Ok(listing) = servers.list("", None).await {
                return listing;
            }
        }
    };
    timeout(PATIENCE, listed).await.expect("a healthy etcd is read")
}

async fn close(servers: &Servers) {
    for store in servers.stores() {
        store.close().await;
    }
}

/// Something bad for a while, or two things; then all is well again.
async fn fault(cluster: &mut EtcdCluster, dice: &mut Dice, (run, servers): (&Run, &Servers), theme: Theme) {
    let member = dice.roll(3) as usize;
    let other = (member + 1) % 3;
    let pause = |most: u64, dice: &mut Dice| tokio::time::sleep(Duration::from_millis(50 + dice.roll(most)));
    if dice.roll(COMPACT_ONE_OF) == 0 {
        compact(cluster, other, run.told().saturating_sub(dice.roll(40)));
    }
    let what = match theme {
        Theme::Anything => dice.roll(10),
        Theme::Kills => 0,
        Theme::LostAnswers => 8,
        Theme::Compaction => 9,
    };
    match what {
        0 | 1 => cluster.kill(member),
        2 => cluster.pause(member),
        3 => cluster.cut(member),
        4 => cluster.cut_from_members(member),
        5 => cluster.cut_from_clients(member),
        6 => cluster.lose(member, 5 + dice.roll(30) as u32),
        7 => {
            // No quorum.
            cluster.kill(member);
            cluster.kill(other);
        }
        8 => return lose_answers(cluster, dice, servers).await,
        _ => return away(cluster, dice, run).await,
    }
    pause(1500, dice).await;
    match what {
        0 | 1 => cluster.start_again(member),
        2 => cluster.resume(member),
        3..=6 => cluster.heal(member),
        _ => {
            cluster.start_again(member);
            cluster.start_again(other);
        }
    }
    tokio::task::block_in_place(|| cluster.wait(member));
    tokio::task::block_in_place(|| cluster.wait(other));
    pause(500, dice).await;
}

/// What is asked is done, and its answer never comes, because who did it is killed.
async fn lose_answers(cluster: &mut EtcdCluster, dice: &mut Dice, servers: &Servers) {
    let asked = servers.stores().find_map(|store| store.health().etcd?.following);
    let asked = asked.and_then(|asked| cluster.endpoints().iter().position(|endpoint| *endpoint == asked));
    let asked = asked.unwrap_or_default();
    (0..3).for_each(|member| cluster.cut_answers(member));
    tokio::time::sleep(Duration::from_millis(50 + dice.roll(200))).await;
    cluster.kill(asked);
    (0..3).for_each(|member| cluster.heal(member));
    tokio::time::sleep(Duration::from_millis(500 + dice.roll(500))).await;
    cluster.start_again(asked);
    tokio::task::block_in_place(|| cluster.wait(asked));
}

/// Nobody of ours reaches etcd, while somebody else writes and lets go of the history.
async fn away(cluster: &mut EtcdCluster, dice: &mut Dice, run: &Run) {
    (0..3).for_each(|member| {
        cluster.kill(member);
        cluster.cut_from_clients(member);
    });
    (0..3).for_each(|member| cluster.start_again(member));
    tokio::task::block_in_place(|| (0..3).for_each(|member| cluster.wait(member)));
    for _ in 0..2 + dice.roll(4) {
        let (key, value) = (format!("k/{}", dice.roll(4)), run.value("theirs"));
        let begun = run.history.clock.now();
        let body = json!({ "key": Etcd::base64(format!("/robustness/{key}").as_bytes()), "value": Etcd::base64(value.as_bytes()) });
        let answer = cluster.try_call(0, "kv/put", &body);
        let revision = answer.ok().and_then(|answer| answer["header"]["revision"].as_str()?.parse().ok());
        let asked = Transaction { changes: vec![Change::Put { key, value }], relaxed: false };
        let written = revision.map_or(Written::Unknown, |revision| Written::Done { revision });
        run.history.wrote(begun, asked, written);
        if let Some(revision) = revision {
            compact(cluster, 0, revision);
        }
    }
    (0..3).for_each(|member| cluster.heal(member));
    tokio::time::sleep(Duration::from_millis(500 + dice.roll(500))).await;
}

/// Etcd lets go of its history, whoever still needs it. A revision it does not have, or no longer, is refused.
fn compact(cluster: &EtcdCluster, member: usize, revision: u64) {
    cluster.try_call(member, "kv/compaction", &json!({ "revision": revision.to_string() })).ok();
}

/// The watch of everything comes to the end: to the last write there is.
async fn end(run: &Arc<Run>, servers: &Arc<Servers>) {
    let life = Life::new(run.clone(), servers.clone());
    let tasks = Tasks::start(&life, Load { clients: 0, watchers: 0, calls: 0 }, &mut Dice(0)).await;
    let state = everything(servers).await;
    let newest = state.items.iter().map(|(_, version)| version.revision).max().unwrap_or_default();
    life.recorded(newest).await;
    life.end();
    close(servers).await;
    all(tasks.watches).await;
}
