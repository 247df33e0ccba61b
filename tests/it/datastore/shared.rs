//! Two servers on one etcd.

use std::collections::BTreeSet;

use testkit::{Etcd, Kubectl, eventually};

use super::{Watch, config_map, revision, server};

const WRITES: usize = 12;

#[test]
fn what_one_acknowledged_the_other_shows() {
    let etcd = Etcd::start();
    let one = server(&etcd, &[]);
    let two = one.beside();
    let (one, two) = (one.kubectl(), two.kubectl());
    one.apply(&config_map("a", 0));
    for write in 1..=WRITES {
        let (writer, reader) = if write % 2 == 0 { (&one, &two) } else { (&two, &one) };
        writer.apply(&config_map("a", write));
        assert_eq!(reader.value("cm/a", "{.data.key}"), write.to_string());
        writer.apply(&config_map(&format!("n{write}"), write));
        let listed = reader.run(["get", "cm", "-o", "name"]).ok();
        assert!(listed.lines().any(|name| name == format!("configmap/n{write}")), "{listed}");
        // A conflict that only the other server knows of.
        reader.ok(&format!("delete cm n{write}"));
        assert!(writer.fails(&format!("get cm n{write}")).contains("NotFound"));
    }
}

#[test]
fn both_tell_the_same_changes_and_one_goes_on_when_the_other_is_killed() {
    let etcd = Etcd::start();
    let mut one = server(&etcd, &[]);
    let two = one.beside();
    let (first, second) = (one.kubectl(), two.kubectl());
    let start = revision(&first);
    // Of two that apply what is not there, one may find it made meanwhile.
    first.apply(&config_map("both", 0));
    let watches = [Watch::config_maps(&first, start), Watch::config_maps(&second, start)];
    std::thread::scope(|scope| {
        for (number, kubectl) in [&first, &second].into_iter().enumerate() {
            scope.spawn(move || {
                for write in 0..WRITES {
                    kubectl.apply(&config_map(&format!("w{number}"), write));
                    kubectl.apply(&config_map("both", write * 2 + number));
                }
            });
        }
    });
    first.ok("delete cm w0");
    let last = second.run(["get", "cm", "-o", "json"]).json();
    assert_eq!(last["items"].as_array().unwrap().len(), 2);
    let deleted = |watch: &Watch| {
        eventually("the deletion comes", || {
            let events = watch.events();
            if events.last().is_some_and(|(kind, name, _)| kind == "DELETED" && name == "w0") {
                Ok(events)
            } else {
                Err(events)
            }
        })
    };
    let (seen, also) = (deleted(&watches[0]), deleted(&watches[1]));
    assert_eq!(seen, also);
    assert!(seen.is_sorted_by(|(_, _, before), (_, _, after)| before < after), "{seen:?}");

    one.kill();
    second.apply(&config_map("after", 1));
    assert_eq!(watches[1].until(seen.len() + 1).last().unwrap().1, "after");
    // The one that was killed comes back, and resumes a watch from before.
    one.start_again();
    let resumed = Watch::config_maps(&one.kubectl(), start);
    assert_eq!(resumed.until(seen.len() + 1), watches[1].events());
}

/// Node ports and addresses of a number of Services that this server makes.
fn services(kubectl: &Kubectl, name: &str) -> String {
    let one = |number: usize| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}-{number}}}\nspec:\n  type: NodePort\n  ports: [{{port: 80}}]\n---\n"
        )
    };
    kubectl.run_with(&(0..40).map(one).collect::<String>(), ["create", "-f", "-"]).ok()
}

#[test]
fn no_address_and_no_port_is_given_twice() {
    let etcd = Etcd::start();
    let one = server(&etcd, &[]);
    let two = one.beside();
    let (first, second) = (one.kubectl(), two.kubectl());
    std::thread::scope(|scope| {
        scope.spawn(|| services(&first, "a"));
        scope.spawn(|| services(&second, "b"));
        scope.spawn(|| services(&first, "c"));
    });
    let listed = first.run(["get", "services", "-o", "json"]).json();
    let listed: Vec<_> =
        listed["items"].as_array().unwrap().iter().filter(|s| s["metadata"]["name"] != "kubernetes").collect();
    let addresses: BTreeSet<_> = listed.iter().map(|s| s["spec"]["clusterIP"].as_str().unwrap()).collect();
    let ports: BTreeSet<_> = listed.iter().map(|s| s["spec"]["ports"][0]["nodePort"].as_u64().unwrap()).collect();
    assert_eq!((listed.len(), addresses.len(), ports.len()), (120, 120, 120));
}

#[test]
fn each_is_known_by_a_lease() {
    let etcd = Etcd::start();
    let one = server(&etcd, &[]);
    let mut two = one.beside();
    let leases = || {
        let label = "apiserver.kubernetes.io/identity=kube-apiserver";
        let listed = one.kubectl().run(["get", "leases", "-n", "kube-system", "-l", label, "-o", "json"]).json();
        let items = listed["items"].as_array().unwrap().clone();
        items
            .into_iter()
            .map(|lease| (lease["metadata"]["name"].to_string(), lease["spec"].clone()))
            .collect::<Vec<_>>()
    };
    let both = leases();
    assert_eq!(both.len(), 2, "{both:?}");
    for (name, spec) in &both {
        let holder = spec["holderIdentity"].as_str().unwrap();
        assert!(
            name.starts_with("\"apiserver-") && holder.starts_with(&format!("{}_", name.trim_matches('"'))),
            "{holder}"
        );
        assert_eq!(spec["leaseDurationSeconds"], 3600);
    }
    // Who stops takes its lease along.
    assert!(two.process().stop(std::time::Duration::from_secs(60)).success());
    assert_eq!(leases().len(), 1);
}
