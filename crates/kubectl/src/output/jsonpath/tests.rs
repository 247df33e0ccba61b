#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::json;

use super::*;

fn check(template: &str, expect: &str) {
    let object = json!({
        "kind": "List",
        "items": [
            {"kind": "Node", "metadata": {"name": "a", "labels": {"x.y/z": "l1"}}, "spec": {"n": 1, "ok": true},
             "ports": [{"name": "http", "port": 80}, {"name": "dns", "port": 53}]},
            {"kind": "Node", "metadata": {"name": "b"}, "spec": {"n": 2}, "ports": []},
            {"kind": "Pod", "metadata": {"name": "c"}, "spec": {"n": 3}},
        ],
    });
    assert_eq!(JsonPath::parse(template).unwrap().print(&object).unwrap(), expect, "{template}");
}

#[test]
fn templates_are_printed_as_upstream_prints_them() {
    check("{.kind}", "List");
    check("kind is {.kind}", "kind is List");
    check("{.items[*].metadata.name}", "a b c");
    check("{.items[0].metadata.name} {.items[-1].metadata.name}", "a c");
    check("{.items[0:2].metadata.name}", "a b");
    check("{.items[0,2].metadata.name}", "a c");
    check("{..name}", "a http dns b c");
    check("{.items[?(@.kind==\"Pod\")].metadata.name}", "c");
    check("{.items[?(@.spec.n>1)].metadata.name}", "b c");
    check("{.items[?(@.spec.ok)].metadata.name}", "a");
    check("{range .items[*]}{.metadata.name}{\"\\t\"}{.spec.n}{\"\\n\"}{end}", "a\t1\nb\t2\nc\t3\n");
    check("{.items[0].metadata.labels.x\\.y/z}", "l1");
    check("{.items[0].metadata.labels['x\\.y/z']}", "l1");
    check("{.items[0].spec}", "{\"n\":1,\"ok\":true}");
    check("{.items[*]['metadata.name', 'kind']}", "a b c Node Node Pod");
    check("{.items[0].ports[?(@.name=='dns')].port}", "53");
    check("{.nothing}", "");
    check("{range .items[?(@.ports)]}{.metadata.name}:{range .ports[*]}{.port},{end};{end}", "a:80,53,;b:;");
    check("{$.kind}{@.kind}", "ListList");
}

#[test]
fn what_is_no_template_is_refused() {
    for wrong in ["{.items[", "{.a", "{range .x}", "{.a[?(@.b==)]}"] {
        assert!(JsonPath::parse(wrong).is_err(), "{wrong}");
    }
}
