//! Clusters whose store is etcd: the real one, and kubectl against one server or two of them.

mod away;
mod moving;
mod refuse;
mod servers;
mod shared;
mod stored;

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use testkit::{ApiServer, Etcd, Kubectl, eventually};

/// A server on this etcd.
fn server(etcd: &Etcd, more: &[&str]) -> ApiServer {
    let endpoint = etcd.endpoint();
    let mut flags = vec!["--datastore-endpoint", &endpoint];
    flags.extend(more);
    ApiServer::with_flags(&flags)
}

fn config_map(name: &str, value: usize) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{key: \"{value}\"}}\n---\n")
}

fn raw(kubectl: &Kubectl, path: &str) -> Value {
    kubectl.run(["get", "--raw", path]).json()
}

fn revision(kubectl: &Kubectl) -> u64 {
    let list = raw(kubectl, "/api/v1/configmaps?limit=1");
    list["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

/// A watch whose events are gathered while it runs. It ends with this.
struct Watch {
    child: Child,
    lines: std::sync::Arc<std::sync::Mutex<Vec<String>>>,
}

impl Watch {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines: std::sync::Arc<std::sync::Mutex<Vec<String>>> = std::sync::Arc::default();
        let (sink, output) = (lines.clone(), child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                sink.lock().unwrap().push(line);
            }
        });
        Self { child, lines }
    }

    /// Of the config maps of `default`, after this revision.
    fn config_maps(kubectl: &Kubectl, after: u64) -> Self {
        let path = format!("/api/v1/namespaces/default/configmaps?watch=1&resourceVersion={after}");
        Self::start(kubectl.command(["get", "--raw", &path]))
    }

    fn seen(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// What happened, to what, and when.
    fn events(&self) -> Vec<(String, String, u64)> {
        let brief = |line: &String| {
            let event: Value = serde_json::from_str(line).unwrap();
            let metadata = &event["object"]["metadata"];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            (text(&event["type"]), text(&metadata["name"]), text(&metadata["resourceVersion"]).parse().unwrap_or(0))
        };
        self.seen().iter().map(brief).collect()
    }

    /// Waits until it has seen so many events.
    fn until(&self, count: usize) -> Vec<(String, String, u64)> {
        eventually("the events come", || {
            let events = self.events();
            if events.len() >= count { Ok(events) } else { Err(events.len()) }
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
