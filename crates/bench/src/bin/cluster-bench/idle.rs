//! What a cluster takes that runs the example and has nothing to do.

use std::{thread::sleep, time::Duration};

use serde_json::json;
use testkit::Node;

use crate::{report, usage};

/// Lets it settle for so long, and then watches it for as long.
pub(crate) fn measure(node: &Node, seconds: u64) -> anyhow::Result<()> {
    let daemon = node.pid();
    let pause = Duration::from_secs(seconds);
    sleep(pause);
    let (busy, written) = (usage::of(daemon)?, usage::counted(daemon, "io", "write_bytes:")?);
    sleep(pause);
    let busy = usage::of(daemon)? - busy;
    let written = usage::counted(daemon, "io", "write_bytes:")? - written;
    let mut shims = Vec::new();
    for shim in usage::shims(daemon) {
        shims.push(usage::counted(shim, "smaps_rollup", "Pss:")?);
    }
    let figures = json!({
        "rss_kb": usage::counted(daemon, "status", "VmRSS:")?, "rss_anonymous_kb": usage::counted(daemon, "status", "RssAnon:")?,
        "shims_pss_kb": shims, "core_percent": busy.as_secs_f64() * 100.0 / pause.as_secs_f64(),
        "written_kb_per_minute": written * 60 / 1024 / seconds.max(1), "seconds": seconds,
    });
    report("idle", figures);
    Ok(())
}
