//! `knarr store migrate`, there and back.

use std::time::Duration;

use testkit::{Etcd, killed_at};

use super::*;

/// What the move tells etcd.
pub(super) const TELLS: &str = "writev,sendto,sendmsg";

/// Somewhere in etcd.
struct Away<'a> {
    etcd: &'a Etcd,
    prefix: String,
}

impl Away<'_> {
    fn flags(&self) -> Vec<String> {
        ["--datastore-endpoint", &self.etcd.endpoint(), "--etcd-prefix", &self.prefix].map(str::to_owned).to_vec()
    }

    fn migrate(&self, server: &ApiServer, words: &[&str]) -> Command {
        let mut command = store(&server.data_dir(), &["migrate"]);
        // One thread does the same each time.
        command.args(words).args(self.flags()).env("TOKIO_WORKER_THREADS", "1");
        command
    }

    /// Whether the cluster is served from etcd, and from the folder; whole, where it is.
    fn served(&self, server: &mut ApiServer) -> (bool, bool) {
        let flags = self.flags();
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let [of_etcd, of_folder] = [&flags[..], &[]].map(|flags| {
            server.set_flags(flags);
            let serves = server.serves(server.command());
            if serves {
                is_whole(server);
                // As people stop it, so that it does not count as alive.
                assert!(server.process().stop(Duration::from_secs(60)).success());
                server.kill();
            }
            serves
        });
        (of_etcd, of_folder)
    }
}

/// Moves there and back, each killed on the way.
#[test]
fn a_move_that_died_left_one_cluster_and_is_ended_by_the_next() {
    let (etcd, base, mut dice) = (Etcd::start(), cluster(), dice());
    let counts = |to: &str| {
        let all = [TELLS, FILE_CALLS].map(|calls| {
            let (server, of) = (copy_of(&base), Away { etcd: &etcd, prefix: format!("/counted-{to}-{}", calls.len()) });
            if to == "local" {
                said(&mut of.migrate(&server, &["--to", "etcd"]));
            }
            count_of(&of.migrate(&server, &["--to", to]), calls)
        });
        all.concat()
    };
    let (there, back) = (counts("etcd"), counts("local"));
    println!("{there:?} calls there, {back:?} back");
    let mut deaths = 0;
    let backwards = places(&back, &mut dice);
    for (round, (call, nth)) in places(&there, &mut dice).into_iter().enumerate() {
        let mut server = copy_of(&base);
        let of = Away { etcd: &etcd, prefix: format!("/round-{round}") };
        let killed = killed_at(&of.migrate(&server, &["--to", "etcd"]), call, nth);
        deaths += usize::from(killed);
        let (of_etcd, of_folder) = of.served(&mut server);
        println!("round {round}: there, killed {killed} at {call} {nth}: etcd {of_etcd}, folder {of_folder}");
        assert!(!(of_etcd && of_folder), "there are two clusters");
        assert!(killed || of_etcd);
        if of_folder && round % 3 == 2 && of.is_under_way(&server) {
            let told = said(&mut of.migrate(&server, &["--give-up"]));
            assert!(told.contains("given up: the cluster is in "), "{told}");
            assert_eq!(of.served(&mut server), (false, true));
        }
        if !of_etcd {
            let told = said(&mut of.migrate(&server, &["--to", "etcd"]));
            assert!(told.contains("compared one by one"), "{told}");
        }
        assert_eq!(of.served(&mut server), (true, false));

        let (call, nth) = backwards[round % backwards.len()];
        let killed = killed_at(&of.migrate(&server, &["--to", "local"]), call, nth);
        deaths += usize::from(killed);
        let (of_etcd, of_folder) = of.served(&mut server);
        println!("round {round}: back, killed {killed} at {call} {nth}: etcd {of_etcd}, folder {of_folder}");
        assert!(!(of_etcd && of_folder), "there are two clusters");
        if !of_etcd && !of_folder && round % 3 == 2 {
            assert!(said(&mut of.migrate(&server, &["--give-up"])).contains("given up: the cluster is in etcd"));
            assert_eq!(of.served(&mut server), (true, false));
        }
        if !of_folder {
            let told = said(&mut of.migrate(&server, &["--to", "local"]));
            assert!(told.contains("are in the data folder"), "{told}");
        }
        assert_eq!(of.served(&mut server), (false, true));
        let again = refused(&mut of.migrate(&server, &["--to", "etcd"]));
        assert!(again.contains("was moved to") || again.contains("left of an earlier move"), "{again}");
    }
    assert!(deaths > 0, "none of them died");
}

impl Away<'_> {
    /// By what a server is told that would use it.
    fn is_under_way(&self, server: &ApiServer) -> bool {
        let mut command = server.command();
        command.args(self.flags());
        let told = text_of(&command.output().unwrap().stderr);
        told.contains("has not ended")
    }
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
