//! A server whose certificates have all ended dies while it renews them at its start.

use testkit::deadly;

use super::*;
use crate::operations::aged;

#[test]
fn certificates_are_old_or_new_and_never_lost() {
    let mut dice = dice();
    let mut server = cluster();
    let pki = server.data_dir().join("pki");
    let keys = ["ca.key", "kubelet-ca.key", "sa.key"].map(|name| std::fs::read(pki.join(name)).unwrap());
    aged::server(&server.data_dir());
    let last = count_start(&mut server);
    println!("{last:?}");
    let mut deaths = 0;
    // The first of a kind is always reached; the others may fall to another thread than when they were counted.
    let sure = [(last[0].0, 1)];
    for (call, nth) in places(&last, &mut dice).into_iter().chain(sure) {
        aged::server(&server.data_dir());
        // A second death may meet what the first has left.
        for nth in [nth, 1 + nth / 2] {
            let serves = server.serves(deadly(&server.command(), call, nth));
            println!("{call} {nth}: {}", if serves { "not killed" } else { "killed" });
            deaths += usize::from(!serves);
            if serves {
                server.kill();
            }
        }
        server.start_again();
        is_whole(&server);
        server.kill();
        for (name, key) in ["ca.key", "kubelet-ca.key", "sa.key"].iter().zip(&keys) {
            assert!(std::fs::read(pki.join(name)).unwrap() == *key, "{name} is another");
        }
        for entry in std::fs::read_dir(&pki).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(!name.ends_with(".pair"), "{name} is left");
            if name.ends_with(".crt") {
                let pem = std::fs::read_to_string(pki.join(&name)).unwrap();
                assert!(pki::is_valid_now(&pem), "{name}");
            }
        }
    }
    assert!(deaths > 0, "it never died");
}
