//! Volumes of the node itself, parts of volumes, and mounts that spread.

use testkit::{Kubectl, eventually};

use super::{namespace, shared};

/// A pod with a host path of this type, mounted at `/host`.
fn host_path(name: &str, path: &str, kind: &str, script: &str) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  restartPolicy: Never
  volumes: [{{name: host, hostPath: {{path: {path:?}, type: {kind}}}}}]
  containers:
    - name: main
      image: localhost/hello:1
      command: [sh, -c, {script:?}]
      volumeMounts: [{{name: host, mountPath: /host}}]
"
    )
}

#[track_caller]
fn succeeds(kubectl: &Kubectl, pod: &str) {
    eventually("the pod succeeds", || {
        let seen = kubectl.value(&format!("pod/{pod}"), "{.status.phase}");
        if seen == "Succeeded" {
            Ok(())
        } else {
            Err(format!("{seen}\n{}", kubectl.ok(&format!("describe pod {pod}"))))
        }
    });
}

#[test]
fn host_paths_are_what_they_are_said_to_be() {
    let node = shared();
    let kubectl = namespace(&node, "hostpath");
    let folder = node.folder().join("hostpath");
    std::fs::create_dir(&folder).unwrap();
    let at = |name: &str| folder.join(name).display().to_string();
    std::fs::write(folder.join("file"), "text").unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(folder.join("socket")).unwrap();

    kubectl.apply(&host_path("directory", &at("."), "Directory", "test \"$(cat /host/file)\" = text"));
    kubectl.apply(&host_path("make-directory", &at("a/b"), "DirectoryOrCreate", "echo made > /host/there"));
    kubectl.apply(&host_path("file", &at("file"), "File", "test \"$(cat /host)\" = text"));
    kubectl.apply(&host_path("make-file", &at("new"), "FileOrCreate", "echo written > /host"));
    kubectl.apply(&host_path("socket", &at("socket"), "Socket", "test -S /host"));
    kubectl.apply(&host_path("device", "/dev/null", "CharDevice", "test -e /host"));
    for pod in ["directory", "make-directory", "file", "make-file", "socket", "device"] {
        succeeds(&kubectl, pod);
    }
    assert_eq!(std::fs::read_to_string(folder.join("a/b/there")).unwrap(), "made\n");
    assert_eq!(std::fs::read_to_string(folder.join("new")).unwrap(), "written\n");

    for (pod, name, kind, wanted) in [
        ("no-directory", "file", "Directory", "directory"),
        ("no-file", "nothing", "File", "file"),
        ("no-socket", "file", "Socket", "socket file"),
        ("no-device", "file", "BlockDevice", "block device"),
    ] {
        kubectl.apply(&host_path(pod, &at(name), kind, "true"));
        let message = format!(
            "MountVolume.SetUp failed for volume \"host\" : hostPath type check failed: {} is not a {wanted}",
            at(name)
        );
        eventually("the mount fails", || {
            let field = format!("--field-selector=reason=FailedMount,involvedObject.name={pod}");
            let events = kubectl.run(["get", "events", &field]);
            if events.stdout.contains(&message) { Ok(()) } else { Err(events) }
        });
        assert_eq!(kubectl.value(&format!("pod/{pod}"), "{.status.phase}"), "Pending");
    }
    kubectl.ok("delete pod --all --timeout=120s");
    assert!(folder.join("file").exists(), "nothing of the node's is removed");
}

#[test]
fn parts_of_volumes_are_mounted() {
    let node = shared();
    let kubectl = namespace(&node, "subpath");
    let manifest = r#"
apiVersion: v1
kind: Pod
metadata: {name: parts}
spec:
  restartPolicy: Never
  volumes: [{name: all, emptyDir: {}}]
  initContainers:
    - name: fill
      image: localhost/hello:1
      command: [sh, -c, "mkdir -p /all/one/two /all/parts; echo deep > /all/one/two/file; ln -s /etc /all/out"]
      volumeMounts: [{name: all, mountPath: /all}]
  containers:
    - name: main
      image: localhost/hello:1
      env: [{name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
      command: [sh, -c, "cat /file; ls /folder; echo mine > /by-name/x; touch /folder/y 2>/dev/null || echo fixed"]
      volumeMounts:
        - {name: all, mountPath: /file, subPath: one/two/file}
        - {name: all, mountPath: /folder, subPath: one, readOnly: true}
        - {name: all, mountPath: /by-name, subPathExpr: $(NAME)}
    - name: see
      image: localhost/hello:1
      command: [sh, -c, "while ! test -s /all/parts/x; do sleep 0.1; done; cat /all/parts/x"]
      volumeMounts: [{name: all, mountPath: /all}]
"#;
    kubectl.apply(manifest);
    succeeds(&kubectl, "parts");
    assert_eq!(kubectl.ok("logs parts -c main"), "deep\ntwo\nfixed\n");
    assert_eq!(kubectl.ok("logs parts -c see"), "mine\n");

    // A link out of the volume leads nowhere.
    let out = manifest.replace("name: parts", "name: out").replace("subPath: one/two/file", "subPath: out/passwd");
    kubectl.apply(&out);
    eventually("it is refused", || {
        let message = kubectl.value("pod/out", "{.status.containerStatuses[?(@.name==\"main\")].state.waiting}");
        let refused = message.contains("CreateContainerConfigError") && message.contains("subPath");
        if refused { Ok(()) } else { Err(message) }
    });
    kubectl.ok("delete pod out --force --grace-period=0");
}

#[test]
fn mounts_spread_as_far_as_the_pod_says() {
    let node = shared();
    let kubectl = namespace(&node, "spread");
    let folder = node.folder().join("spread");
    let at = folder.display().to_string();
    // A mount of its own that is shared, as the root of most machines is.
    node.run(&["sh", "-c", &format!("mkdir {at} && mount --bind {at} {at} && mount --make-shared {at}")]).ok();
    let manifest = format!(
        r#"
apiVersion: v1
kind: Pod
metadata: {{name: spread}}
spec:
  terminationGracePeriodSeconds: 1
  volumes: [{{name: host, hostPath: {{path: {at:?}}}}}]
  containers:
    - name: none
      image: localhost/hello:1
      command: [sleep, "1000"]
      volumeMounts: [{{name: host, mountPath: /host}}]
    - name: from-host
      image: localhost/hello:1
      command: [sleep, "1000"]
      volumeMounts: [{{name: host, mountPath: /host, mountPropagation: HostToContainer}}]
    - name: both
      image: localhost/hello:1
      command: [sleep, "1000"]
      securityContext: {{privileged: true}}
      volumeMounts: [{{name: host, mountPath: /host, mountPropagation: Bidirectional}}]
"#
    );
    kubectl.apply(&manifest);
    kubectl.ok("wait pod/spread --for=condition=Ready --timeout=120s");
    node.run(&["sh", "-c", &format!("mkdir {at}/new && mount -t tmpfs tmpfs {at}/new && touch {at}/new/seen")]).ok();
    let sees = |container: &str, file: &str| {
        kubectl.run(["exec", "spread", "-c", container, "--", "test", "-e", file]).is_success()
    };
    assert!(!sees("none", "/host/new/seen"));
    assert!(sees("from-host", "/host/new/seen") && sees("both", "/host/new/seen"));
    let mount = "mkdir /host/inner && mount -t tmpfs tmpfs /host/inner && touch /host/inner/seen";
    kubectl.run(["exec", "spread", "-c", "both", "--", "sh", "-c", mount]).ok();
    node.run(&["test", "-e", &format!("{at}/inner/seen")]).ok();
    assert!(sees("from-host", "/host/inner/seen") && !sees("none", "/host/inner/seen"));
    kubectl.ok("delete pod spread --timeout=120s");
    node.run(&["umount", "-l", &format!("{at}/inner"), &format!("{at}/new"), &at]).ok();
}
