//! What to do where the log of a space is damaged, ambiguous or lossy (docs/source-engram.md, "Damage and policies").

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! policy {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, bincode::Encode, bincode::Decode)]
        #[serde(rename_all = "lowercase")]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// Every value, the default first.
            pub const ALL: &'static [&'static str] = &[$($text),+];
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $text),+ })
            }
        }

        impl FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(format!("expected one of {}", Self::ALL.join(", "))),
                }
            }
        }
    };
}

policy! {
    /// Bad header, payload that fails its checksum, trailing bytes that are no torn record.
    Corruption {
        /// Report everything, publish nothing.
        #[default]
        Fail = "fail",
        /// Leave the record or the rest of the file out.
        Skip = "skip",
        /// Search forward for the next record.
        Resync = "resync",
    }
}
policy! {
    /// A record cut by the end of its file, or a tail of zeros.
    TornTail {
        /// Keep what is complete, report the tail.
        #[default]
        Accept = "accept",
        /// Publish nothing.
        Fail = "fail",
    }
}
policy! {
    /// The checksum is right but the payload does not decode.
    Undecodable {
        /// Publish nothing.
        #[default]
        Fail = "fail",
        /// Leave the record out.
        Skip = "skip",
    }
}
policy! {
    /// Decodes, but a value is outside Engram's range.
    OutOfRange {
        /// Publish nothing.
        #[default]
        Fail = "fail",
        /// Leave the record out, as Engram does.
        Skip = "skip",
        /// Migrate the exact bits.
        Keep = "keep",
    }
}
policy! {
    /// Several stores of one id (docs/source-engram.md, "Replay order and duplicates").
    Duplicates {
        /// The first live store in canonical order wins: what Engram shows after a restart.
        #[default]
        Engram = "engram",
        /// The last store in order of writing wins.
        Latest = "latest",
        /// A store of a live id is a finding.
        Fail = "fail",
    }
}
policy! {
    /// Deletions (type 3).
    Deletes {
        /// A deletion removes its id.
        #[default]
        Apply = "apply",
        /// Deletions have no effect.
        Ignore = "ignore",
    }
}
policy! {
    /// Memory records (type 2).
    Updates {
        /// Count and report them.
        #[default]
        Report = "report",
        /// Import each whose id is not live after the replay.
        Import = "import",
    }
}
policy! {
    /// Different id strings with one node id (docs/source-engram.md, "Node ids").
    Collisions {
        /// Publish nothing.
        #[default]
        Fail = "fail",
        /// The first keeps the id, further ones get the version 5 UUID of their own bytes.
        Rekey = "rekey",
    }
}

/// All policies of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, bincode::Encode, bincode::Decode)]
#[serde(rename_all = "kebab-case")]
pub struct Policies {
    /// Damaged bytes.
    pub corruption: Corruption,
    /// Cut records and zero-filled tails.
    pub torn_tail: TornTail,
    /// Payloads that do not decode.
    pub undecodable: Undecodable,
    /// Values that Engram refuses.
    pub out_of_range: OutOfRange,
    /// Several stores of one id.
    pub duplicates: Duplicates,
    /// Deletions.
    pub deletes: Deletes,
    /// Memory records.
    pub updates: Updates,
    /// Node ids claimed twice.
    pub collisions: Collisions,
}

impl fmt::Display for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "corruption={} torn-tail={} undecodable={} out-of-range={} duplicates={} deletes={} updates={} collisions={}",
            self.corruption,
            self.torn_tail,
            self.undecodable,
            self.out_of_range,
            self.duplicates,
            self.deletes,
            self.updates,
            self.collisions
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back_and_defaults_come_first() {
        for name in Corruption::ALL {
            assert_eq!(name.parse::<Corruption>().unwrap().to_string(), *name);
        }
        assert_eq!(Corruption::default().to_string(), Corruption::ALL[0]);
        assert!("maybe".parse::<Collisions>().is_err());
        insta::assert_snapshot!(Policies::default(), @"corruption=fail torn-tail=accept undecodable=fail out-of-range=fail duplicates=engram deletes=apply updates=report collisions=fail");
    }
}
