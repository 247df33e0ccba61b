//! `get` in all its forms.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use super::{config_map, deployment, with_every_kubectl};

/// The lines of a table without the header, cut at blanks.
fn rows(text: &str) -> Vec<Vec<&str>> {
    text.lines().skip(1).map(|line| line.split_whitespace().collect()).collect()
}

#[test]
fn objects_are_shown_in_every_format() {
    with_every_kubectl("read-formats", |kubectl| {
        kubectl.apply(&(config_map("b", "x", "two") + &config_map("a", "y", "one") + &deployment("web", "web:1")));

        let table = kubectl.ok("get configmaps");
        assert_eq!(table.lines().next().unwrap().split_whitespace().collect::<Vec<_>>(), ["NAME", "DATA", "AGE"]);
        assert_eq!(rows(&table).iter().map(|r| (r[0], r[1])).collect::<Vec<_>>(), [("a", "1"), ("b", "1")]);
        let wide = kubectl.ok("get deploy -o wide");
        let head: Vec<&str> = wide.lines().next().unwrap().split_whitespace().collect();
        assert_eq!(head, ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE", "CONTAINERS", "IMAGES", "SELECTOR"]);
        let row = &rows(&wide)[0];
        assert_eq!((row[0], row[1], row[5], row[6], row[7]), ("web", "0/2", "main", "web:1", "app=web"));
        assert!(kubectl.ok("get cm --show-labels").contains("app=x"));
        assert_eq!(rows(&kubectl.ok("get cm -L app"))[0][3], "y");
        assert_eq!(kubectl.ok("get cm -o name"), "configmap/a\nconfigmap/b\n");

        let json = kubectl.run(["get", "cm", "a", "-o", "json"]).json();
        assert_eq!((json["kind"].as_str(), json["data"]["key"].as_str()), (Some("ConfigMap"), Some("one")));
        let list = kubectl.run(["get", "cm", "-o", "json"]).json();
        assert_eq!((list["kind"].as_str(), list["items"].as_array().unwrap().len()), (Some("List"), 2));
        let yaml = kubectl.ok("get cm a -o yaml");
        assert!(yaml.starts_with("apiVersion: v1\ndata:\n  key: one\nkind: ConfigMap\n"), "{yaml}");
        assert!(!yaml.contains("managedFields"), "{yaml}");
        assert!(kubectl.ok("get cm a -o yaml --show-managed-fields").contains("manager: kubectl-client-side-apply"));

        assert_eq!(kubectl.value("cm", "{.items[*].data.key}"), "one two");
        assert_eq!(
            kubectl.ok("get cm a -o jsonpath-as-json={.data}"),
            "[\n    {\n        \"key\": \"one\"\n    }\n]\n"
        );
        assert_eq!(
            kubectl.run(["get", "cm", "-o", "go-template={{range .items}}{{.metadata.name}};{{end}}"]).ok(),
            "a;b;"
        );
        let columns = kubectl.ok("get cm -o custom-columns=NAME:.metadata.name,VALUE:.data.key");
        assert_eq!(columns, "NAME   VALUE\na      one\nb      two\n");
        assert_eq!(kubectl.ok("get cm --sort-by=.data.key -o name"), "configmap/a\nconfigmap/b\n");
        assert_eq!(rows(&kubectl.ok("get cm --sort-by={.metadata.labels.app}"))[0][0], "b");
        assert_eq!(kubectl.ok("get cm,deploy -o name"), "configmap/a\nconfigmap/b\ndeployment.apps/web\n");
        assert_eq!(kubectl.ok("get cm --no-headers").lines().count(), 2);
        assert!(
            kubectl.ok("get cm -A").contains("kube-root-ca") || kubectl.ok("get cm -A").contains(kubectl.namespace())
        );
        assert!(kubectl.ok("get cm a -o jsonpath={.metadata.uid}").len() == 36);
        assert_eq!(kubectl.ok("get cm --chunk-size=1 -o name").lines().count(), 2);
    });
}

#[test]
fn selectors_choose() {
    with_every_kubectl("read-selectors", |kubectl| {
        kubectl.apply(&(config_map("a", "x", "1") + &config_map("b", "y", "2") + &config_map("c", "z", "3")));
        let names =
            |flag: &str| kubectl.ok(&format!("get cm -o name {flag}")).replace("configmap/", "").replace('\n', " ");
        assert_eq!(names("-l app=x"), "a ");
        assert_eq!(names("-l app!=x"), "b c ");
        assert_eq!(kubectl.run(["get", "cm", "-o", "name", "-l", "app in (x, z)"]).ok().lines().count(), 2);
        assert_eq!(kubectl.run(["get", "cm", "-o", "name", "-l", "app notin (x),app"]).ok().lines().count(), 2);
        assert_eq!(names("-l app"), "a b c ");
        assert_eq!(names("-l !app"), "");
        assert_eq!(names("--field-selector metadata.name=b"), "b ");
        assert_eq!(names("--field-selector metadata.name!=b -l app!=z"), "a ");
        let refused = kubectl.fails("get cm --field-selector data.key=1");
        assert!(
            refused.contains(r#""data.key" is not a known field selector: only "metadata.name", "metadata.namespace""#),
            "{refused}"
        );
    });
}

#[test]
fn a_watch_shows_what_changes() {
    with_every_kubectl("read-watch", |kubectl| {
        kubectl.apply(&config_map("a", "x", "1"));
        let mut watch = kubectl
            .command(["get", "cm", "-w", "-o", "name", "--output-watch-events"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
        let mut next = || lines.next().unwrap().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        // Older versions print names alone, newer ones the kind of event before them.
        let ends = |line: String| line.rsplit(['/', ' ']).next().unwrap().to_owned();
        assert_eq!(ends(next()), "a");
        kubectl.apply(&config_map("b", "x", "1"));
        assert_eq!(ends(next()), "b");
        kubectl.ok("label cm a more=yes");
        assert_eq!(ends(next()), "a");
        kubectl.ok("delete cm b");
        assert_eq!(ends(next()), "b");
        watch.kill().unwrap();
        watch.wait().unwrap();
    });
}

#[test]
fn describe_tells_all() {
    with_every_kubectl("read-describe", |kubectl| {
        kubectl.apply(&(config_map("a", "x", "1") + &deployment("web", "web:1")));
        let told = kubectl.ok("describe deploy web");
        for word in ["Replicas:", "2 desired", "RollingUpdate", "web:1", "25% max unavailable, 25% max surge"] {
            assert!(told.contains(word), "{word}: {told}");
        }
        assert!(kubectl.ok("describe cm a").contains("key:\n----\n1"));
        assert!(kubectl.ok(&format!("describe ns {}", kubectl.namespace())).contains("Active"));
    });
}
