//! A whole cluster of one node: `knarr server` in network, mount and host name namespaces and a cgroup of its own.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use tempfile::TempDir;

use crate::{EtcdCluster, Kubectl, Network, Output, Process, apiserver::SHARED_KEYS, binary, eventually};

/// How long a peer may take to connect or to answer, on a loaded machine.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// What holds the namespaces: sets them up, says so, waits for its input to end, and removes what the node left.
/// The link and the route give the node an address that is not loopback's; nobody answers behind them.
const HOLDER: &str = r#"
set -e
hostname knarr-node
ip link set lo up
if [ -n "$ALONE" ]; then
    ip link add eth0 type veth peer name eth0p
    ip addr add 172.30.0.2/24 dev eth0
    ip link set eth0 up
    ip link set eth0p up
    ip route add default via 172.30.0.1
fi
mount -t tmpfs tmpfs /run
echo up
read -r _ || true
"$@"
echo down
"#;

/// A cluster whose pods are real. Everything ends with it.
pub struct Node {
    folder: TempDir,
    cgroup: String,
    process: Option<Process>,
    holder: Child,
    flags: Vec<String>,
    /// For the daemon alone.
    more: Vec<String>,
    address: String,
}

impl Node {
    /// Returns when the node is ready and has the images `localhost/hello:1` and `localhost/hello:2`. However full the
    /// machine's disk is, no pod is evicted and no image removed for it.
    pub fn start() -> Self {
        Self::start_with(&["--eviction-hard=", "--image-gc-high-threshold=100"])
    }

    /// The same with these flags for `knarr server`.
    pub fn start_with(more: &[&str]) -> Self {
        Self::on(None, more)
    }

    /// The same on a disk of its own, in memory, of so many MiB.
    pub fn start_on_small_disk(mebibytes: u32, more: &[&str]) -> Self {
        Self::on(Some(mebibytes), more)
    }

    /// A server of a cluster on this etcd, at the same switch by a cable called `node<number>`; not started yet.
    pub fn on_etcd(etcd: &EtcdCluster, number: u8, more: &[&str]) -> Self {
        let mut node = Self::not_started(None, more);
        etcd.plug(node.holder.id(), "eth0p", &format!("node{number}"));
        let (name, endpoints) = (format!("server-{number}"), etcd.endpoints().join(","));
        node.address = format!("172.31.0.{}", 20 + number);
        node.run(&["sh", "-ec", &format!(
            "hostname {name}; ip addr flush dev eth0; ip addr add {}/24 dev eth0; ip route replace default via 172.31.0.1",
            node.address
        )])
        .ok();
        node.more.extend(["--node-name".to_owned(), name, "--datastore-endpoint".to_owned(), endpoints]);
        node.more.extend(["--eviction-hard=", "--image-gc-high-threshold=100"].map(str::to_owned));
        node
    }

    /// Copies the keys that all servers of a cluster share.
    pub fn take_keys_of(&self, other: &Self) {
        std::fs::create_dir_all(self.data_dir().join("pki")).expect("a folder in a new folder");
        for name in SHARED_KEYS {
            let copied = std::fs::copy(other.data_dir().join(name), self.data_dir().join(name));
            copied.unwrap_or_else(|error| panic!("copy {name}: {error}"));
        }
    }

    fn on(disk_mebibytes: Option<u32>, more: &[&str]) -> Self {
        let mut node = Self::not_started(disk_mebibytes, more);
        node.start_again();
        for tag in 1..=2 {
            node.import(&format!("localhost/hello:{tag}"));
        }
        node
    }

    fn not_started(disk_mebibytes: Option<u32>, more: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let folder = tempfile::Builder::new().prefix("knarr-test-").tempdir().expect("a temporary folder");
        let cgroup = format!("/knarr-test-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let data = folder.path().join("data");
        let flags = ["--data-dir", data.to_str().expect("plain"), "--cgroup-root", &cgroup].map(str::to_owned).to_vec();
        if let Some(mebibytes) = disk_mebibytes {
            std::fs::create_dir(&data).expect("a folder in a new folder");
            let size = format!("size={mebibytes}m");
            let mounted = mount(Some("tmpfs"), &data, Some("tmpfs"), MsFlags::empty(), Some(size.as_str()));
            mounted.expect("root may mount a tmpfs");
        }
        let holder = hold(&flags, true);
        let more = more.iter().map(|flag| (*flag).to_owned()).collect();
        Self { folder, cgroup, process: None, holder, flags, more, address: "172.30.0.2".to_owned() }
    }

    /// Starts the daemon on what it left, and returns when the node is ready.
    pub fn start_again(&mut self) {
        self.launch();
        let mut process = self.process.take().expect("it was just started");
        let kubectl = self.kubectl();
        eventually("the node is ready", || {
            if let Some(status) = process.ended() {
                panic!("the daemon ended: {status}\n{}", process.log());
            }
            if !self.kubeconfig().is_file() {
                return Err(process.log());
            }
            let ready = kubectl.run(["wait", "node", "--all", "--for=condition=Ready", "--timeout=5s"]);
            if ready.is_success() { Ok(()) } else { Err(format!("{ready}\n{}", process.log())) }
        });
        self.process = Some(process);
    }

    /// Starts the daemon, and returns at once.
    pub fn launch(&mut self) {
        assert!(self.process.is_none(), "it runs already");
        let mut command = self.enter(binary::knarr().to_str().expect("plain"));
        command.arg("server").args(&self.flags).args(&self.more);
        self.process = Some(Process::start(command, &self.log_file()));
    }

    /// The daemon's.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("it runs").pid()
    }

    /// Other flags for the next start.
    pub fn set_flags(&mut self, more: &[&str]) {
        self.more = more.iter().map(|flag| (*flag).to_owned()).collect();
    }

    /// Packs the example's image under this name and imports it.
    pub fn import(&self, reference: &str) {
        let archive = pack(self.folder.path(), reference);
        self.knarr(&["image", "import", archive.to_str().expect("plain")]).ok();
    }

    /// Runs `knarr` inside, on this node's folders.
    #[track_caller]
    pub fn knarr(&self, words: &[&str]) -> Output {
        let mut command = self.enter(binary::knarr().to_str().expect("plain"));
        command.args(words).args(&self.flags);
        run(command)
    }

    /// Runs any command inside.
    #[track_caller]
    pub fn run(&self, words: &[&str]) -> Output {
        let (program, arguments) = words.split_first().expect("a command has words");
        let mut command = self.enter(program);
        command.args(arguments);
        run(command)
    }

    fn prefix(&self) -> [String; 6] {
        let target = format!("--target={}", self.holder.id());
        ["nsenter", &target, "--net", "--mount", "--uts", "--"].map(str::to_owned)
    }

    /// A command inside, not yet started. It replaces `nsenter`, so its pid is the child's.
    pub fn enter(&self, program: &str) -> Command {
        let [nsenter, words @ ..] = self.prefix();
        let mut command = Command::new(nsenter);
        command.args(words).arg(program);
        command
    }

    /// Runs this in a thread inside the node's network.
    pub fn inside<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        self.network().inside(act)
    }

    /// For those who look at it from beside the one who kills it.
    pub fn network(&self) -> Network {
        Network::of(self.holder.id())
    }

    /// That of a pod with a process that runs, by the pod's uid.
    pub fn pod_network(&self, uid: &str) -> Network {
        pod_network(&self.cgroups(), self.holder.id(), uid)
    }

    /// The body of the answer to one GET from inside the node, on a connection of its own.
    pub fn get(&self, address: &str) -> Result<String, String> {
        self.inside(|| get(address))
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.data_dir().join("admin.kubeconfig")
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The process whose namespaces are the node's.
    pub(crate) fn holder(&self) -> u32 {
        self.holder.id()
    }

    /// The address by which other nodes reach this one.
    pub fn address(&self) -> &str {
        &self.address
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// What the daemon that runs now has written.
    pub fn log(&self) -> String {
        self.process.as_ref().expect("it runs").log()
    }

    /// The newest kubectl, as the administrator, inside.
    pub fn kubectl(&self) -> Kubectl {
        Kubectl::newest(&self.kubeconfig(), self.folder.path()).behind(self.prefix())
    }

    /// Every kubectl on the machine, as the administrator, inside.
    pub fn kubectls(&self) -> Vec<Kubectl> {
        let all = Kubectl::all(&self.kubeconfig(), self.folder.path());
        all.into_iter().map(|kubectl| kubectl.behind(self.prefix())).collect()
    }

    /// `kill -9` of the daemon alone.
    pub fn kill(&mut self) {
        self.process.take().expect("it runs").kill();
    }

    /// Pids of all processes in the cgroups of this node's pods.
    pub fn pod_pids(&self) -> Vec<u32> {
        let mut pids: Vec<u32> = self.cgroups().iter().flat_map(|root| processes(root)).map(|(pid, _)| pid).collect();
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// The folders of this node's cgroup that exist, in every hierarchy.
    pub fn cgroups(&self) -> Vec<PathBuf> {
        let name = self.cgroup.trim_start_matches('/');
        let hierarchies = std::fs::read_dir("/sys/fs/cgroup").expect("cgroups are mounted").flatten();
        let below = hierarchies.map(|entry| entry.path().join(name));
        below.chain([Path::new("/sys/fs/cgroup").join(name)]).filter(|path| path.is_dir()).collect()
    }
}

/// The example's image under this name.
pub(crate) fn pack(folder: &Path, reference: &str) -> PathBuf {
    let archive = folder.join("image.tar");
    let packed = Command::new(binary::examples().join("image.sh")).arg(&archive).arg(reference).output();
    let packed = packed.expect("the script can be started");
    assert!(packed.status.success(), "image.sh: {}", String::from_utf8_lossy(&packed.stderr));
    archive
}

/// That of a pod below these cgroups, whose processes have another than the node itself.
pub(crate) fn pod_network(cgroups: &[PathBuf], node: u32, uid: &str) -> Network {
    let own = Network::of(node);
    let processes = cgroups.iter().flat_map(|root| processes(root)).filter(|(_, group)| group.contains(uid));
    // A process may end while we look.
    let mut networks = processes.filter_map(|(pid, _)| Network::find(pid));
    networks.find(|network| !network.is(&own)).expect("the pod has a process in a network of its own")
}

/// Pids in and below a cgroup, each with its group.
fn processes(root: &Path) -> Vec<(u32, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let listed = std::fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
        let pids = listed.lines().filter_map(|pid| pid.parse::<u32>().ok());
        found.extend(pids.map(|pid| (pid, folder.display().to_string())));
        let below = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        folders.extend(below.map(|entry| entry.path()).filter(|path| path.is_dir()));
    }
    found
}

/// `alone` gives it a link that leads nowhere.
pub(crate) fn hold(flags: &[String], alone: bool) -> Child {
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "--uts", "--propagation", "private", "sh", "-c", HOLDER, "holder"]);
    command.arg(binary::knarr()).arg("down").args(flags).env("ALONE", if alone { "1" } else { "" });
    let mut holder =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("unshare can be started by root");
    let mut line = String::new();
    let out = holder.stdout.as_mut().expect("it was asked for");
    BufReader::new(out).read_line(&mut line).expect("a pipe can be read");
    assert_eq!(line, "up\n", "the namespaces could not be set up; tests of nodes need root");
    holder
}

pub(crate) fn run(mut command: Command) -> Output {
    let shown = format!("{command:?}");
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{shown}: {e}"));
    Output {
        command: shown,
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// One GET on a connection of its own; the body of an answer 200.
pub fn get(address: &str) -> Result<String, String> {
    let failed = |step: &'static str| move |error: std::io::Error| format!("{step}: {error}");
    let to: SocketAddr = address.parse().expect("an address and a port");
    let mut stream = TcpStream::connect_timeout(&to, ANSWER_LIMIT).map_err(failed("connect"))?;
    stream.set_read_timeout(Some(ANSWER_LIMIT)).map_err(failed("set a limit"))?;
    let request = format!("GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(failed("send"))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(failed("receive"))?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200") => Ok(body.to_owned()),
        _ => Err(format!("answered {answer:?}")),
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.process = None;
        drop(self.holder.stdin.take());
        drop(self.holder.wait());
        // Only a node on a disk of its own has something mounted there.
        umount2(&self.data_dir(), MntFlags::MNT_DETACH).ok();
    }
}
