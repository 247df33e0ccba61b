//! Getting the image of a container: is it there, may and must it be pulled, with which credentials, and how long to
//! wait after a failure. Reasons, messages and events are upstream's.

mod credentials;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use api::core::v1::{Container, ObjectReference, Pod, Secret};
use apimachinery::ImageReference;
use client::events::Recorder;
use cri::{
    ImageService,
    v1::{Image, ImageFsInfoRequest, ImageSpec, ImageStatusRequest, PodSandboxConfig, PullImageRequest},
};
use parking_lot::Mutex;
use tokio::{sync::Semaphore, time::Instant};

use crate::backoff::Backoff;

/// Pulls at a time; further ones wait.
const PARALLEL_PULLS: usize = 4;

/// How long a failed pull is told as such, before the pod says that it waits to try again.
const SHOWN_FAILURE: Duration = Duration::from_secs(3);

/// Why a container waits for its image, in the words its status shows.
#[derive(Debug)]
pub(crate) struct ImageError {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    /// When to try again; none says that something must change first.
    pub(crate) retry: Option<Duration>,
}

pub(crate) struct Images {
    service: Arc<dyn ImageService>,
    backoff: Backoff,
    /// The last failure, told again while waiting. By the back-off's key.
    failures: Mutex<HashMap<String, String>>,
    slots: Semaphore,
    filesystem: OnceLock<PathBuf>,
}

/// What pulling needs to know.
pub(crate) struct Wanted<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) container: &'a Container,
    pub(crate) secrets: &'a [Arc<Secret>],
    pub(crate) sandbox: &'a PodSandboxConfig,
    /// Whom events are about.
    pub(crate) about: &'a ObjectReference,
}

impl Images {
    pub(crate) fn new(service: Arc<dyn ImageService>) -> Self {
        let slots = Semaphore::new(PARALLEL_PULLS);
        Self { service, backoff: Backoff::default(), failures: Mutex::default(), slots, filesystem: OnceLock::new() }
    }

    /// The image, present on this node when this returns.
    pub(crate) async fn ensure(&self, wanted: &Wanted<'_>, events: &Recorder) -> Result<Image, ImageError> {
        let written = wanted.container.image.clone().unwrap_or_default();
        let image = match ImageReference::parse(&written) {
            Ok(name) if name.is_bare() => format!("{written}:{}", name.tag().unwrap_or_default()),
            Ok(_) => written.clone(),
            Err(error) => {
                let message = format!("Failed to apply default image tag \"{written}\": {error}");
                events.warning(wanted.about, "InspectFailed", message.clone());
                return Err(ImageError { reason: "InvalidImageName", message, retry: None });
            }
        };
        let spec = ImageSpec { image, user_specified_image: written.clone(), ..Default::default() };
        let present = self.status(&spec).await.map_err(|error| {
            let message = format!("Failed to inspect image \"{written}\": {error}");
            events.warning(wanted.about, "InspectFailed", message.clone());
            ImageError { reason: "ImageInspectError", message, retry: Some(Duration::from_secs(10)) }
        })?;
        let policy = wanted.container.image_pull_policy.as_deref().unwrap_or("IfNotPresent");
        match present {
            Some(found) if policy != "Always" => {
                let message =
                    format!("Container image \"{written}\" already present on machine and can be accessed by the pod");
                events.normal(wanted.about, "Pulled", message);
                Ok(found)
            }
            None if policy == "Never" => {
                let message = format!("Container image \"{written}\" is not present with pull policy of Never");
                events.warning(wanted.about, "ErrImageNeverPull", message.clone());
                Err(ImageError { reason: "ErrImageNeverPull", message, retry: Some(Duration::from_secs(60)) })
            }
            _ => self.pull(wanted, spec, &written, events).await,
        }
    }

    /// The image if it is on this node.
    pub(crate) async fn status(&self, spec: &ImageSpec) -> Result<Option<Image>, cri::CriError> {
        let request = ImageStatusRequest { image: Some(spec.clone()), verbose: false };
        Ok(self.service.image_status(request).await?.image)
    }

    /// Where the disk of images is mounted, or some folder on it. It never changes.
    pub(crate) async fn filesystem(&self) -> Result<PathBuf, cri::CriError> {
        if let Some(path) = self.filesystem.get() {
            return Ok(path.clone());
        }
        let info = self.service.image_fs_info(ImageFsInfoRequest {}).await?;
        let path = info.image_filesystems.into_iter().next().and_then(|f| f.fs_id).map(|id| id.mountpoint);
        let path = path.ok_or_else(|| cri::CriError::not_found("the runtime names no file system of images"))?;
        Ok(self.filesystem.get_or_init(|| path.into()).clone())
    }

    async fn pull(
        &self,
        wanted: &Wanted<'_>,
        spec: ImageSpec,
        written: &str,
        events: &Recorder,
    ) -> Result<Image, ImageError> {
        let key = format!("{}_{written}", wanted.pod.metadata.uid.as_deref().unwrap_or_default());
        let now = Instant::now();
        if let Some((left, _)) = self.backoff.waiting(&key, self.failed_at(&key).unwrap_or(now)) {
            events.normal(wanted.about, "BackOff", format!("Back-off pulling image \"{written}\""));
            let before = self.failures.lock().get(&key).map(|text| format!(": ErrImagePull: {text}"));
            let message = format!("Back-off pulling image \"{written}\"{}", before.unwrap_or_default());
            return Err(ImageError { reason: "ImagePullBackOff", message, retry: Some(left) });
        }
        events.normal(wanted.about, "Pulling", format!("Pulling image \"{written}\""));
        let asked = Instant::now();
        let slot = self.slots.acquire().await;
        let started = Instant::now();
        let pulled = self.pull_with_any(wanted, &spec).await;
        drop(slot);
        let found = match pulled {
            Ok(()) => self.status(&spec).await.and_then(|image| {
                image.ok_or_else(|| cri::CriError::not_found(format!("image {written} is gone after its pull")))
            }),
            Err(error) => Err(error),
        };
        match found {
            Ok(image) => {
                let (took, whole) = (go_duration(started.elapsed()), go_duration(asked.elapsed()));
                let message = format!(
                    "Successfully pulled image \"{written}\" in {took} ({whole} including waiting). Image size: {} bytes.",
                    image.size
                );
                events.normal(wanted.about, "Pulled", message);
                self.backoff.forget(&key);
                self.failures.lock().remove(&key);
                Ok(image)
            }
            Err(error) => {
                let message = format!("failed to pull image \"{written}\": {error}");
                events.warning(wanted.about, "Failed", format!("Failed to pull image \"{written}\": {error}"));
                self.failures.lock().insert(key.clone(), message.clone());
                self.backoff.next(&key, Instant::now());
                Err(ImageError { reason: "ErrImagePull", message, retry: Some(SHOWN_FAILURE) })
            }
        }
    }

    /// The back-off counts from its own last update, so any moment within it will do.
    fn failed_at(&self, key: &str) -> Option<Instant> {
        self.backoff.updated(key)
    }

    /// Tries the credentials that fit, one after the other; without any, anonymously.
    async fn pull_with_any(&self, wanted: &Wanted<'_>, spec: &ImageSpec) -> Result<(), cri::CriError> {
        let mut found: Vec<_> = credentials::matching(wanted.secrets, &spec.image).into_iter().map(Some).collect();
        if found.is_empty() {
            found.push(None);
        }
        let mut last = Ok(());
        for auth in found {
            let request =
                PullImageRequest { image: Some(spec.clone()), auth, sandbox_config: Some(wanted.sandbox.clone()) };
            last = self.service.pull_image(request).await.map(drop);
            if last.is_ok() {
                break;
            }
        }
        last
    }

    pub(crate) fn forget(&self, uid: &str) {
        let prefix = format!("{uid}_");
        self.backoff.forget_prefix(&prefix);
        self.failures.lock().retain(|key, _| !key.starts_with(&prefix));
    }
}

/// A duration as Go prints it, to the millisecond.
pub(crate) fn go_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis < 1000 {
        return format!("{millis}ms");
    }
    let (minutes, rest) = (millis / 60_000, millis % 60_000);
    let mut seconds = format!("{}.{:03}", rest / 1000, rest % 1000);
    seconds.truncate(seconds.trim_end_matches('0').trim_end_matches('.').len());
    if minutes == 0 { format!("{seconds}s") } else { format!("{minutes}m{seconds}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_like_go() {
        for (millis, text) in [(5, "5ms"), (1500, "1.5s"), (2000, "2s"), (61_234, "1m1.234s"), (120_000, "2m0s")] {
            assert_eq!(go_duration(Duration::from_millis(millis)), text);
        }
    }
}
