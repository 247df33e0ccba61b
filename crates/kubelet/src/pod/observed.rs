//! What the runtime says of one pod, in the few words the plan and the status need.

use api::jiff::Timestamp;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Created,
    Running,
    Exited,
    Unknown,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ContainerSeen {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) sandbox_id: String,
    pub(crate) image: String,
    pub(crate) image_id: String,
    pub(crate) hash: String,
    pub(crate) restart_count: u32,
    pub(crate) state: State,
    pub(crate) created_at: Timestamp,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) exit_code: i32,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) log_path: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SandboxSeen {
    pub(crate) id: String,
    pub(crate) ready: bool,
    pub(crate) attempt: u32,
    pub(crate) created_at: Timestamp,
    pub(crate) ips: Vec<String>,
    /// Whether it shares the node's network.
    pub(crate) host_network: bool,
}

/// Newest first, both.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Observed {
    pub(crate) sandboxes: Vec<SandboxSeen>,
    pub(crate) containers: Vec<ContainerSeen>,
}

impl Observed {
    /// The newest container of that name, in whatever sandbox.
    pub(crate) fn latest(&self, name: &str) -> Option<&ContainerSeen> {
        self.containers.iter().find(|c| c.name == name)
    }

    /// The newest one of that name in the newest sandbox.
    pub(crate) fn current(&self, name: &str) -> Option<&ContainerSeen> {
        let sandbox = self.sandboxes.first()?;
        self.containers.iter().find(|c| c.name == name && c.sandbox_id == sandbox.id)
    }

    /// The sandbox that is up.
    pub(crate) fn ready_sandbox(&self) -> Option<&SandboxSeen> {
        self.sandboxes.first().filter(|s| s.ready)
    }

    /// Containers that hold a process, or may.
    pub(crate) fn alive(&self) -> impl Iterator<Item = &ContainerSeen> {
        self.containers.iter().filter(|c| matches!(c.state, State::Running | State::Unknown))
    }

    pub(crate) fn nothing_alive(&self) -> bool {
        self.alive().next().is_none()
    }
}
