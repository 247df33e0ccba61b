//! Seccomp profiles in real containers: the default, one of the node's files, and broken ones.

use cri::{RuntimeService as _, v1};
use futures::{FutureExt as _, future::LocalBoxFuture};
use serde_json::json;

use crate::node::{
    Node, container_config, create, exec, exited, log_lines, output, run_sandbox, sandbox_config, start,
};

const FACTS: &str = "grep -E 'Seccomp:|CapEff|CapPrm|CapBnd|NoNewPrivs' | tr -d '\\t'";

fn local(name: &str, script: &str, path: &std::path::Path) -> v1::ContainerConfig {
    let mut config = container_config(name, script);
    config.linux.as_mut().unwrap().security_context.as_mut().unwrap().seccomp = Some(v1::SecurityProfile {
        profile_type: v1::security_profile::ProfileType::Localhost as i32,
        localhost_ref: path.display().to_string(),
    });
    config
}

/// The first process and one more have the filter, and exactly the capabilities the container is to have.
pub(crate) fn the_default_profile_confines_all_processes(node: &Node) -> LocalBoxFuture<'_, ()> {
    async {
        let logs = node.folder.path().join("logs");
        let of = sandbox_config("one", &logs);
        let runtime = node.runtime().await;
        let sandbox = run_sandbox(&runtime, &of).await;
        for (name, user, drop, no_new_privileges, capabilities) in [
            ("root", 0, "SETPCAP", false, "00000000a80424fb"),
            ("bare", 0, "ALL", false, "0000000000000000"),
            ("user", 33, "SETPCAP", false, "0000000000000000"),
            ("strict", 0, "ALL", true, "0000000000000000"),
        ] {
            let mut config = container_config(name, &format!("cat /proc/self/status | {FACTS}; sleep 1000"));
            let security = config.linux.as_mut().unwrap().security_context.as_mut().unwrap();
            security.run_as_user = Some(v1::Int64Value { value: user });
            security.no_new_privs = no_new_privileges;
            security.capabilities = Some(v1::Capability { drop_capabilities: vec![drop.into()], ..Default::default() });
            let id = create(&runtime, &sandbox, config, &of).await;
            start(&runtime, &id).await;
            let bounding = if drop == "ALL" { capabilities } else { "00000000a80424fb" };
            let flag = u8::from(no_new_privileges);
            let expected = format!(
                "CapPrm:{capabilities}\nCapEff:{capabilities}\nCapBnd:{bounding}\nNoNewPrivs:{flag}\nSeccomp:2"
            );
            assert_eq!(output(&runtime, &id, &format!("cat /proc/1/status | {FACTS}")).await, expected, "{name}");
            assert_eq!(output(&runtime, &id, &format!("cat /proc/self/status | {FACTS}")).await, expected, "{name}");
        }
        let mut config = container_config("admin", "unshare -m true && exit 5");
        let security = config.linux.as_mut().unwrap().security_context.as_mut().unwrap();
        security.capabilities =
            Some(v1::Capability { add_capabilities: vec!["SYS_ADMIN".into()], ..Default::default() });
        let admin = create(&runtime, &sandbox, config, &of).await;
        start(&runtime, &admin).await;
        assert_eq!(exited(&runtime, &admin).await.exit_code, 5, "the default list grows with the capabilities");
    }
    .boxed_local()
}

pub(crate) fn a_profile_of_the_node_denies_and_allows(node: &Node) -> LocalBoxFuture<'_, ()> {
    async {
        let logs = node.folder.path().join("logs");
        let of = sandbox_config("one", &logs);
        let runtime = node.runtime().await;
        let sandbox = run_sandbox(&runtime, &of).await;
        let path = node.folder.path().join("no-mkdir.json");
        let rule = json!({"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": libc::EXDEV});
        let profile =
            json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule], "flags": ["SECCOMP_FILTER_FLAG_LOG"]});
        std::fs::write(&path, profile.to_string()).unwrap();
        let script = "mkdir /tmp/x; touch /tmp/y && echo made; sleep 1000";
        let id = create(&runtime, &sandbox, local("main", script, &path), &of).await;
        // What was compiled counts, not what becomes of the file.
        std::fs::remove_file(&path).unwrap();
        start(&runtime, &id).await;
        crate::node::eventually("the container has tried", async || log_lines(&logs, "main").len() == 2).await;
        let lines = log_lines(&logs, "main");
        assert!(lines[0].ends_with("Invalid cross-device link"), "{lines:?}");
        assert_eq!(lines[1], "stdout F made");
        let denied = exec(&runtime, &id, "mkdir /tmp/x").await;
        assert!(String::from_utf8_lossy(&denied.stderr).contains("cross-device"), "{denied:?}");
        assert_eq!(output(&runtime, &id, "touch /tmp/z && ls /tmp").await, "y\nz");
    }
    .boxed_local()
}

pub(crate) fn broken_profiles_are_told(node: &Node) -> LocalBoxFuture<'_, ()> {
    async {
        let logs = node.folder.path().join("logs");
        let of = sandbox_config("one", &logs);
        let runtime = node.runtime().await;
        let sandbox = run_sandbox(&runtime, &of).await;
        let path = node.folder.path().join("broken.json");
        for (text, told) in [
            (None, "cannot load seccomp profile"),
            (Some("{"), "decoding seccomp profile"),
            (Some(r#"{"defaultAction": "SCMP_ACT_MAYBE"}"#), "unknown variant `SCMP_ACT_MAYBE`"),
            (Some(r#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#), "SCMP_ACT_NOTIFY is not supported"),
        ] {
            if let Some(text) = text {
                std::fs::write(&path, text).unwrap();
            }
            let request = v1::CreateContainerRequest {
                pod_sandbox_id: sandbox.clone(),
                config: Some(local("main", "true", &path)),
                sandbox_config: Some(of.clone()),
            };
            let error = runtime.create_container(request).await.unwrap_err();
            assert!(error.message().contains(told) && error.message().contains("broken.json"), "{error}");
        }
        // A filter that does not even let the program be executed ends the container with a word about it.
        std::fs::write(
            &path,
            r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            {"names": ["write", "exit_group", "exit"], "action": "SCMP_ACT_ALLOW"}]}"#,
        )
        .unwrap();
        let id = create(&runtime, &sandbox, local("closed", "true", &path), &of).await;
        start(&runtime, &id).await;
        assert_ne!(exited(&runtime, &id).await.exit_code, 0);
        let lines = log_lines(&logs, "closed");
        assert!(lines[0].ends_with("exec \"/bin/sh\": operation not permitted"), "{lines:?}");
    }
    .boxed_local()
}
