//! The key that encrypts is changed, or encryption taken back, and the server dies while it starts with the new
//! configuration or writes all anew; with a store of its own, and with etcd.

use std::{fs::OpenOptions, io::Write as _, os::unix::fs::OpenOptionsExt, path::PathBuf, process::Stdio};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;
use testkit::{Etcd, deadly};

use super::*;

/// What may be written with: upstream's ciphers in turn, or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Provider {
    Key(u32),
    Identity,
}

impl Provider {
    fn cipher(key: u32) -> &'static str {
        ["aesgcm", "aescbc", "secretbox"][key as usize % 3]
    }

    fn entry(self) -> String {
        match self {
            Self::Key(n) => {
                let (cipher, secret) = (Self::cipher(n), STANDARD.encode(format!("{n:032}")));
                format!("{{{cipher}: {{keys: [{{name: key{n}, secret: {secret}}}]}}}}")
            }
            Self::Identity => "{identity: {}}".to_owned(),
        }
    }

    /// What values begin with in etcd that it has written.
    fn mark(self) -> Vec<u8> {
        match self {
            Self::Key(n) => format!("k8s:enc:{}:v1:key{n}:", Self::cipher(n)).into_bytes(),
            Self::Identity => b"k8s\0".to_vec(),
        }
    }
}

/// A configuration of these, the first of which writes.
fn configure(file: &Path, providers: &[Provider]) {
    let providers = providers.iter().map(|provider| provider.entry()).collect::<Vec<_>>().join(", ");
    let text = format!(
        "apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers: [{providers}]
"
    );
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(file).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// The first key of the rounds.
const FIRST: u32 = 100;

/// A server whose cluster is to be read after each change.
struct Subject {
    server: ApiServer,
    /// The configuration it reads.
    file: PathBuf,
    etcd: Option<Etcd>,
}

impl Subject {
    fn compact(&self) -> Command {
        store(&self.server.data_dir(), &["compact"])
    }

    /// Writes everything anew with what is configured first, and stops.
    fn write_anew(&mut self) {
        said(&mut self.compact());
        self.server.kill();
    }

    /// From one way to write to the other, with a death on the way.
    fn change(&mut self, old: Provider, new: Provider, (call, nth): Place, dice: &mut Dice) {
        println!("{old:?} to {new:?}: killed at {call} {nth}");
        // The old key stays until all is written anew.
        configure(&self.file, &[new, old]);
        let mortal = deadly(&self.server.command(), call, nth);
        if self.server.serves(mortal) {
            // It dies while it writes, or never: then it is killed, at any moment or afterwards.
            let mut compact = self.compact();
            let mut compacting = compact.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            if dice.roll(2) == 0 {
                compacting.wait().unwrap();
            }
            self.server.kill();
            compacting.wait().unwrap();
        }
        self.server.start_again();
        is_whole(&self.server);
        self.write_anew();
        // Whatever were still written in the old way could not be read.
        configure(&self.file, &[new]);
        self.server.start_again();
        is_whole(&self.server);
        self.lies_as(new);
        self.server.kill();
    }

    /// All secrets in etcd, and of all that etcd still knows.
    fn lies_as(&self, provider: Provider) {
        let Some(etcd) = &self.etcd else { return };
        let (key, range_end) = (Etcd::base64(b"/registry/secrets/"), Etcd::base64(b"/registry/secrets0"));
        let found = etcd.call("kv/range", &json!({"key": key, "range_end": range_end}));
        let values = found["kvs"].as_array().unwrap();
        assert_eq!(values.len(), OBJECTS);
        for value in values {
            let value = STANDARD.decode(value["value"].as_str().unwrap()).unwrap();
            assert!(value.starts_with(&provider.mark()), "{provider:?}: {:?}", String::from_utf8_lossy(&value));
        }
    }

    /// Changes the key again and again, of a server whose only key is the first; then takes encryption back, and begins
    /// anew with it.
    fn rotations(&mut self, calls: &[&'static str]) {
        let mut dice = dice();
        let command = self.server.command();
        // Of a start and of writing all anew.
        let last: Vec<Place> = calls
            .iter()
            .copied()
            .flat_map(|calls| {
                count(&command, calls, |counted| {
                    assert!(self.server.serves(counted));
                    said(&mut self.compact());
                    self.server.kill();
                })
            })
            .collect();
        println!("{last:?}");
        let places = places(&last, &mut dice);
        let keys: Vec<Provider> = (FIRST..).take(places.len() + 1).map(Provider::Key).collect();
        for (change, place) in keys.windows(2).zip(&places) {
            self.change(change[0], change[1], *place, &mut dice);
        }
        let (last_key, place) = (keys[keys.len() - 1], places[0]);
        self.change(last_key, Provider::Identity, place, &mut dice);
        self.change(Provider::Identity, keys[0], place, &mut dice);
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
    let first = format!("\"providers\": [{},", Provider::Key(FIRST).entry());
    std::fs::write(&file, own.replacen("\"providers\": [", &first, 1)).unwrap();
    server.start_again();
    let mut subject = Subject { server, file, etcd: None };
    subject.write_anew();
    subject.rotations(&[FILE_CALLS]);
}

/// A server with its configuration in a file that is given to it, and whole.
fn given(flags: &[&str], etcd: Option<Etcd>) -> Subject {
    let mut server = ApiServer::not_started(&[]);
    let file = server.folder().join("given.yaml");
    configure(&file, &[Provider::Key(FIRST)]);
    server.set_flags(&[flags, &["--encryption-provider-config", file.to_str().unwrap()]].concat());
    server.start_again();
    fill(&server);
    server.kill();
    Subject { server, file, etcd }
}

#[test]
fn the_key_of_a_given_configuration_is_changed() {
    given(&[], None).rotations(&[FILE_CALLS]);
}

#[test]
fn the_key_is_changed_on_etcd() {
    let etcd = Etcd::start();
    let endpoint = etcd.endpoint();
    given(&["--datastore-endpoint", &endpoint], Some(etcd)).rotations(&[FILE_CALLS, moves::TELLS]);
}

/// Of a store of its own nothing is served: its log cannot be read past what cannot be decrypted. On etcd, as upstream
/// does, what cannot be read is told to whoever asks for it.
#[test]
fn a_key_that_is_missing_is_named() {
    let missing = "it is encrypted with aescbc key \"key100\", which is not configured";
    let mut local = given(&[], None);
    configure(&local.file, &[Provider::Key(FIRST + 1)]);
    let told = local.server.gives_up();
    assert!(told.contains("/registry/secrets/") && told.contains(missing), "{told}");
    configure(&local.file, &[Provider::Key(FIRST)]);
    local.server.start_again();
    is_whole(&local.server);

    let etcd = Etcd::start();
    let endpoint = etcd.endpoint();
    let mut away = given(&["--datastore-endpoint", &endpoint], Some(etcd));
    configure(&away.file, &[Provider::Key(FIRST + 1), Provider::Identity]);
    away.server.start_again();
    let kubectl = away.server.kubectl();
    let of = |name: &str| {
        format!("unable to transform key \"/registry/secrets/default/{name}\": no matching key was found: {missing}")
    };
    let refused = kubectl.fails("get secret s-7");
    assert!(refused.contains("InternalError") && refused.contains(&of("s-7")), "{refused}");
    for list in ["get secrets", "get secrets -l a=b"] {
        assert!(kubectl.fails(list).contains(&of("s-0")), "{list}");
    }
    // Nobody else suffers.
    kubectl.ok("get configmaps");
    kubectl.ok("create secret generic new --from-literal=word=fresh");
    assert_eq!(kubectl.value("secret/new", "{.data.word}"), STANDARD.encode("fresh"));
    assert!(kubectl.fails("delete secret s-7").contains(&of("s-7")));
    // What is not known is neither written over nor saved.
    let refused = super::refused(&mut away.compact());
    assert!(refused.contains(&of("s-0")) && refused.contains("39 more such values"), "{refused}");
    let saved = away.server.folder().join("saved");
    let refused = super::refused(&mut store(&away.server.data_dir(), &["snapshot", "save", saved.to_str().unwrap()]));
    assert!(refused.contains(&of("s-0")), "{refused}");
    assert!(!saved.exists());
    kubectl.ok("delete secret new");
    away.lies_as(Provider::Key(FIRST));
    away.server.kill();
    configure(&away.file, &[Provider::Key(FIRST)]);
    away.server.start_again();
    is_whole(&away.server);
    away.lies_as(Provider::Key(FIRST));
}
