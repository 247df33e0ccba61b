#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{os::unix::fs::PermissionsExt as _, sync::Arc};

use serde_json::json;

use super::*;

fn local(profile: &Value) -> Profile {
    Profile::Local { path: "/p.json".into(), text: serde_json::to_vec(profile).unwrap() }
}

fn fails(profile: &Value) -> String {
    local(profile).compile().unwrap_err().to_string()
}

/// What a filter answers to a call, computed as the kernel does.
fn run(filter: &Filter, arch: u32, number: u32, argument: u64) -> u32 {
    let mut data = [0u8; 64];
    data[0..4].copy_from_slice(&number.to_ne_bytes());
    data[4..8].copy_from_slice(&arch.to_ne_bytes());
    data[16..24].copy_from_slice(&argument.to_ne_bytes());
    let (mut at, mut accumulator) = (0usize, 0u32);
    loop {
        let i = &filter.program[at * 8..at * 8 + 8];
        let code = u32::from(u16::from_ne_bytes([i[0], i[1]]));
        let k = u32::from_ne_bytes([i[4], i[5], i[6], i[7]]);
        at += 1;
        let holds = match code {
            0x20 => {
                let from = k as usize;
                accumulator = u32::from_ne_bytes(data[from..from + 4].try_into().unwrap());
                continue;
            }
            0x54 => {
                accumulator &= k;
                continue;
            }
            0x05 => {
                at += k as usize;
                continue;
            }
            0x06 => return k,
            0x15 => accumulator == k,
            0x25 => accumulator > k,
            0x35 => accumulator >= k,
            0x45 => accumulator & k != 0,
            other => panic!("instruction {other:#x}"),
        };
        at += usize::from(if holds { i[2] } else { i[3] });
    }
}

const ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = 0x0005_0001;
const NO_SUCH_CALL: u32 = 0x0005_0000 | libc::ENOSYS as u32;

#[cfg(target_arch = "x86_64")]
#[test]
fn the_default_profile_answers_as_docker_and_runc() {
    const X86_64: u32 = 0xc000_003e;
    const X86: u32 = 0x4000_0003;
    let of = |capabilities: &[&str]| {
        let capabilities = capabilities.iter().map(|name| (*name).to_owned()).collect();
        Profile::Default { capabilities }.compile().unwrap()
    };
    let plain = of(&[]);
    let native = |number: i64, argument| run(&plain, X86_64, number as u32, argument);
    assert_eq!(native(libc::SYS_read, 0), ALLOW);
    assert_eq!(native(libc::SYS_mount, 0), EPERM);
    assert_eq!(native(libc::SYS_bpf, 0), EPERM);
    assert_eq!(native(libc::SYS_clone3, 0), NO_SUCH_CALL);
    assert_eq!(native(libc::SYS_clone, 0), ALLOW);
    assert_eq!(native(libc::SYS_clone, libc::CLONE_NEWUSER as u64), EPERM);
    assert_eq!(native(libc::SYS_socket, libc::AF_INET as u64), ALLOW);
    assert_eq!(native(libc::SYS_socket, AF_VSOCK), EPERM);
    assert_eq!(native(libc::SYS_personality, 8), ALLOW);
    assert_eq!(native(libc::SYS_personality, 9), EPERM);
    assert_eq!((native(452, 0), native(456, 0)), (ALLOW, ALLOW), "calls younger than libseccomp");
    assert_eq!(native(450, 0), EPERM, "a young call the profile keeps for others");
    assert_eq!((native(999, 0), run(&plain, X86, 999, 0)), (NO_SUCH_CALL, NO_SUCH_CALL), "a call of the future");
    assert_eq!(run(&plain, X86, 3, 0), ALLOW, "read of a 32 bit program");
    assert_eq!(run(&plain, X86, 21, 0), EPERM, "mount of a 32 bit program");
    assert_eq!(native(0x4000_0000, 0), ALLOW, "read of an x32 program");
    assert_ne!(run(&plain, 0xc000_00b7, 0, 0), ALLOW, "another machine's call");
    let mighty = of(&["CAP_SYS_ADMIN"]);
    assert_eq!(run(&mighty, X86_64, libc::SYS_mount as u32, 0), ALLOW);
    assert_eq!(run(&mighty, X86_64, libc::SYS_clone3 as u32, 0), ALLOW);
}

#[test]
fn actions_and_flags_are_the_profiles() {
    let filter = local(&json!({
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "flags": ["SECCOMP_FILTER_FLAG_LOG"],
        "syscalls": [{"names": ["read", "no_such_call"], "action": "SCMP_ACT_ALLOW"},
                     {"names": ["kill"], "action": "SCMP_ACT_KILL_PROCESS"}]
    }))
    .compile()
    .unwrap();
    assert_eq!(filter.flags, 2);
    let arch = if cfg!(target_arch = "x86_64") { 0xc000_003e } else { 0xc000_00b7 };
    assert_eq!(run(&filter, arch, libc::SYS_read as u32, 0), ALLOW);
    assert_eq!(run(&filter, arch, libc::SYS_write as u32, 0), NO_SUCH_CALL);
    assert_eq!(run(&filter, arch, libc::SYS_kill as u32, 0), 0x8000_0000);
    let open = local(&json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat", "cachestat"], "action": "SCMP_ACT_ERRNO"}]
    }))
    .compile()
    .unwrap();
    assert_eq!(run(&open, arch, libc::SYS_mkdirat as u32, 0), EPERM);
    assert_eq!((run(&open, arch, 451, 0), run(&open, arch, 999, 0)), (EPERM, ALLOW));
}

#[test]
fn what_is_wrong_with_a_profile_is_said() {
    let error = fails(&json!({"defaultAction": "SCMP_ACT_NOTIFY"}));
    assert!(error.ends_with("SCMP_ACT_NOTIFY is not supported: nobody would answer"), "{error}");
    let error = fails(&json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]}));
    assert!(error.contains("only with SCMP_ACT_NOTIFY"), "{error}");
    let error = fails(&json!({"defaultAction": "SCMP_ACT_NONSENSE"}));
    assert!(error.starts_with("decoding seccomp profile \"/p.json\" failed: unknown variant"), "{error}");
    let error = fails(&json!({"syscalls": []}));
    assert!(error.contains("defaultAction"), "{error}");
    let error = Profile::local("/no/such.json").unwrap_err().to_string();
    assert_eq!(error, "cannot load seccomp profile \"/no/such.json\": No such file or directory (os error 2)");
}

#[test]
fn filters_are_made_once_and_the_oldest_goes() {
    let filters = Filters::default();
    let profile = |n: usize| local(&json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": n.to_string()}));
    let first = filters.of(profile(0)).unwrap();
    assert!(Arc::ptr_eq(&first, &filters.of(profile(0)).unwrap()));
    for n in 1..=Filters::LIMIT {
        filters.of(profile(n)).unwrap();
    }
    assert_eq!(filters.len(), Filters::LIMIT);
    assert!(!Arc::ptr_eq(&first, &filters.of(profile(0)).unwrap()));
}

#[test]
fn a_filter_is_read_only_from_a_file_of_ours() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("seccomp.bpf");
    let filter = local(&json!({"defaultAction": "SCMP_ACT_ALLOW"})).compile().unwrap();
    let confinement = Confinement { filter, keep: 5 };
    confinement.write(&path).unwrap();
    assert_eq!(Confinement::read(&path).unwrap(), confinement);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(Confinement::read(&path).unwrap_err().to_string().contains("written by others"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&path, [0; 20]).unwrap();
    assert!(Confinement::read(&path).unwrap_err().to_string().contains("is no program"));
}
