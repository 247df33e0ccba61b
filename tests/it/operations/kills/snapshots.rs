//! `knarr store snapshot save` and `restore`, and the server that is asked for a snapshot.

use testkit::killed_at;

use super::*;

#[test]
fn a_snapshot_is_whole_or_not_there() {
    let mut server = cluster();
    server.start_again();
    let (data, mut dice) = (server.data_dir(), dice());
    let file = server.folder().join("saved");
    let save = store(&data, &["snapshot", "save", file.to_str().unwrap()]);
    let last = count_of(&save, FILE_CALLS);
    println!("{last:?}");
    std::fs::remove_file(&file).unwrap();
    let check = || said(&mut store(&data, &["check", file.to_str().unwrap()]));
    for (call, nth) in places(&last, &mut dice) {
        assert!(killed_at(&save, call, nth), "{call} {nth} was not reached");
        if file.exists() {
            check();
            std::fs::remove_file(&file).unwrap();
        }
        said(&mut store(&data, &["snapshot", "save", file.to_str().unwrap()]));
        check();
        std::fs::remove_file(&file).unwrap();
    }
}

#[test]
fn a_restored_store_is_whole_or_not_there() {
    let mut server = cluster();
    let (data, mut dice) = (server.data_dir(), dice());
    let file = server.folder().join("saved");
    said(&mut store(&data, &["snapshot", "save", file.to_str().unwrap()]));
    let lost = server.folder().join("lost");
    std::fs::rename(data.join("store"), &lost).unwrap();
    let restore = || store(&data, &["snapshot", "restore", file.to_str().unwrap()]);
    let last = count_of(&restore(), FILE_CALLS);
    println!("{last:?}");
    for (call, nth) in places(&last, &mut dice) {
        std::fs::remove_dir_all(data.join("store")).ok();
        assert!(killed_at(&restore(), call, nth), "{call} {nth} was not reached");
        if data.join("store").exists() {
            let line = refused(&mut restore());
            assert!(line.contains("overwrites nothing"), "{line}");
        } else {
            said(&mut restore());
        }
        let checked = said(&mut store(&data, &["check"]));
        assert!(checked.contains("the store is whole") && !checked.contains("unfinished"), "{checked}");
    }
    server.start_again();
    is_whole(&server);
}
