//! The key that encrypts is changed, and the server dies while it starts with the new one or writes all anew.

use std::{fs::OpenOptions, io::Write as _, os::unix::fs::OpenOptionsExt, process::Stdio};

use base64::{Engine, engine::general_purpose::STANDARD};
use testkit::deadly;

use super::*;

/// A configuration with these keys, the first of which writes.
fn configure(file: &Path, keys: &[u32]) {
    let keys = keys.iter().map(|n| format!("{{name: key{n}, secret: {}}}", STANDARD.encode(format!("{n:032}"))));
    let keys = keys.collect::<Vec<_>>().join(", ");
    let text = format!(
        "apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers: [{{aesgcm: {{keys: [{keys}]}}}}, {{identity: {{}}}}]
"
    );
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(file).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// The first key of the rounds.
const FIRST: u32 = 100;

/// Changes the key again and again, of a server whose only key is the first.
fn rotations(mut server: ApiServer, file: &Path) {
    let mut dice = dice();
    // Of a start and of writing all anew.
    let command = server.command();
    let last = count(&command, FILE_CALLS, |counted| {
        assert!(server.serves(counted));
        said(&mut store(&server.data_dir(), &["compact"]));
        server.kill();
    });
    println!("{last:?}");
    for (old, (call, nth)) in (FIRST..).zip(places(&last, &mut dice)) {
        let new = old + 1;
        println!("key {new}: killed at {call} {nth}");
        // The old key stays until all is written anew.
        configure(file, &[new, old]);
        let mortal = deadly(&server.command(), call, nth);
        if server.serves(mortal) {
            // It dies while it writes, or never: then it is killed, at any moment or afterwards.
            let mut compact = store(&server.data_dir(), &["compact"]);
            let mut compacting = compact.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            if dice.roll(2) == 0 {
                compacting.wait().unwrap();
            }
            server.kill();
            compacting.wait().unwrap();
        }
        server.start_again();
        is_whole(&server);
        said(&mut store(&server.data_dir(), &["compact"]));
        server.kill();
        // Whatever were still encrypted with the old key could not be read.
        configure(file, &[new]);
        server.start_again();
        is_whole(&server);
        server.kill();
    }
}

#[test]
fn the_folders_own_key_is_changed() {
    let mut server = cluster();
    let file = server.data_dir().join("encryption.yaml");
    // Without the file no other key is made up.
    let kept = server.folder().join("kept");
    std::fs::rename(&file, &kept).unwrap();
    let told = server.gives_up();
    assert!(told.contains("encryption.yaml is missing, and 40 objects of"), "{told}");
    assert!(!file.exists());
    std::fs::rename(&kept, &file).unwrap();
    // As an administrator edits it: the new key before the one that was made.
    let own = std::fs::read_to_string(&file).unwrap();
    let first =
        format!(r#""keys": [{{"name": "key{FIRST}", "secret": "{}"}},"#, STANDARD.encode(format!("{FIRST:032}")));
    std::fs::write(&file, own.replacen(r#""keys": ["#, &first, 1)).unwrap();
    server.start_again();
    said(&mut store(&server.data_dir(), &["compact"]));
    server.kill();
    rotations(server, &file);
}

#[test]
fn the_key_of_a_given_configuration_is_changed() {
    let mut server = cluster();
    let file = server.folder().join("given.yaml");
    let own = std::fs::read_to_string(server.data_dir().join("encryption.yaml")).unwrap();
    let first =
        format!(r#""keys": [{{"name": "key{FIRST}", "secret": "{}"}},"#, STANDARD.encode(format!("{FIRST:032}")));
    configure(&file, &[FIRST]);
    std::fs::write(&file, own.replacen(r#""keys": ["#, &first, 1)).unwrap();
    server.set_flags(&["--encryption-provider-config", file.to_str().unwrap()]);
    server.start_again();
    said(&mut store(&server.data_dir(), &["compact"]));
    server.kill();
    rotations(server, &file);
}
