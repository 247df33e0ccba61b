//! A second node: `knarr agent` in namespaces and a cgroup of its own, joined to a [`Node`] by the other end of its
//! cable.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command},
};

use tempfile::TempDir;

use crate::{Network, Node, Output, Process, binary, node};

/// Takes the other end of the server's cable, which has no name anybody uses there.
const CONNECT: &str = "ip link set eth0p netns $1 && nsenter --target=$1 --net -- sh -c \
    'ip link set eth0p name eth0 && ip addr add 172.30.0.3/24 dev eth0 && ip link set eth0 up && \
     ip route add default via 172.30.0.1'";

const CUT: &str = "add table netdev cut; \
    add chain netdev cut in { type filter hook ingress device eth0 priority 0; policy drop; }; \
    add chain netdev cut out { type filter hook egress device eth0 priority 0; policy drop; }";

/// Everything ends with it.
pub struct Agent {
    folder: TempDir,
    cgroup: String,
    process: Option<Process>,
    holder: Child,
    flags: Vec<String>,
}

impl Agent {
    /// A machine in the server's network on which nothing runs yet. One per server.
    pub fn beside(server: &Node) -> Self {
        let folder = tempfile::Builder::new().prefix("knarr-test-").tempdir().expect("a temporary folder");
        let cgroup = format!("/knarr-test-{}-agent-{}", std::process::id(), server.holder());
        let data = folder.path().join("data");
        let data = data.to_str().expect("plain").to_owned();
        let flags = ["--data-dir".to_owned(), data, "--cgroup-root".to_owned(), cgroup.clone()].to_vec();
        let holder = node::hold(&flags, false);
        server.run(&["sh", "-c", CONNECT, "connect", &holder.id().to_string()]).ok();
        Self { folder, cgroup, process: None, holder, flags }
    }

    fn command(&self, server: &Node, words: &[&str]) -> Command {
        let url = format!("https://{}:6443", server.address());
        let mut command = self.enter(binary::knarr().to_str().expect("plain"));
        command.args(["agent", "--server", &url, "--node-name", "second"]).args(&self.flags).args(words);
        command.args(["--eviction-hard=", "--image-gc-high-threshold=100"]);
        command
    }

    /// Starts the agent; see whether its node gets ready.
    pub fn start(&mut self, server: &Node, words: &[&str]) {
        assert!(self.process.is_none(), "it runs already");
        self.process = Some(Process::start(self.command(server, words), &self.folder.path().join("log")));
    }

    /// Starts the agent by what becomes of its command, such as one that dies.
    pub fn start_by(&mut self, server: &Node, change: impl FnOnce(&Command) -> Command) {
        assert!(self.process.is_none(), "it runs already");
        let command = change(&self.command(server, &[]));
        self.process = Some(Process::start(command, &self.folder.path().join("log")));
    }

    /// Whether it has ended by itself. Then it can be started again.
    pub fn has_ended(&mut self) -> bool {
        let ended = self.process.as_mut().is_none_or(|process| process.ended().is_some());
        if ended {
            self.process = None;
        }
        ended
    }

    /// Runs the agent until it gives up.
    #[track_caller]
    pub fn gives_up(&self, server: &Node, words: &[&str]) -> String {
        node::run(self.command(server, words)).fails()
    }

    /// A command inside, not yet started.
    pub fn enter(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--target={}", self.holder.id())).args(["--net", "--mount", "--uts", "--", program]);
        command
    }

    /// Runs `knarr` inside, on this node's folders.
    #[track_caller]
    pub fn knarr(&self, words: &[&str]) -> Output {
        let mut command = self.enter(binary::knarr().to_str().expect("plain"));
        command.args(words).args(&self.flags);
        node::run(command)
    }

    /// Packs the example's image under this name and imports it.
    pub fn import(&self, reference: &str) {
        let archive = node::pack(self.folder.path(), reference);
        self.knarr(&["image", "import", archive.to_str().expect("plain")]).ok();
    }

    /// Drops every packet between it and the others, as a cable does that was pulled out: nobody is told.
    pub fn cut(&self) {
        self.run(&["nft", CUT]).ok();
    }

    /// The cable is back.
    pub fn mend(&self) {
        self.run(&["nft", "delete table netdev cut"]).ok();
    }

    /// Runs any command inside.
    #[track_caller]
    pub fn run(&self, words: &[&str]) -> Output {
        let (program, arguments) = words.split_first().expect("a command has words");
        let mut command = self.enter(program);
        command.args(arguments);
        node::run(command)
    }

    /// Its network, to look at it from there.
    pub fn network(&self) -> Network {
        Network::of(self.holder.id())
    }

    /// That of a pod with a process that runs, by the pod's uid.
    pub fn pod_network(&self, uid: &str) -> Network {
        node::pod_network(&self.cgroups(), self.holder.id(), uid)
    }

    /// What the agent has printed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// `kill -9` of the daemon alone.
    pub fn kill(&mut self) {
        self.process.take().expect("it runs").kill();
    }

    /// The folders of this node's cgroup that exist, in every hierarchy.
    pub fn cgroups(&self) -> Vec<PathBuf> {
        let name = self.cgroup.trim_start_matches('/');
        let hierarchies = std::fs::read_dir("/sys/fs/cgroup").expect("cgroups are mounted").flatten();
        hierarchies.map(|entry| entry.path().join(name)).filter(|path| path.is_dir()).collect()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.process = None;
        drop(self.holder.stdin.take());
        drop(self.holder.wait());
    }
}
