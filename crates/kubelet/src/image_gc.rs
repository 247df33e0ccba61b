//! Images nobody uses, removed when the disk they are on becomes full: the one least recently used first. Never an
//! image of a container, dead or alive, one that is pinned, or one that has just come.

mod table;

use std::{collections::HashSet, sync::Arc, time::Duration};

use cri::v1;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    agent::{Agent, about_node},
    eviction::space,
};
use table::Table;

/// Between two looks; upstream has the same.
const PERIOD: Duration = Duration::from_secs(300);

#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageGcError {
    #[error(transparent)]
    Runtime(#[from] cri::CriError),
    #[error("failed to read the image filesystem: {0}")]
    Disk(#[from] std::io::Error),
    #[error("invalid capacity 0 on image filesystem")]
    NoCapacity,
    #[error(
        "Failed to garbage collect required amount of images. Attempted to free {wanted} bytes, but only found {freed} bytes eligible to free."
    )]
    NotEnough { wanted: u64, freed: u64 },
}

#[derive(Default)]
pub(crate) struct ImageGc {
    table: Mutex<Table>,
}

/// Looks after the disk of images, for ever.
pub(crate) async fn keep_images_few(agent: Arc<Agent>) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut failed_before = false;
    // What is there at the start has been there for long.
    let mut began = None;
    loop {
        ticks.tick().await;
        let done = collect(&agent, began.is_none()).await;
        began.get_or_insert_with(Instant::now);
        match done {
            Ok(()) => failed_before = false,
            Err(error) => {
                tracing::warn!(%error, "images could not be collected");
                if failed_before {
                    agent.events.warning(&about_node(&agent.config.node_name), "ImageGCFailed", error.to_string());
                }
                failed_before = true;
            }
        }
    }
}

async fn collect(agent: &Agent, first: bool) -> Result<(), ImageGcError> {
    look(agent, first).await?;
    let (available, capacity) = image_disk(agent).await?;
    let about = about_node(&agent.config.node_name);
    if capacity == 0 {
        agent.events.warning(&about, "InvalidDiskCapacity", ImageGcError::NoCapacity.to_string());
        return Err(ImageGcError::NoCapacity);
    }
    let policy = agent.config.housekeeping.image_gc;
    let Some(wanted) = to_free(available, capacity, policy.high_percent, policy.low_percent) else { return Ok(()) };
    tracing::info!(wanted, "the disk of images is nearly full; removing images");
    let freed = free(agent, wanted).await?;
    if freed < wanted {
        let error = ImageGcError::NotEnough { wanted, freed };
        agent.events.warning(&about, "FreeDiskSpaceFailed", error.to_string());
        return Err(error);
    }
    Ok(())
}

/// Removes every image that may be removed. Answers the bytes that brought.
pub(crate) async fn delete_unused(agent: &Agent) -> Result<u64, ImageGcError> {
    look(agent, false).await?;
    free(agent, u64::MAX).await
}

/// Bytes to free; none below the high threshold.
fn to_free(available: u64, capacity: u64, high: u8, low: u8) -> Option<u64> {
    let percent = |share: u8| u128::from(capacity) * u128::from(share) / 100;
    let used = 100 - u128::from(available) * 100 / u128::from(capacity);
    let wanted = (u128::from(capacity) - percent(low)).saturating_sub(u128::from(available));
    (high < 100 && used >= u128::from(high)).then(|| u64::try_from(wanted).unwrap_or(u64::MAX))
}

/// Free and total bytes of the disk that images are on.
async fn image_disk(agent: &Agent) -> Result<(u64, u64), ImageGcError> {
    let path = agent.images.filesystem().await?;
    let (available, capacity) = space(&path)?;
    Ok((available.unsigned_abs(), capacity.unsigned_abs()))
}

/// Takes note of what is there and what is in use.
async fn look(agent: &Agent, first: bool) -> Result<(), ImageGcError> {
    let images = agent.runtime.images.list_images(v1::ListImagesRequest { filter: None }).await?.images;
    let used = in_use(agent).await?;
    agent.image_gc.table.lock().note(&images, &used, Instant::now(), first);
    Ok(())
}

async fn in_use(agent: &Agent) -> Result<HashSet<String>, ImageGcError> {
    let containers = agent.runtime.service.list_containers(v1::ListContainersRequest { filter: None }).await?;
    let names = containers.containers.into_iter().flat_map(|c| {
        let image = c.image.map(|i| i.image);
        [Some(c.image_id), Some(c.image_ref), image]
    });
    Ok(names.flatten().filter(|name| !name.is_empty()).collect())
}

async fn free(agent: &Agent, wanted: u64) -> Result<u64, ImageGcError> {
    let min_age = agent.config.housekeeping.image_gc.min_age;
    let candidates = agent.image_gc.table.lock().candidates(Instant::now(), min_age);
    let mut freed = 0;
    let mut failure = None;
    for (id, size) in candidates {
        if freed >= wanted {
            break;
        }
        // A container may have come to use it since the list was made.
        if in_use(agent).await?.contains(&id) {
            continue;
        }
        let image = v1::ImageSpec { image: id.clone(), ..Default::default() };
        match agent.runtime.images.remove_image(v1::RemoveImageRequest { image: Some(image) }).await {
            Ok(_) => {
                tracing::info!(image = id, size, "removed an image nobody uses");
                agent.image_gc.table.lock().forget(&id);
                freed += size;
            }
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(error) => Err(error.into()),
        None => Ok(freed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds() {
        assert_eq!(to_free(20, 100, 85, 80), None);
        assert_eq!(to_free(16, 100, 85, 80), None);
        assert_eq!(to_free(15, 100, 85, 80), Some(5));
        assert_eq!(to_free(0, 1000, 85, 80), Some(200));
        assert_eq!(to_free(0, 1000, 100, 80), None);
    }
}
