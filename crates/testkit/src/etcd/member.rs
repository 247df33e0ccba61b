//! One process of etcd.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{Process, eventually};

/// Seconds for what is tried again when it takes longer: the member may be paused, or cut off.
const A_LOOK: &str = "5";
/// Seconds for what must be answered, on a loaded machine.
const PATIENCE: &str = "60";

pub(super) struct Member {
    pub(super) name: String,
    pub(super) client: String,
    pub(super) flags: Vec<String>,
    /// What `curl` needs to be let in.
    pub(super) curl: Vec<String>,
    folder: PathBuf,
    /// Words before every command: where it runs.
    pub(super) inside: Vec<String>,
    process: Option<Process>,
}

impl Member {
    pub(super) fn new(name: &str, folder: &Path, client: &str, peer: &str, inside: Vec<String>) -> Self {
        let folder = folder.join(name);
        std::fs::create_dir_all(folder.join("data")).expect("a folder in a temporary folder");
        // Elections take a tenth of the usual time: failures are what is tested.
        let flags = [
            format!("--name={name}"),
            format!("--data-dir={}", folder.join("data").display()),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            "--heartbeat-interval=50".to_owned(),
            "--election-timeout=500".to_owned(),
            "--logger=zap".to_owned(),
            "--log-level=warn".to_owned(),
        ];
        let (name, client, flags) = (name.to_owned(), client.to_owned(), flags.to_vec());
        Self { name, client, flags, curl: Vec::new(), folder, inside, process: None }
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub(super) fn forget(&self) {
        assert!(self.process.is_none(), "it runs");
        std::fs::remove_dir_all(self.data()).expect("its data can be removed");
        std::fs::create_dir(self.data()).expect("a folder in a temporary folder");
    }

    /// A command where the member is.
    fn command(&self, program: &str) -> Command {
        let mut words = self.inside.iter().map(String::as_str).chain([program]);
        let mut command = Command::new(words.next().expect("the program is there"));
        command.args(words);
        command
    }

    pub(super) fn start(&mut self) {
        assert!(self.process.is_none(), "it runs already");
        let program = "/usr/bin/etcd";
        assert!(Path::new(program).exists(), "{program} is missing: run scripts/install.sh");
        let mut command = self.command(program);
        command.args(&self.flags).env_clear();
        self.process = Some(Process::start(command, &self.folder.join("log")));
    }

    /// Returns when it and a quorum answer.
    #[track_caller]
    pub(super) fn wait(&mut self) {
        let url = format!("{}/health", self.client);
        eventually("etcd is healthy", || {
            let process = self.process.as_mut().expect("it was started");
            if let Some(status) = process.ended() {
                panic!("etcd ended: {status}\n{}", process.log());
            }
            let answer = self.curl(A_LOOK, &[&url])?;
            if answer.contains("true") { Ok(()) } else { Err(answer) }
        });
    }

    pub(super) fn kill(&mut self) {
        self.process.take().expect("it runs").kill();
    }

    pub(super) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Returns when no thread of it does anything any more: the kernel stops them one by one.
    pub(super) fn pause(&mut self) {
        let process = self.process.as_mut().expect("it runs");
        process.signal(Signal::SIGSTOP);
        let tasks = format!("/proc/{}/task", process.pid());
        let is_stopped = |task: &Path| {
            let stat = std::fs::read_to_string(task.join("stat")).unwrap_or_default();
            stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
        };
        eventually("etcd is stopped", || {
            let tasks = std::fs::read_dir(&tasks).map_err(|error| error.to_string())?;
            let running = tasks.flatten().filter(|task| !is_stopped(&task.path())).count();
            if running == 0 { Ok(()) } else { Err(format!("{running} threads run")) }
        });
    }

    pub(super) fn resume(&mut self) {
        self.process.as_mut().expect("it runs").signal(Signal::SIGCONT);
    }

    fn curl(&self, limit: &str, words: &[&str]) -> Result<String, String> {
        let output = self.command("curl").args(["-sS", "-m", limit]).args(&self.curl).args(words).output();
        let output = output.expect("curl can be started");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() { Ok(text) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }

    pub(super) fn forget_flags(&mut self, flags: &[String]) {
        self.flags.retain(|flag| !flags.contains(flag));
    }

    pub(super) fn try_call(&self, method: &str, body: &Value) -> Result<Value, String> {
        self.try_call_with(A_LOOK, &[], method, body)
    }

    pub(super) fn try_call_as(&self, token: &str, method: &str, body: &Value) -> Result<Value, String> {
        self.try_call_with(PATIENCE, &["-H", &format!("Authorization: {token}")], method, body)
    }

    fn try_call_with(&self, limit: &str, words: &[&str], method: &str, body: &Value) -> Result<Value, String> {
        let (url, body) = (format!("{}/v3/{method}", self.client), body.to_string());
        let answer = self.curl(limit, &[words, &[&url, "-d", &body]].concat())?;
        let value: Value = serde_json::from_str(&answer).map_err(|error| format!("{error}: {answer}"))?;
        if value.get("error").is_none() { Ok(value) } else { Err(answer) }
    }

    #[track_caller]
    pub(super) fn call(&self, method: &str, body: &Value) -> Value {
        let answer = self.try_call_with(PATIENCE, &[], method, body);
        answer.unwrap_or_else(|error| panic!("{} {method}: {error}", self.name))
    }
}

pub(super) fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letters = bytes.chunks(3).flat_map(|chunk| {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        let letter = move |n: usize| {
            let letter = char::from(LETTERS[(bits >> (18 - 6 * n)) as usize & 63]);
            if n <= chunk.len() { letter } else { '=' }
        };
        (0..4).map(letter)
    });
    letters.collect()
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn bytes_become_letters() {
        for (bytes, letters) in
            [(&b""[..], ""), (b"a", "YQ=="), (b"ab", "YWI="), (b"abc", "YWJj"), (b"\xff\xfe", "//4=")]
        {
            assert_eq!(base64(bytes), letters);
        }
    }
}
