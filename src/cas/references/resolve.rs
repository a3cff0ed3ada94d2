//! Looks up in a map what a reference is replaced by.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use super::scan::Scheme;
use crate::cas::format::key::{Algorithm, Key};
use crate::cas::map::{KeyMap, MapRow};
use crate::migration::{Error, shell_word};

/// Most answers that are kept. Beyond that, all are dropped and looked up again.
const ANSWERS_KEPT_MAX: usize = 64 << 10;

/// The direction in which references are rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From old keys to new ones.
    Forward,
    /// From new keys to old ones.
    Reverse,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Forward => "forward",
            Self::Reverse => "reverse",
        })
    }
}

/// What happens to a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// It is replaced.
    Replace {
        /// The new scheme before the key.
        scheme: Option<Scheme>,
        /// The new key.
        key: Key,
    },
    /// It has a key of the new side already.
    Current,
    /// It is in no row.
    Unknown,
    /// Its rows lead to different keys.
    Ambiguous,
}

/// Looks up references in a map and keeps a bounded number of answers.
pub struct Resolver<'a> {
    map: &'a KeyMap,
    direction: Direction,
    algorithm: Option<Algorithm>,
    answers: HashMap<(Option<Scheme>, Key), Resolution>,
}

impl<'a> Resolver<'a> {
    /// Creates a resolver by `map` in `direction`. If rows of several algorithms lead to different keys, those of
    /// `algorithm` decide.
    ///
    /// # Errors
    /// [`Error::Usage`] if the map has no reverse file: every new key would then cost a pass over the whole map.
    pub fn new(map: &'a KeyMap, direction: Direction, algorithm: Option<Algorithm>) -> Result<Self, Error> {
        if !map.has_reverse() {
            return Err(Error::Usage {
                what: format!("{} has no reverse file that fits", map.path().display()),
                next: format!("make one: haul cas map index --map {}", shell_word(map.path())),
            });
        }
        Ok(Self { map, direction, algorithm, answers: HashMap::new() })
    }

    /// Returns what happens to a reference with this scheme and key.
    pub fn resolve(&mut self, scheme: Option<Scheme>, key: Key) -> Result<Resolution, Error> {
        if let Some(known) = self.answers.get(&(scheme, key)) {
            return Ok(*known);
        }
        let answer = match self.direction {
            Direction::Forward => self.forward(scheme, key)?,
            Direction::Reverse => self.reverse(scheme, key)?,
        };
        if self.answers.len() >= ANSWERS_KEPT_MAX {
            self.answers.clear();
        }
        self.answers.insert((scheme, key), answer);
        Ok(answer)
    }

    fn forward(&self, scheme: Option<Scheme>, key: Key) -> Result<Resolution, Error> {
        let mut rows = self.map.find_old(key)?;
        if let Some(Scheme::Digest(algorithm)) = scheme {
            rows.retain(|row| row.old_algorithm == algorithm);
        }
        let Some(targets) = self.targets(&rows, |row| row.new_key) else {
            let is_new = can_be_new(scheme) && !self.map.find_new(key)?.is_empty();
            return Ok(if is_new { Resolution::Current } else { Resolution::Unknown });
        };
        let new_scheme = match scheme {
            Some(Scheme::Digest(_)) => Some(Scheme::Digest(Algorithm::Blake3)),
            other => other,
        };
        Ok(settle((scheme, key), targets.map(|new_key| (new_scheme, new_key))))
    }

    fn reverse(&self, scheme: Option<Scheme>, key: Key) -> Result<Resolution, Error> {
        let rows = if can_be_new(scheme) { self.map.find_new(key)? } else { Vec::new() };
        let Some(targets) = self.targets(&rows, |row| (row.old_algorithm, row.old_key)) else {
            let is_old = |row: &MapRow| match scheme {
                Some(Scheme::Digest(algorithm)) => row.old_algorithm == algorithm,
                _ => true,
            };
            let is_old = self.map.find_old(key)?.iter().any(is_old);
            return Ok(if is_old { Resolution::Current } else { Resolution::Unknown });
        };
        let old_scheme = |algorithm| match (scheme, algorithm) {
            // A `cas` key is a BLAKE3 digest as well.
            (Some(Scheme::Digest(_)), Algorithm::Cas) => scheme,
            (Some(Scheme::Digest(_)), algorithm) => Some(Scheme::Digest(algorithm)),
            _ => scheme,
        };
        Ok(settle((scheme, key), targets.map(|(algorithm, old_key)| (old_scheme(algorithm), old_key))))
    }

    /// Returns the one target of the rows; `Err` if there are several, `None` if there are no rows.
    fn targets<T: Ord + Copy>(&self, rows: &[MapRow], target: impl Fn(&MapRow) -> T) -> Option<Result<T, Several>> {
        let all: BTreeSet<T> = rows.iter().map(&target).collect();
        let of_algorithm = || {
            let rows = rows.iter().filter(|row| Some(row.old_algorithm) == self.algorithm);
            rows.map(&target).collect::<BTreeSet<T>>()
        };
        let only = |targets: &BTreeSet<T>| targets.first().copied().filter(|_| targets.len() == 1);
        let first = all.first()?;
        Some(if all.len() == 1 { Ok(*first) } else { only(&of_algorithm()).ok_or(Several) })
    }
}

/// There is more than one target.
struct Several;

/// Returns what happens to a reference whose rows lead to `target`.
fn settle((scheme, key): (Option<Scheme>, Key), target: Result<(Option<Scheme>, Key), Several>) -> Resolution {
    match target {
        Ok(same) if same == (scheme, key) => Resolution::Current,
        Ok((scheme, key)) => Resolution::Replace { scheme, key },
        Err(Several) => Resolution::Ambiguous,
    }
}

/// New keys are BLAKE3 digests, so none follows the scheme of another algorithm.
fn can_be_new(scheme: Option<Scheme>) -> bool {
    matches!(scheme, None | Some(Scheme::Store | Scheme::Digest(Algorithm::Blake3)))
}
