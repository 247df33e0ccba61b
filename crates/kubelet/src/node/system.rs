//! What the machine is.

use api::core::v1::NodeSystemInfo;
use cri::v1::VersionResponse;

/// Go's name of this architecture, which Kubernetes uses.
pub(crate) const ARCHITECTURE: &str = if cfg!(target_arch = "x86_64") {
    "amd64"
} else if cfg!(target_arch = "aarch64") {
    "arm64"
} else {
    std::env::consts::ARCH
};

pub(crate) fn node_info(version: &str, runtime: Option<&VersionResponse>) -> NodeSystemInfo {
    let line = |path: &str| std::fs::read_to_string(path).map(|t| t.trim().to_owned()).unwrap_or_default();
    let machine_id = line("/etc/machine-id");
    let system_uuid = Some(line("/sys/class/dmi/id/product_uuid")).filter(|id| !id.is_empty());
    NodeSystemInfo {
        architecture: ARCHITECTURE.to_owned(),
        boot_id: line("/proc/sys/kernel/random/boot_id"),
        container_runtime_version: runtime
            .map(|r| format!("{}://{}", r.runtime_name, r.runtime_version))
            .unwrap_or_default(),
        kernel_version: line("/proc/sys/kernel/osrelease"),
        // Removed from what upstream reports, but still required by the schema.
        kube_proxy_version: String::new(),
        kubelet_version: version.to_owned(),
        system_uuid: system_uuid.unwrap_or_else(|| machine_id.clone()),
        machine_id,
        operating_system: "linux".to_owned(),
        os_image: os_image(),
        ..NodeSystemInfo::default()
    }
}

fn os_image() -> String {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text.lines().find_map(|l| l.strip_prefix("PRETTY_NAME="));
    name.map_or_else(|| "Linux".to_owned(), |n| n.trim_matches('"').to_owned())
}
