//! What a manifest is besides its bytes survives a migration and a rollback.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use crate::support::haul::Done;
use crate::support::manifest::{NOW, Root};
use crate::support::nobody::{Nobody, give_away};
use rustix::fs::{XattrFlags, fgetxattr, fsetxattr};

const ACCESS_LIST: &str = "system.posix_acl_access";

/// Owner rw, user 23456 r, group nothing, mask r, others nothing.
fn list() -> Vec<u8> {
    let entry =
        |tag: u16, bits: u16, id: u32| [&tag.to_le_bytes()[..], &bits.to_le_bytes(), &id.to_le_bytes()].concat();
    let none = u32::MAX;
    let entries =
        [entry(1, 6, none), entry(2, 4, 23_456), entry(4, 0, none), entry(0x10, 4, none), entry(0x20, 0, none)];
    [&2_u32.to_le_bytes()[..], &entries.concat()].concat()
}

fn attribute(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 1024];
    let len = fgetxattr(File::open(path).unwrap(), name, &mut value[..]).ok()?;
    value.truncate(len);
    Some(value)
}

/// The list, an attribute and the permission bits.
fn attributes(path: &Path) -> (Option<Vec<u8>>, Option<Vec<u8>>, u32) {
    let mode = fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    (attribute(path, ACCESS_LIST), attribute(path, "user.note"), mode)
}

#[test]
fn access_list_and_attributes_go_forward_and_back() {
    for arguments in [&[][..], &["--durability", "none"]] {
        let root = Root::new();
        let path = root.put("job", "run");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let file = File::open(&path).unwrap();
        fsetxattr(&file, ACCESS_LIST, &list(), XattrFlags::empty()).unwrap();
        fsetxattr(&file, "user.note", b"kept", XattrFlags::empty()).unwrap();
        let before = attributes(&path);
        assert_eq!(before, (Some(list()), Some(b"kept".to_vec()), 0o640));
        let done = root.migrate(arguments).expect(0).json();
        assert_eq!((attributes(&path), &done["findings"]), (before.clone(), &serde_json::json!([])));
        root.haul("rollback", &["--run", "last", "--yes"]).expect(0);
        assert_eq!(attributes(&path), before);
    }
}

/// The row of an index has the time of its manifest, so after a rollback it is that from before.
#[test]
fn a_rollback_brings_back_the_time_of_the_last_change() {
    for arguments in [&[][..], &["--break-links"]] {
        let root = Root::new();
        let path = root.put("job", "run");
        if !arguments.is_empty() {
            fs::hard_link(&path, root.path().join("second")).unwrap();
        }
        let before = std::time::UNIX_EPOCH + std::time::Duration::new(978_307_200, 123_456_789);
        File::options().write(true).open(&path).unwrap().set_modified(before).unwrap();
        root.migrate(arguments).expect(0);
        assert_ne!(fs::metadata(&path).unwrap().modified().unwrap(), before, "it has other bytes");
        root.haul("rollback", &["--run", "last", "--yes"]).expect(0);
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
    }
}

mod as_root {
    use super::*;

    #[test]
    #[ignore = "needs root"]
    fn an_owner_that_cannot_be_kept_is_named() {
        let root = Root::new();
        let path = root.put("job", "run");
        for directory in path.ancestors().skip(1).take(3) {
            fs::set_permissions(directory, fs::Permissions::from_mode(0o777)).unwrap();
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        chown(&path, Some(23_456), Some(23_456)).unwrap();
        let nobody = Nobody::at(root.path());
        give_away(root.path());
        let mut command = nobody.haul();
        command.args(["manifest", "migrate"]).arg(root.path()).args(["--now", NOW, "--json", "--progress", "none"]);
        let done = Done::of(command.output().unwrap()).expect(0).json();
        assert_eq!(done["findings"][0]["code"], "W_ATTRIBUTES");
        assert!(done["findings"][0]["reason"].as_str().unwrap().contains("owner 23456"), "{done}");
        assert_ne!(fs::metadata(&path).unwrap().uid(), 23_456);
    }
}
