//! The executable under test.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("crates/testkit lies two folders deep")
}

/// The folder of examples for people.
pub fn examples() -> PathBuf {
    workspace().join("examples")
}

/// How the variables begin that cargo sets for a test it runs.
const OF_A_TEST: [&str; 8] = [
    "CARGO_BIN_",
    "CARGO_CRATE_NAME",
    "CARGO_MANIFEST_",
    "CARGO_PKG_",
    "CARGO_PRIMARY_PACKAGE",
    "CARGO_RUSTC_CURRENT_DIR",
    "CARGO_TARGET_TMPDIR",
    "OUT_DIR",
];

static KNARR: OnceLock<PathBuf> = OnceLock::new();

/// Takes this executable, for one who measures and has built what is to be measured.
pub fn use_knarr(path: PathBuf) {
    assert!(path.is_file(), "{} is no file", path.display());
    KNARR.set(path).expect("no executable is in use yet");
}

/// The `knarr` executable: the one that `KNARR_BIN` names, or the workspace's own, built now if it is not up to date.
pub fn knarr() -> &'static Path {
    KNARR.get_or_init(|| {
        if let Some(given) = std::env::var_os("KNARR_BIN") {
            let path = PathBuf::from(given);
            assert!(path.is_file(), "KNARR_BIN={} is no file", path.display());
            return path;
        }
        // target/<profile>/deps/it-… → target/<profile>
        let test = std::env::current_exe().expect("a process knows its executable");
        let profile = test.ancestors().nth(2).expect("tests are built two folders deep");
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // The whole workspace with its tests, as `cargo test` itself builds it: with fewer features most of it would be
        // built once more.
        cargo.current_dir(workspace()).args(["build", "--quiet", "--workspace", "--bin", "knarr", "--tests"]);
        // What cargo tells a test of its package is no matter of this build, but build scripts look at it: ring's would
        // run again, and all that uses ring be built again, and once more by the next `cargo test`.
        for (name, _) in std::env::vars_os() {
            if OF_A_TEST.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
                cargo.env_remove(name);
            }
        }
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        let status = cargo.status().expect("cargo can be started");
        assert!(status.success(), "cargo build failed");
        profile.join("knarr")
    })
}
