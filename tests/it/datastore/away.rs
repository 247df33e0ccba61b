//! While etcd does not answer.

use testkit::{Etcd, eventually};

use super::{Watch, config_map, raw, revision, server};

#[test]
fn without_etcd_memory_answers_what_may_be_old_and_nothing_else() {
    let mut etcd = Etcd::start();
    let server = server(&etcd, &[]);
    let kubectl = server.kubectl();
    kubectl.apply(&config_map("a", 1));
    let watch = Watch::config_maps(&kubectl, revision(&kubectl));

    etcd.pause();
    let list = raw(&kubectl, "/api/v1/namespaces/default/configmaps?resourceVersion=0");
    assert_eq!(list["items"][0]["data"]["key"], "1");
    for request in ["get cm a", "get cm", "create cm b", "label cm a x=y"] {
        let refused = kubectl.fails(request);
        assert!(refused.contains("etcdserver: request timed out") || refused.contains("Unavailable"), "{refused}");
    }
    for path in ["/readyz", "/livez", "/healthz"] {
        let refused = kubectl.fails(&format!("get --raw {path}"));
        assert!(refused.contains("[-]etcd failed: reason withheld"), "{path}: {refused}");
    }
    assert!(kubectl.fails("get --raw /readyz").contains("[-]etcd-readiness failed"));

    etcd.resume();
    eventually("everything works again", || {
        let written = kubectl.run_with(&config_map("a", 2), ["apply", "-f", "-"]);
        if written.is_success() { Ok(()) } else { Err(written) }
    });
    eventually("the server is ready", || {
        let ready = kubectl.run(["get", "--raw", "/readyz"]);
        if ready.stdout == "ok" { Ok(()) } else { Err(ready) }
    });
    // The watch lived through it, and has missed nothing.
    eventually("the change comes", || {
        let seen = watch.events();
        if watch.seen().last().is_some_and(|line| line.contains("\"key\":\"2\"")) { Ok(()) } else { Err(seen) }
    });
}
