//! `/version`: which Kubernetes this is.

use serde_json::{Value, json};

/// The API level, as clients compare versions, and who implements it.
pub const GIT_VERSION: &str = "v1.37.0+knarr";

pub(crate) fn document() -> Value {
    json!({
        "major": "1",
        "minor": "37",
        "emulationMajor": "1",
        "emulationMinor": "37",
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "36",
        "gitVersion": GIT_VERSION,
        "gitCommit": option_env!("KNARR_GIT_COMMIT").unwrap_or_default(),
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, arch()),
    })
}

/// The machine's name as Kubernetes spells it.
fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
