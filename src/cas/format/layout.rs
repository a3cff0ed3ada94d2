//! The directories in which stores have their objects (docs/source-requiem.md, "Layouts").

use std::fmt;
use std::str::FromStr;

use super::key::Key;

/// Where a store has its objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// `objects/AB/CD/<64 hex>`: what every generation of the reference wrote.
    AbCd,
    /// `objects/AB/<62 hex>`: stores of the TypeScript side.
    AbRest,
    /// `objects/<64 hex>`: documented, never written.
    Flat,
    /// `<64 hex>`: the other reading of that document.
    BareRoot,
}

impl Layout {
    /// All layouts, in the order of their [`NAMES`](Self::NAMES).
    pub const ALL: [Self; 4] = [Self::AbCd, Self::AbRest, Self::Flat, Self::BareRoot];
    /// The names on the command line and in reports.
    pub const NAMES: [&'static str; 4] = ["ab-cd", "ab-rest", "flat", "bare-root"];

    /// Returns the directory of an object, relative to the root of the store, and its file name.
    pub fn place(self, key: Key) -> (String, String) {
        let text = key.to_string();
        match self {
            Self::AbCd => (format!("objects/{}/{}", &text[..2], &text[2..4]), text),
            Self::AbRest => (format!("objects/{}", &text[..2]), text[2..].to_owned()),
            Self::Flat => ("objects".to_owned(), text),
            Self::BareRoot => (String::new(), text),
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(Self::NAMES[*self as usize])
    }
}

impl FromStr for Layout {
    type Err = UnknownLayout;

    fn from_str(name: &str) -> Result<Self, UnknownLayout> {
        Self::ALL.into_iter().find(|layout| Self::NAMES[*layout as usize] == name).ok_or(UnknownLayout(name.into()))
    }
}

/// A text that is not the name of a [`Layout`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown layout '{0}', expected ab-cd, ab-rest, flat or bare-root")]
pub struct UnknownLayout(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_layout_has_a_place_for_a_key() {
        let places = Layout::ALL.map(|layout| {
            let (directory, name) = layout.place(Key([0xA7; 32]));
            (directory, name.len())
        });
        let expected = [("objects/a7/a7", 64), ("objects/a7", 62), ("objects", 64), ("", 64)];
        assert_eq!(places, expected.map(|(directory, len)| (directory.to_owned(), len)));
    }

    #[test]
    fn layouts_are_read_as_they_are_printed() {
        for layout in Layout::ALL {
            assert_eq!(layout.to_string().parse(), Ok(layout));
            assert_eq!(serde_json::to_value(layout).expect("plain data"), layout.to_string());
        }
        let error = "AB".parse::<Layout>().unwrap_err();
        assert_eq!(error.to_string(), "unknown layout 'AB', expected ab-cd, ab-rest, flat or bare-root");
    }
}
