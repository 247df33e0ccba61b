//! An image from a registry that asks who one is.

use testkit::{Node, Process, eventually};

use super::{namespace, shared, shell_pod};

const USER: &str = "reader";
const PASSWORD: &str = "s3cret";

/// Takes the layout that the example's script packs there, by the registry's own protocol.
const PUSH: &str = r#"
set -eu
cd "$1"; base=$2; name=$3
tar xf image.tar
send() { curl -sSf --max-time 20 -u "reader:s3cret" "$@"; }
for blob in blobs/sha256/*; do
  sum=$(basename "$blob")
  place=$(send -i -X POST "$base/v2/$name/blobs/uploads/" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
  case $place in /*) place=$base$place;; esac
  case $place in *\?*) with='&';; *) with='?';; esac
  send -X PUT -H 'Content-Type: application/octet-stream' --data-binary "@$blob" "$place${with}digest=sha256:$sum"
done
manifest=$(sed -n 's/.*"manifests":\[{[^}]*"digest":"sha256:\([0-9a-f]*\)".*/\1/p' index.json)
send -X PUT -H 'Content-Type: application/vnd.oci.image.manifest.v1+json' \
  --data-binary "@blobs/sha256/$manifest" "$base/v2/$name/manifests/1"
"#;

fn registry(node: &Node, folder: &std::path::Path) -> (Process, String) {
    let host = "127.0.0.1:5050".to_owned();
    let hashed = node.run(&["htpasswd", "-nbB", USER, PASSWORD]).ok();
    std::fs::write(folder.join("htpasswd"), hashed.trim()).unwrap();
    let config = format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {0}/data}}}}\nhttp: {{addr: {host}}}\n\
         auth: {{htpasswd: {{realm: test, path: {0}/htpasswd}}}}\n",
        folder.display()
    );
    std::fs::write(folder.join("config.yml"), config).unwrap();
    let mut command = node.enter("docker-registry");
    command.arg("serve").arg(folder.join("config.yml"));
    let process = Process::start(command, &folder.join("log"));
    eventually("the registry listens", || {
        let answer = node.run(&["curl", "-s", "-o", "/dev/null", &format!("http://{host}/v2/")]);
        if answer.is_success() { Ok(()) } else { Err(process.log()) }
    });
    (process, host)
}

#[test]
fn an_image_is_pulled_with_the_secrets_of_the_pod() {
    let node = shared();
    let kubectl = namespace(&node, "pull");
    let folder = node.folder().join("registry");
    std::fs::create_dir(&folder).unwrap();
    let (_registry, host) = registry(&node, &folder);
    let archive = folder.join("image.tar").display().to_string();
    let script = testkit::examples().join("image.sh").display().to_string();
    node.run(&[&script, &archive, "localhost/private:1"]).ok();
    let base = format!("http://{host}");
    node.run(&["sh", "-c", PUSH, "push", folder.to_str().unwrap(), &base, "team/private"]).ok();

    let image = format!("{host}/team/private:1");
    let pod = |name: &str, more: &str| {
        shell_pod(name, "cat /etc/hello-version; sleep 1000").replace("localhost/hello:1", &image) + more
    };
    kubectl.apply(&pod("stranger", ""));
    eventually("a stranger gets nothing", || {
        let reason = kubectl.value("pod/stranger", "{.status.containerStatuses[0].state.waiting.reason}");
        if ["ErrImagePull", "ImagePullBackOff"].contains(&reason.as_str()) { Ok(()) } else { Err(reason) }
    });
    let server = format!("--docker-server={host}");
    let (user, password) = (format!("--docker-username={USER}"), format!("--docker-password={PASSWORD}"));
    kubectl.run(["create", "secret", "docker-registry", "pull", &server, &user, &password]).ok();
    kubectl.apply(&pod("known", "  imagePullSecrets: [{name: pull}]\n"));
    kubectl.ok("wait pod/known --for=condition=Ready --timeout=120s");
    kubectl.until("logs known", |seen| seen == "1\n");
    let events = kubectl.until_says("get events", &format!("Successfully pulled image \"{image}\" in "));
    assert!(!events.contains(PASSWORD), "{events}");
    let id = kubectl.value("pod/known", "{.status.containerStatuses[0].imageID}");
    assert!(id.contains("sha256:"), "{id}");
    kubectl.ok("delete pod --all --timeout=120s");
}
