//! Makes databases members of a set: gives each a key, and each tier a primary file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::discover::{is_same_file, name};
use super::member::Member;
use crate::migration::Error;
use crate::upgrade::definition::Definition;

/// A database whose tier and shape are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classified {
    /// Where it is.
    pub path: PathBuf,
    /// The name of its tier.
    pub tier: String,
    /// The name of its shape.
    pub shape: String,
}

/// Returns the members in the order of their tiers and paths.
///
/// The primary file of a tier is the one that `primaries` names, by its name in `directory` or by a path; else the
/// first.
pub fn assemble(
    mut found: Vec<Classified>,
    definition: &Definition,
    directory: &Path,
    primaries: &[PathBuf],
) -> Result<Vec<Member>, Error> {
    let position = |tier: &str| definition.tiers.iter().position(|known| known.name == tier);
    found.sort_by(|a, b| (position(&a.tier), &a.path).cmp(&(position(&b.tier), &b.path)));
    let directory = directory.canonicalize().unwrap_or_else(|_| directory.to_path_buf());
    let named = primary_paths(&found, &directory, primaries)?;
    let (mut keys, mut tiers_with_primary) = (BTreeSet::new(), BTreeSet::new());
    tiers_with_primary.extend(found.iter().filter(|one| named.contains(&one.path)).map(|one| one.tier.clone()));
    let members = found.into_iter().map(|one| {
        let is_primary = named.contains(&one.path) || tiers_with_primary.insert(one.tier.clone());
        Member { key: key(&one, &mut keys), path: one.path, tier: one.tier, shape: one.shape, is_primary }
    });
    Ok(members.collect())
}

fn primary_paths(found: &[Classified], directory: &Path, primaries: &[PathBuf]) -> Result<BTreeSet<PathBuf>, Error> {
    let refuse = |primary: &Path, what: &str| Error::Usage {
        what: format!("{}: plan: --primary {what}", primary.display()),
        next: "name one file of the set for each tier, as its name or its path".into(),
    };
    let (mut paths, mut tiers) = (BTreeSet::new(), BTreeSet::new());
    for primary in primaries {
        let meant = found.iter().find(|one| is_same_file(primary, directory, &one.path));
        let meant = meant.ok_or_else(|| refuse(primary, "names a file that is not in the set"))?;
        if paths.insert(meant.path.clone()) && !tiers.insert(&meant.tier) {
            return Err(refuse(primary, &format!("is given twice for {}", meant.tier)));
        }
    }
    Ok(paths)
}

/// The name of the file, with the tier and a number before it if several have it.
fn key(one: &Classified, keys: &mut BTreeSet<String>) -> String {
    let name = name(&one.path);
    let more = (2..).map(|number| format!("{}-{number}-{name}", one.tier));
    let candidates = [name.clone(), format!("{}-{name}", one.tier)].into_iter().chain(more);
    let key = candidates.into_iter().find(|key| !keys.contains(key)).expect("numbers do not end");
    keys.insert(key.clone());
    key
}

#[cfg(test)]
mod tests {
    use super::super::test_definition::definition;
    use super::*;

    fn found(path: &str, tier: &str) -> Classified {
        Classified { path: path.into(), tier: tier.into(), shape: "A".into() }
    }

    fn members(primaries: &[&str]) -> Result<Vec<Member>, Error> {
        let all =
            vec![found("/s/b.db", "two"), found("/s/b.db", "one"), found("/s/a.db", "one"), found("/t/b.db", "two")];
        let primaries: Vec<_> = primaries.iter().map(PathBuf::from).collect();
        assemble(all, &definition(), Path::new("/s"), &primaries)
    }

    #[test]
    fn the_first_file_of_a_tier_is_primary_unless_another_is_named() {
        let primary = |primaries: &[&str]| {
            let members = members(primaries).unwrap();
            members.into_iter().filter(|one| one.is_primary).map(|one| (one.tier, one.path)).collect::<Vec<_>>()
        };
        let expected =
            |one: &str, two: &str| vec![("one".into(), PathBuf::from(one)), ("two".into(), PathBuf::from(two))];
        assert_eq!(primary(&[]), expected("/s/a.db", "/s/b.db"));
        assert_eq!(primary(&["/t/b.db"]), expected("/s/a.db", "/t/b.db"));
        assert_eq!(primary(&["a.db", "/s/a.db"]), expected("/s/a.db", "/s/b.db"));
    }

    #[test]
    fn a_primary_that_does_not_fit_is_refused() {
        for (given, says) in [(&["c.db"][..], "not in the set"), (&["a.db", "b.db"], "is given twice for one")] {
            let error = members(given).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
    }

    #[test]
    fn keys_are_unique() {
        let keys: Vec<_> = members(&[]).unwrap().into_iter().map(|one| one.key).collect();
        assert_eq!(keys, ["a.db", "b.db", "two-b.db", "two-2-b.db"]);
    }
}
