//! A registry over a fresh store, and short words for what the tests do with it.

use std::sync::Arc;

use apimachinery::{Status, UserInfo};
use bytes::Bytes;
use registry::{
    AdmitAll, Body, Config, DeleteOptions, Deleted, GetOptions, ListOptions, Patch, Registry, RequestContext, Resource,
    Resources, View, WatchEvent, Watcher,
};
use serde_json::{Value, json};
use store::{Store, StoreConfig};

pub(crate) struct Fixture {
    pub(crate) registry: Registry,
    pub(crate) store: Store,
    _dir: tempfile::TempDir,
}

pub(crate) type Answer = Result<Value, Status>;

impl Fixture {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(StoreConfig::new(dir.path())).unwrap();
        let registry = Registry::new(&Config::default(), store.clone(), Resources::built_in(), Arc::new(AdmitAll));
        Self { registry, store, _dir: dir }
    }

    /// A resource by plural, or by `group/plural`.
    pub(crate) fn resource(&self, name: &str) -> Arc<dyn Resource> {
        let (group, plural) = name.split_once('/').unwrap_or(("", name));
        self.registry.resources().find(group, "v1", plural).unwrap()
    }

    pub(crate) fn cx(&self, resource: &str, name: &str) -> RequestContext {
        let namespace = self.resource(resource).facts().namespaced.then_some("default");
        let mut cx = RequestContext::new(UserInfo::new("tester", &[]), namespace, name);
        cx.user_agent = "tests/1.0".to_owned();
        cx
    }

    pub(crate) async fn create(&self, resource: &str, object: Value) -> Answer {
        let cx = self.cx(resource, "");
        self.create_as(resource, &cx, object).await
    }

    pub(crate) async fn create_as(&self, resource: &str, cx: &RequestContext, object: Value) -> Answer {
        let written = self.registry.create(&self.resource(resource), cx, body(&object)).await?;
        assert!(written.created);
        Ok(parse(&written.bytes))
    }

    pub(crate) async fn config_map(&self, name: &str, labels: Value) -> Value {
        self.create("configmaps", json!({ "metadata": { "name": name, "labels": labels } })).await.unwrap()
    }

    pub(crate) async fn update(&self, resource: &str, object: Value) -> Answer {
        let cx = self.cx(resource, object["metadata"]["name"].as_str().unwrap());
        Ok(parse(&self.registry.update(&self.resource(resource), &cx, body(&object)).await?.bytes))
    }

    pub(crate) async fn merge(&self, resource: &str, name: &str, patch: Value) -> Answer {
        let cx = self.cx(resource, name);
        let patch = Patch::Merge(patch.to_string().into());
        Ok(parse(&self.registry.patch(&self.resource(resource), &cx, patch).await?.bytes))
    }

    pub(crate) async fn get(&self, resource: &str, name: &str) -> Answer {
        let cx = self.cx(resource, name);
        let bytes = self.registry.get(&self.resource(resource), &cx, &GetOptions::default(), View::Object).await?;
        Ok(parse(&bytes))
    }

    pub(crate) async fn list(&self, resource: &str, options: ListOptions) -> Answer {
        self.list_view(resource, options, View::Object).await
    }

    pub(crate) async fn list_view(&self, resource: &str, options: ListOptions, view: View) -> Answer {
        let cx = self.cx(resource, "");
        let listed = self.registry.list(&self.resource(resource), &cx, &options, view).await?;
        Ok(parse(&listed.chunks.concat()))
    }

    pub(crate) async fn delete(&self, resource: &str, name: &str, options: Value) -> Result<Deleted, Status> {
        let cx = self.cx(resource, name);
        let options: DeleteOptions = serde_json::from_value(options).unwrap();
        self.registry.delete(&self.resource(resource), &cx, &options).await
    }

    pub(crate) async fn watch(&self, resource: &str, options: ListOptions) -> Result<Watcher, Status> {
        let cx = self.cx(resource, "");
        self.registry.watch(&self.resource(resource), &cx, &options, View::Object).await
    }
}

pub(crate) fn body(object: &Value) -> Body {
    Body::Json(Bytes::from(object.to_string()))
}

pub(crate) fn parse(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(bytes)))
}

/// The next event, which must come soon.
pub(crate) async fn next(watcher: &mut Watcher) -> WatchEvent {
    tokio::time::timeout(std::time::Duration::from_secs(60), watcher.next()).await.unwrap().unwrap()
}

/// The type, name and version of the next event.
pub(crate) async fn brief(watcher: &mut Watcher) -> (String, String, u64) {
    let event = next(watcher).await;
    let object = parse(&event.object);
    let version = object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
    let frame = parse(&event.frame);
    assert_eq!((&frame["type"], &frame["object"]), (&json!(event.event_type.as_str()), &object));
    (event.event_type.as_str().to_owned(), object["metadata"]["name"].as_str().unwrap_or_default().to_owned(), version)
}

pub(crate) fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

pub(crate) fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name },
        "spec": { "containers": [{ "name": "c", "image": "busybox" }] },
    })
}

pub(crate) fn deployment(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": name },
        "spec": {
            "selector": { "matchLabels": { "app": "a" } },
            "template": {
                "metadata": { "labels": { "app": "a" } },
                "spec": { "containers": [{ "name": "c", "image": "busybox" }] },
            },
        },
    })
}
