//! Ending a pod, telling how it ended, and clearing away what it leaves.

use std::{collections::HashSet, io, time::Duration};

use api::core::v1::Pod;
use client::{ApiError, DeleteParams, Preconditions};
use cri::v1;
use tokio::time::Instant;

use super::{Next, Stage, Worker};
use crate::{
    agent::about_pod,
    pod::{kill::kill_pod, observed::Observed, signal::Input},
};

/// How long to wait before something that did not work is tried again.
const RETRY: Duration = Duration::from_secs(2);

impl Worker {
    /// Stops what runs, then tells the end of it and gives back what the pod held.
    pub(super) async fn end(&mut self, input: &Input) -> Next {
        let again = || Next::Wait(Some(Instant::now() + RETRY));
        self.agent.prober.keep(&self.uid, &HashSet::new());
        let observed = match self.agent.runtime.observe(&self.uid).await {
            Ok(observed) => observed,
            Err(error) => {
                tracing::warn!(pod = self.uid, %error, "the runtime could not be asked; trying again");
                return again();
            }
        };
        if !observed.nothing_alive() || observed.ready_sandbox().is_some() {
            self.publish(input, &observed, false);
            let killed = tokio::select! {
                killed = kill_pod(&self.agent, &input.pod, &observed, input.grace(), true) => killed,
                // The grace period became shorter: begin again with what is left.
                () = self.signal.hurried() => return Next::Again,
            };
            if let Err(error) = killed {
                let message = format!("error killing pod: {error}");
                self.agent.events.warning(&about_pod(&input.pod), "FailedKillPod", message);
                return again();
            }
            return match self.agent.runtime.observe(&self.uid).await {
                Ok(now) if now.nothing_alive() && now.ready_sandbox().is_none() => self.finish(input, &now).await,
                _ => again(),
            };
        }
        self.finish(input, &observed).await
    }

    async fn finish(&mut self, input: &Input, observed: &Observed) -> Next {
        self.publish(input, observed, true);
        if let Err(message) = self.give_back().await {
            tracing::warn!(pod = self.uid, message, "what the pod held could not be given back; trying again");
            return Next::Wait(Some(Instant::now() + RETRY));
        }
        if input.evicted.is_some() {
            // Its end cannot be told while the disk it has filled is full, and the disk is cleared of what has ended.
            self.signal.mark_ended();
        }
        if !input.gone {
            self.slot.flushed().await;
        }
        self.stage = Stage::Ended;
        self.signal.mark_ended();
        Next::Again
    }

    /// Volumes, tokens, references and the cgroup.
    async fn give_back(&mut self) -> Result<(), String> {
        let dir = self.agent.config.pod_dir(&self.uid);
        let work = self.agent.tasks.spawn_blocking("tear-down", move || volumes::tear_down(&dir));
        match work.join().await {
            Some(done) => done.map_err(|e| e.to_string())?,
            None => return Err("the kubelet is stopping".to_owned()),
        }
        self.volumes = None;
        self.agent.references.release(&self.uid);
        self.agent.tokens.forget(&self.uid);
        self.agent.images.forget(&self.uid);
        self.agent.backoff.forget_prefix(&format!("{}_", self.uid));
        self.agent.cgroups.remove_pod(&self.uid).map_err(|e| e.to_string())
    }

    /// Takes the record out of the API where that was asked for, and what is on disk once it is gone.
    pub(super) async fn clear(&mut self, input: &Input) -> Next {
        if input.gone {
            return match self.remove_all(&input.pod).await {
                Ok(()) => {
                    self.agent.table.forget(&self.uid);
                    Next::Done
                }
                Err(message) => {
                    tracing::warn!(pod = self.uid, message, "what the pod left could not be removed; trying again");
                    Next::Wait(Some(Instant::now() + RETRY))
                }
            };
        }
        if input.pod.metadata.deletion_timestamp.is_none() || self.delete_sent {
            return Next::Wait(None);
        }
        match self.delete(&input.pod).await {
            Ok(()) => {
                self.delete_sent = true;
                Next::Wait(None)
            }
            Err(error) => {
                tracing::warn!(pod = self.uid, %error, "the pod could not be deleted from the API; trying again");
                Next::Wait(Some(Instant::now() + RETRY))
            }
        }
    }

    async fn delete(&self, pod: &Pod) -> Result<(), client::Error> {
        let api = self.agent.client.namespaced::<Pod>(pod.metadata.namespace.as_deref().unwrap_or_default());
        let params = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(Preconditions { uid: Some(self.uid.clone()), resource_version: None }),
            ..DeleteParams::default()
        };
        match api.delete(pod.metadata.name.as_deref().unwrap_or_default(), &params).await {
            Ok(_) => Ok(()),
            // Gone already, or another pod bears the name now.
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn remove_all(&self, pod: &Pod) -> Result<(), String> {
        let observed = self.agent.runtime.observe(&self.uid).await.map_err(|e| e.to_string())?;
        for sandbox in &observed.sandboxes {
            let request = v1::RemovePodSandboxRequest { pod_sandbox_id: sandbox.id.clone() };
            match self.agent.runtime.service.remove_pod_sandbox(request).await {
                Err(error) if !error.is_not_found() => return Err(error.to_string()),
                _ => {}
            }
        }
        let of = |field: &Option<String>| field.clone().unwrap_or_default();
        let (config, meta) = (&self.agent.config, &pod.metadata);
        let logs = config.pod_log_dir(&of(&meta.namespace), &of(&meta.name), &self.uid);
        for dir in [logs, config.pod_dir(&self.uid)] {
            match std::fs::remove_dir_all(&dir) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(format!("removing {}: {error}", dir.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
