//! Volumes on a real disk and in real memory (the tests need root, as a node does).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
    sync::Arc,
};

use api::core::v1::{Pod, Volume};
use serde_json::{Value, json};
use volumes::{Context, Error, Gathered, Mounted, Need, NodeFacts, SubPath, Token};

struct Node {
    dir: tempfile::TempDir,
    pod: Pod,
    gathered: Gathered,
    facts: NodeFacts,
}

impl Drop for Node {
    fn drop(&mut self) {
        volumes::tear_down(self.dir.path()).unwrap();
        volumes::tear_down(self.dir.path()).unwrap();
        assert!(!self.dir.path().join("volumes").exists());
    }
}

fn node(spec: Value) -> Node {
    let mut pod = json!({"metadata": {"name": "p", "namespace": "n", "labels": {"a": "b"}},
        "spec": {"serviceAccountName": "sa", "containers": [{"name": "c"}]}});
    pod["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    let facts = NodeFacts { allocatable: [("memory".to_owned(), "1Gi".parse().unwrap())].into() };
    Node {
        dir: tempfile::tempdir().unwrap(),
        pod: serde_json::from_value(pod).unwrap(),
        gathered: Gathered::default(),
        facts,
    }
}

impl Node {
    fn config_map(&mut self, name: &str, data: Value) {
        let object = serde_json::from_value(json!({"data": data})).unwrap();
        self.gathered.config_maps.insert(name.to_owned(), Some(Arc::new(object)));
    }

    fn set_up(&self, volume: Value) -> Result<Mounted, Error> {
        let volume: Volume = serde_json::from_value(volume).unwrap();
        let cx = Context { pod: &self.pod, pod_dir: self.dir.path(), gathered: &self.gathered, node: &self.facts };
        volumes::set_up(&cx, &volume)
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn is_tmpfs(path: &Path) -> bool {
    nix::sys::statfs::statfs(path).unwrap().filesystem_type() == nix::sys::statfs::TMPFS_MAGIC
}

#[test]
fn config_map_shows_keys_and_follows_changes() {
    let mut node = node(json!({}));
    let volume = json!({"name": "v", "configMap": {"name": "m"}});
    node.config_map("m", json!({"a": "1", "b": "2"}));
    let first = node.set_up(volume.clone()).unwrap();
    assert!(first.changed && first.path.ends_with("volumes/kubernetes.io~configmap/v"));
    assert_eq!(read(&first.path.join("a")), "1");
    assert_eq!(fs::read_link(first.path.join("a")).unwrap(), Path::new("..data/a"));
    assert_eq!(mode(&first.path.join("a")), 0o644);
    let version = fs::read_link(first.path.join("..data")).unwrap();
    assert!(!node.set_up(volume.clone()).unwrap().changed);
    assert_eq!(fs::read_link(first.path.join("..data")).unwrap(), version);

    node.config_map("m", json!({"a": "9", "c": "3"}));
    assert!(node.set_up(volume).unwrap().changed);
    assert_eq!(read(&first.path.join("a")), "9");
    assert_eq!(read(&first.path.join("c")), "3");
    assert!(!first.path.join("b").exists());
    assert!(!first.path.join(version).exists());
}

#[test]
fn config_map_items_modes_and_missing_things() {
    let mut node = node(json!({}));
    node.config_map("m", json!({"a": "1"}));
    node.gathered.config_maps.insert("gone".to_owned(), None);
    let items = json!([{"key": "a", "path": "dir/x", "mode": 0o400}]);
    let volume = json!({"name": "v", "configMap": {"name": "m", "items": items, "defaultMode": 0o600}});
    let path = node.set_up(volume).unwrap().path;
    assert_eq!(read(&path.join("dir/x")), "1");
    assert_eq!(mode(&path.join("dir/x")), 0o400);

    let error = |source: Value| node.set_up(json!({"name": "w", "configMap": source})).unwrap_err().to_string();
    assert_eq!(error(json!({"name": "gone"})), "configmap \"gone\" not found");
    let items = json!([{"key": "zz", "path": "zz"}]);
    assert_eq!(error(json!({"name": "m", "items": items})), "references non-existent config key: zz");
    let escape = json!([{"key": "a", "path": "../x"}]);
    assert!(error(json!({"name": "m", "items": escape})).contains("must not contain '..'"));
    let optional = json!({"name": "o", "configMap": {"name": "gone", "optional": true}});
    assert_eq!(fs::read_dir(node.set_up(optional).unwrap().path).unwrap().count(), 2, "..data and its version");
}

#[test]
fn secrets_and_tokens_stay_in_memory() {
    let mut node = node(json!({"securityContext": {"fsGroup": 4321}}));
    let secret = serde_json::from_value(json!({"data": {"k": "dmFsdWU="}})).unwrap();
    node.gathered.secrets.insert("s".to_owned(), Some(Arc::new(secret)));
    let path = node.set_up(json!({"name": "v", "secret": {"secretName": "s", "defaultMode": 0o400}})).unwrap().path;
    assert!(is_tmpfs(&path));
    let file = path.join("k");
    assert_eq!((read(&file).as_str(), mode(&file), fs::metadata(&file).unwrap().gid()), ("value", 0o440, 4321));

    let need = Need::Token { audience: String::new(), expiration_seconds: 3607 };
    let source = json!({"sources": [{"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
        {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}}]});
    let volume = json!({"name": "t", "projected": source});
    assert_eq!(node.set_up(volume.clone()).unwrap_err().to_string(), "no token was issued for service account \"sa\"");
    node.gathered.tokens.insert(need.clone(), Token("one".into()));
    let path = node.set_up(volume.clone()).unwrap().path;
    assert!(is_tmpfs(&path));
    assert_eq!(mode(&path.join("token")), 0o640);
    assert_eq!(read(&path.join("labels")), "a=\"b\"");
    node.gathered.tokens.insert(need, Token("two".into()));
    assert!(node.set_up(volume).unwrap().changed);
    assert_eq!(read(&path.join("token")), "two");
}

#[test]
fn empty_dir_on_disk_and_in_memory() {
    let node = node(json!({}));
    let disk = node.set_up(json!({"name": "d", "emptyDir": {}})).unwrap().path;
    assert_eq!(mode(&disk), 0o777);
    fs::write(disk.join("kept"), "x").unwrap();
    let memory = json!({"name": "m", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}});
    let path = node.set_up(memory.clone()).unwrap().path;
    assert!(is_tmpfs(&path));
    assert_eq!(mode(&path) & 0o777, 0o777);
    let full = fs::write(path.join("big"), vec![0u8; 2 << 20]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    fs::remove_file(path.join("big")).unwrap();
    fs::write(path.join("kept"), "x").unwrap();
    node.set_up(memory).unwrap();
    node.set_up(json!({"name": "d", "emptyDir": {}})).unwrap();
    assert!(path.join("kept").exists() && disk.join("kept").exists());
}

#[test]
fn empty_dir_is_given_to_the_group() {
    let node = node(json!({"securityContext": {"fsGroup": 77}}));
    let path = node.set_up(json!({"name": "d", "emptyDir": {}})).unwrap().path;
    assert_eq!((mode(&path), fs::metadata(&path).unwrap().gid()), (0o2777, 77));
}

#[test]
fn host_path_types() {
    let node = node(json!({}));
    let outside = tempfile::tempdir().unwrap();
    let file = outside.path().join("file");
    fs::write(&file, "").unwrap();
    let check = |path: &Path, kind: &str| {
        let source = json!({"path": path, "type": kind});
        node.set_up(json!({"name": "h", "hostPath": source})).map(|m| m.path).map_err(|e| e.to_string())
    };
    assert_eq!(check(&file, "File").unwrap(), file);
    let refusal = format!("hostPath type check failed: {} is not a directory", file.display());
    assert_eq!(check(&file, "Directory").unwrap_err(), refusal);
    assert_eq!(check(&file, "DirectoryOrCreate").unwrap_err(), refusal);
    let made = outside.path().join("x/y");
    assert!(check(&made, "Directory").is_err());
    check(&made, "DirectoryOrCreate").unwrap();
    assert_eq!(mode(&made), 0o755);
    check(&outside.path().join("new"), "FileOrCreate").unwrap();
    check(Path::new("/dev/null"), "CharDevice").unwrap();
    assert!(check(Path::new("/dev/null"), "BlockDevice").is_err());
    assert!(check(Path::new("/dev/null"), "Socket").is_err());
    check(&outside.path().join("nothing"), "").unwrap();
}

#[test]
fn unknown_types_are_named() {
    let node = node(json!({}));
    let error = node.set_up(json!({"name": "v", "nfs": {"server": "s", "path": "/"}})).unwrap_err();
    assert_eq!(error.to_string(), "volume type nfs is not supported by this node");
}

#[test]
fn sub_path_binds_and_never_leaves_the_volume() {
    let node = node(json!({}));
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("precious"), "x").unwrap();
    let volume = node.set_up(json!({"name": "d", "emptyDir": {}})).unwrap().path;
    let bind = |sub_path: &str, index| {
        volumes::bind_sub_path(&SubPath {
            volume_path: &volume,
            sub_path,
            pod_dir: node.dir.path(),
            volume: "d",
            container: "c",
            index,
        })
    };
    let target = bind("made/deep", 0).unwrap();
    fs::write(volume.join("made/deep/f"), "y").unwrap();
    assert_eq!(read(&target.join("f")), "y");
    assert_eq!(bind("made/deep", 0).unwrap(), target);
    assert_eq!(read(&bind("made/deep/f", 1).unwrap()), "y");

    symlink(outside.path(), volume.join("out")).unwrap();
    symlink("made", volume.join("in")).unwrap();
    assert!(matches!(bind("out", 2), Err(Error::Escapes { .. })));
    assert!(matches!(bind("out/precious", 2), Err(Error::Escapes { .. })));
    assert!(matches!(bind("../..", 2), Err(Error::Escapes { .. })));
    assert_eq!(read(&bind("in/deep", 3).unwrap().join("f")), "y");
    // A host path bound by sub path survives the removal of the pod.
    let host = volumes::bind_sub_path(&SubPath {
        volume_path: outside.path().parent().unwrap(),
        sub_path: outside.path().file_name().unwrap().to_str().unwrap(),
        pod_dir: node.dir.path(),
        volume: "h",
        container: "c",
        index: 0,
    });
    assert!(host.unwrap().join("precious").exists());
    drop(node);
    assert!(outside.path().join("precious").exists());
}
