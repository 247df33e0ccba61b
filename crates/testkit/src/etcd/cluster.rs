//! Three members, each in a network namespace, joined by a bridge in a fourth one, where the clients are.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use super::{folder, member::Member};
use crate::Network;

const MEMBERS: usize = 3;

/// A cluster that can lose any of its members, and any of the ways between them.
pub struct EtcdCluster {
    members: Vec<Member>,
    networks: Vec<Place>,
    switch: Place,
    _folder: TempDir,
}

/// A network namespace. It ends with the process that holds it, which ends with us.
struct Place {
    holder: Child,
}

impl Place {
    fn make() -> Self {
        let mut holder = Command::new("unshare")
            .args(["--net", "--", "sh", "-c", "ip link set lo up; echo up; read -r _ || true"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare can be started");
        let mut line = String::new();
        let output = holder.stdout.take().expect("its output is a pipe");
        BufReader::new(output).read_line(&mut line).expect("its output can be read");
        assert_eq!(line.trim(), "up", "making a network namespace needs root");
        Self { holder }
    }

    fn prefix(&self) -> Vec<String> {
        ["nsenter", &format!("--target={}", self.holder.id()), "--net", "--"].map(str::to_owned).to_vec()
    }

    #[track_caller]
    fn run(&self, script: &str) {
        let prefix = self.prefix();
        let output = Command::new(&prefix[0]).args(&prefix[1..]).args(["sh", "-ec", script]).output();
        let output = output.expect("nsenter can be started");
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}

fn address(number: usize) -> String {
    format!("172.31.0.{}", 11 + number)
}

impl EtcdCluster {
    /// Returns when all members answer.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with these flags.
    pub fn start_with(flags: &[&str]) -> Self {
        let folder = folder();
        let switch = Place::make();
        switch.run("ip link add br0 type bridge && ip addr add 172.31.0.1/24 dev br0 && ip link set br0 up");
        let networks: Vec<Place> = (0..MEMBERS).map(|_| Place::make()).collect();
        let peers = (0..MEMBERS).map(|n| format!("m{n}=http://{}:2380", address(n)));
        let all = format!("--initial-cluster={}", peers.collect::<Vec<_>>().join(","));
        let mut members = Vec::new();
        for (number, network) in networks.iter().enumerate() {
            let pid = network.holder.id();
            switch.run(&format!(
                "ip link add m{number} type veth peer name eth0 netns {pid} && ip link set m{number} master br0 up"
            ));
            let address = address(number);
            network.run(&format!("ip addr add {address}/24 dev eth0 && ip link set eth0 up"));
            let (client, peer) = (format!("http://{address}:2379"), format!("http://{address}:2380"));
            let mut member = Member::new(&format!("m{number}"), folder.path(), &client, &peer, network.prefix());
            member.flags.push(all.clone());
            member.flags.extend(flags.iter().map(|flag| (*flag).to_owned()));
            member.start();
            members.push(member);
        }
        members.iter_mut().for_each(Member::wait);
        Self { members, networks, switch, _folder: folder }
    }

    pub fn endpoints(&self) -> Vec<String> {
        self.members.iter().map(|member| member.client.clone()).collect()
    }

    /// Runs this in a thread from where all members can be reached; what it starts is there too.
    pub fn inside<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        self.network().inside(act)
    }

    /// Where the clients are.
    pub fn network(&self) -> Network {
        Network::of(self.switch.holder.id())
    }

    /// Brings this end of a cable, which lies in the network of a process, to where the clients are.
    pub(crate) fn plug(&self, process: u32, end: &str, called: &str) {
        let taken = format!("ip link set {end} netns {} name {called}", self.switch.holder.id());
        let enter = ["nsenter", &format!("--target={process}"), "--net", "--", "sh", "-ec", &taken];
        let moved = Command::new(enter[0]).args(&enter[1..]).output().expect("nsenter can be started");
        assert!(moved.status.success(), "{taken}: {}", String::from_utf8_lossy(&moved.stderr));
        self.switch.run(&format!("ip link set {called} master br0 up"));
    }

    /// Whoever is at that cable reaches nobody, and nobody is told so.
    pub fn unplug(&self, called: &str) {
        self.switch.run(&format!("ip link set {called} down"));
    }

    /// The cable is back.
    pub fn plug_again(&self, called: &str) {
        self.switch.run(&format!("ip link set {called} up"));
    }

    /// Who leads, by asking the members that run and are reached.
    #[track_caller]
    pub fn leader(&self) -> usize {
        crate::eventually("a member leads", || {
            for (number, member) in self.members.iter().enumerate().filter(|(_, member)| member.is_running()) {
                let Ok(status) = member.try_call("maintenance/status", &Value::Object(Default::default())) else {
                    continue;
                };
                if status["leader"].is_string() && status["leader"] == status["header"]["member_id"] {
                    return Ok(number);
                }
            }
            Err("nobody says so")
        })
    }

    pub fn kill(&mut self, number: usize) {
        self.members[number].kill();
    }

    /// Returns at once.
    pub fn start_again(&mut self, number: usize) {
        self.members[number].start();
    }

    /// Returns when this member answers, with a quorum behind it.
    #[track_caller]
    pub fn wait(&mut self, number: usize) {
        self.members[number].wait();
    }

    /// It neither answers nor ends.
    pub fn pause(&mut self, number: usize) {
        self.members[number].pause();
    }

    pub fn resume(&mut self, number: usize) {
        self.members[number].resume();
    }

    /// Nobody reaches this member, and nobody is told so.
    pub fn cut(&self, number: usize) {
        self.switch.run(&format!("ip link set m{number} down"));
    }

    /// The other members do not reach this one; clients do.
    pub fn cut_from_members(&self, number: usize) {
        self.reject(number, "in ip saddr 172.31.0.8/29 drop");
    }

    /// Clients do not reach this member; the other members do.
    pub fn cut_from_clients(&self, number: usize) {
        self.reject(number, "in ip saddr 172.31.0.1 drop");
    }

    /// Clients reach this member and are not answered.
    pub fn cut_answers(&self, number: usize) {
        self.reject(number, "out ip daddr 172.31.0.1 drop");
    }

    /// So many of a hundred packets to this member are lost.
    pub fn lose(&self, number: usize, percent: u32) {
        self.reject(number, &format!("in ip saddr 172.31.0.0/24 numgen random mod 100 < {percent} drop"));
    }

    fn reject(&self, number: usize, rule: &str) {
        self.networks[number].run(&format!(
            "nft add table inet cut; nft 'add chain inet cut in {{ type filter hook input priority 0; }}'; \
             nft 'add chain inet cut out {{ type filter hook output priority 0; }}'; nft 'add rule inet cut {rule}'"
        ));
    }

    /// All ways of this member are as at first.
    pub fn heal(&self, number: usize) {
        self.switch.run(&format!("ip link set m{number} up"));
        self.networks[number].run("nft delete table inet cut 2>/dev/null || true");
    }

    /// One call of a member's gateway, such as `kv/put`, by a client that is not ours.
    #[track_caller]
    pub fn call(&self, number: usize, method: &str, body: &Value) -> Value {
        self.members[number].call(method, body)
    }

    /// The same where it may be refused.
    pub fn try_call(&self, number: usize, method: &str, body: &Value) -> Result<Value, String> {
        self.members[number].try_call(method, body)
    }
}
