//! A path that is given by position or by an option, as users of other tools write it.

use std::marker::PhantomData;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, value_parser};

/// What a path is the place of.
pub trait PlaceKind {
    /// Its name in the usage.
    const VALUE_NAME: &'static str;
    /// The option that may give it instead.
    const OPTION: &'static str;
    /// What it is.
    const HELP: &'static str;
}

/// The one path of a command.
pub struct Place<K> {
    path: PathBuf,
    kind: PhantomData<K>,
}

impl<K> Deref for Place<K> {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

impl<K: PlaceKind> FromArgMatches for Place<K> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |id| matches.get_one::<PathBuf>(id).cloned();
        let path = given(K::OPTION).or_else(|| given(K::VALUE_NAME)).expect("one of them is required");
        Ok(Self { path, kind: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl<K: PlaceKind> Args for Place<K> {
    fn augment_args(command: Command) -> Command {
        let arg = |id| Arg::new(id).value_name(K::VALUE_NAME).value_parser(value_parser!(PathBuf));
        let by_position = arg(K::VALUE_NAME).help(K::HELP).required_unless_present(K::OPTION);
        let by_option = arg(K::OPTION).long(K::OPTION).help(format!("The same as {}", K::VALUE_NAME));
        command.arg(by_position).arg(by_option.conflicts_with(K::VALUE_NAME))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Somewhere;

    impl PlaceKind for Somewhere {
        const VALUE_NAME: &'static str = "PLACE";
        const OPTION: &'static str = "place";
        const HELP: &'static str = "Where it is";
    }

    #[test]
    fn a_place_is_given_in_one_way() {
        let parse = |words: &[&str]| {
            let matches = Place::<Somewhere>::augment_args(Command::new("verb")).try_get_matches_from(words)?;
            Place::<Somewhere>::from_arg_matches(&matches).map(|place| place.to_path_buf())
        };
        for words in [&["verb", "a b"][..], &["verb", "--place", "a b"], &["verb", "--place=a b"]] {
            assert_eq!(parse(words).unwrap(), Path::new("a b"), "{words:?}");
        }
        for words in [&["verb"][..], &["verb", "a", "b"], &["verb", "a", "--place", "a"]] {
            assert!(parse(words).is_err(), "{words:?}");
        }
    }
}
