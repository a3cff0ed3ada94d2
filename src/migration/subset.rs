//! A share of the records of a store, for a verification that is spread over machines or nights.

use std::fmt;
use std::str::FromStr;

/// A share: the records whose number leaves `part - 1` when divided by `of`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, bincode::Encode, bincode::Decode, serde::Serialize)]
pub struct Subset {
    /// Which share, from 1.
    pub part: u64,
    /// Of how many.
    pub of: u64,
}

impl Subset {
    /// Everything.
    pub const ALL: Self = Self { part: 1, of: 1 };

    /// True if the record of that number belongs to the share.
    pub fn covers(&self, number: u64) -> bool {
        number % self.of == self.part - 1
    }
}

impl fmt::Display for Subset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.part, self.of)
    }
}

impl FromStr for Subset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (part, of) = text.split_once('/')?;
            Some(Self { part: part.parse().ok()?, of: of.parse().ok()? })
        };
        parse()
            .filter(|subset| (1..=subset.of).contains(&subset.part))
            .ok_or_else(|| "expected n/t with 1 ≤ n ≤ t, as in 3/10".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_from_their_text() {
        let share: Subset = "3/10".parse().unwrap();
        assert_eq!((share, share.to_string()), (Subset { part: 3, of: 10 }, "3/10".to_owned()));
        for bad in ["0/1", "2/1", "1/0", "1", "a/b", "-1/2", ""] {
            assert!(bad.parse::<Subset>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn every_number_is_in_one_share() {
        for number in 0..20 {
            let covering = (1..=7).filter(|&part| Subset { part, of: 7 }.covers(number));
            assert_eq!(covering.count(), 1);
            assert!(Subset::ALL.covers(number));
        }
    }
}
