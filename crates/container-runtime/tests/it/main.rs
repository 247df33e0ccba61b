//! The runtime with real containers: own folders, own cgroups, own network namespace, nothing left behind.
//!
//! The binary is its own shim: called with `shim` it becomes one, before the test harness runs.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bundle;
mod limits;
mod mounts;
mod node;
mod scenarios;
mod stream;
mod system_calls;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("shim") => {
            return ExitCode::from(u8::try_from(container_runtime::shim::main(&arguments[2..])).unwrap_or(1));
        }
        Some("--list") => {
            scenarios::all().iter().for_each(|(name, _)| println!("{name}: test"));
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let filters: Vec<&String> = arguments[1..].iter().filter(|a| !a.starts_with('-')).collect();
    let mut failed = 0;
    let mut ran = 0;
    for (name, scenario) in scenarios::all() {
        if !filters.is_empty() && !filters.iter().any(|f| name.contains(f.as_str())) {
            continue;
        }
        let begun = tokio::time::Instant::now();
        let result = node::in_own_process(name, scenario);
        ran += 1;
        match result {
            Ok(()) => println!("test {name} ... ok ({:?})", begun.elapsed()),
            Err(error) => {
                failed += 1;
                println!("test {name} ... FAILED\n{error}");
            }
        }
    }
    println!("{ran} tests, {failed} failed");
    ExitCode::from(u8::from(failed > 0))
}
