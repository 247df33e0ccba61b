//! Deaths in the middle of what an operator does, each at a chosen system call: nothing is lost, nothing is half, there
//! is one cluster and not two, and the same command run again ends what was begun.
//!
//! `KNARR_OPERATION_KILLS` says how often each is killed; `KNARR_OPERATION_SEED` repeats a run but for the order of
//! threads.

mod keys;
mod moves;
mod renewal;
mod snapshots;

use std::{collections::BTreeMap, path::Path, process::Command};

use testkit::{ApiServer, Dice, FILE_CALLS};

use super::{config_map, refused, said, store};

/// How often each is killed when nobody says.
const KILLS: u64 = 3;
/// ConfigMaps and Secrets of a cluster that is to be whole.
const OBJECTS: usize = 40;

pub(super) fn kills() -> u64 {
    std::env::var("KNARR_OPERATION_KILLS").map_or(KILLS, |text| text.parse().expect("a number"))
}

/// Where a process dies: at this system call, the so many-th of a thread.
type Place = (&'static str, u32);

/// Every place up to these, or some of them where they are more than the deaths.
fn places(last: &[Place], dice: &mut Dice) -> Vec<Place> {
    let all: Vec<Place> = last.iter().flat_map(|(call, count)| (1..=*count).map(|nth| (*call, nth))).collect();
    if all.len() as u64 <= kills() {
        return all;
    }
    // Each call as often as the others: where there are many of one, one is like the next.
    let mut side = |sides: usize| usize::try_from(dice.roll(sides as u64)).unwrap();
    let mut pick = || {
        let (call, count) = last[side(last.len())];
        (call, 1 + u32::try_from(side(count as usize)).unwrap())
    };
    (0..kills()).map(|_| pick()).collect()
}

pub(super) fn dice() -> Dice {
    Dice::from_env("KNARR_OPERATION_SEED")
}

/// How often a thread makes each of these calls at most while `run` runs a command that nobody kills.
fn count(command: &Command, calls: &'static str, run: impl FnOnce(Command)) -> Vec<Place> {
    let trace = tempfile::NamedTempFile::new().unwrap();
    let mut counted = Command::new("strace");
    counted.args(["-D", "-f", "-qq", "--seccomp-bpf", "-e", &format!("trace={calls}"), "-e", "signal=none", "-o"]);
    counted.arg(trace.path()).arg("--").arg(command.get_program()).args(command.get_args());
    counted.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    run(counted);
    let mut threads = BTreeMap::<(&str, String), u32>::new();
    for line in std::fs::read_to_string(trace.path()).unwrap().lines() {
        let (thread, rest) = line.split_once(' ').unwrap_or_default();
        let name = rest.trim_start().split('(').next().unwrap_or_default();
        if let Some(call) = calls.split(',').find(|call| *call == name) {
            *threads.entry((call, thread.to_owned())).or_default() += 1;
        }
    }
    let mut most = BTreeMap::<&'static str, u32>::new();
    for ((call, _), count) in threads {
        let most = most.entry(call).or_default();
        *most = count.max(*most);
    }
    most.into_iter().collect()
}

/// The same of a command that ends by itself.
fn count_of(command: &Command, calls: &'static str) -> Vec<Place> {
    count(command, calls, |mut counted| drop(said(&mut counted)))
}

/// The same of a server, from its start until it is ready; it is stopped before and after.
fn count_start(server: &mut ApiServer) -> Vec<Place> {
    let command = server.command();
    count(&command, FILE_CALLS, |counted| {
        assert!(server.serves(counted));
        server.kill();
    })
}

/// A server, stopped, whose cluster has so many objects.
pub(super) fn cluster() -> ApiServer {
    let mut server = ApiServer::start();
    fill(&server);
    server.kill();
    server
}

fn fill(server: &ApiServer) {
    let secret = |n: usize| {
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: s-{n}}}\nstringData: {{word: treasure-{n}}}\n---\n")
    };
    let objects: String = (0..OBJECTS).map(|n| config_map(&format!("c-{n}")) + &secret(n)).collect();
    server.kubectl().apply(&objects);
}

/// Everything is there, and the secrets can be read.
#[track_caller]
pub(super) fn is_whole(server: &ApiServer) {
    let kubectl = server.kubectl();
    let maps = kubectl.ok("get configmaps -o name");
    assert_eq!(maps.lines().filter(|line| line.contains("/c-")).count(), OBJECTS, "{maps}");
    let words = kubectl.ok("get secrets -o jsonpath={.items[*].data.word}");
    assert_eq!(words.split_whitespace().count(), OBJECTS, "{words}");
}

/// Another server on a copy of this one's folder.
fn copy_of(server: &ApiServer) -> ApiServer {
    let copy = ApiServer::not_started(&[]);
    let copied = Command::new("cp").arg("-a").arg(server.data_dir()).arg(copy.data_dir()).status().unwrap();
    assert!(copied.success());
    copy
}
