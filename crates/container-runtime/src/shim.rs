//! The shim: a process of one thread that holds a pod. Forked, without exec, from a zygote, so that the pages a large
//! executable dirties at start are shared by all shims.

mod code;
mod executor;
mod helper;
mod log;
mod loop_;
mod process;
mod propagation;
mod signals;
mod streams;
mod zygote;

/// Entry for the hidden first argument `shim`, called first thing in `main`, before any thread exists.
/// Answers the exit code.
pub fn main(arguments: &[String]) -> i32 {
    match arguments.first().map(String::as_str) {
        Some("zygote") => zygote::run(),
        _ => {
            eprintln!("this is an internal command of the container runtime");
            2
        }
    }
}
