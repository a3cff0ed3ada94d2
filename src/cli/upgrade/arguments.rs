//! Arguments that the commands of an upgrade share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::Args;

use crate::cli::arguments::{check_exists, check_file};
use crate::durable::{RealDisk, parent_of, read_file};
use crate::migration::Error;
use crate::upgrade::definition::{Definition, UPGRADE_FILE};
use crate::upgrade::hooks::{Hook, Hooks};
use crate::upgrade::layout::Layout;
use crate::upgrade::plan::Mode;
use crate::upgrade::values::AssumedZone;

/// The upgrade that is taken if none is named.
const DEFAULT_UPGRADE: &str = "cortex-2.0";
/// The upgrade that `--unify` takes.
const UNIFY: &str = "cortex-unify";
const INPUT_BYTES_MAX: u64 = 64 << 20;

/// A database that is named by its tier: `TIER=PATH`, or a path alone.
#[derive(Debug, Clone)]
pub struct NamedDatabase {
    /// The tier; it is found out otherwise.
    pub tier: Option<String>,
    /// The file.
    pub path: PathBuf,
}

impl FromStr for NamedDatabase {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((tier, path)) if !tier.is_empty() && !tier.contains('/') => {
                Ok(Self { tier: Some(tier.to_owned()), path: path.into() })
            }
            _ if text.is_empty() => Err("write TIER=PATH".into()),
            _ => Ok(Self { tier: None, path: text.into() }),
        }
    }
}

/// A pair `NAME=VALUE`.
#[derive(Debug, Clone)]
pub struct Pair(String, String);

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
        Ok(Self(name.to_owned(), value.to_owned()))
    }
}

/// Which databases are upgraded, and how.
#[derive(Args, Clone)]
pub struct SetArgs {
    /// The directory of the databases: all its *.db files are the set
    #[arg(value_name = "DIR", required_unless_present = "databases")]
    directory: Option<PathBuf>,
    /// A database and its tier; repeat it for each. Without DIR, the state lies next to the first
    #[arg(long = "db", value_name = "TIER=PATH")]
    databases: Vec<NamedDatabase>,
    /// The file that gets the new tables, where several are of one tier; otherwise it is the first
    #[arg(long, value_name = "FILE")]
    primary: Vec<PathBuf>,
    /// A file of the directory that is not part of the set
    #[arg(long, value_name = "FILE")]
    exclude: Vec<PathBuf>,
    /// The upgrade: a directory with upgrade.toml, or the name of one that haul has; otherwise the upgrade.toml in DIR or,
    /// without one, cortex-2.0
    #[arg(long, value_name = "UPGRADE")]
    upgrade: Option<PathBuf>,
    /// Bring databases of 2.0 into one layout, with sound keys and full-text indexes; the same as --upgrade cortex-unify
    #[arg(long, conflicts_with = "upgrade")]
    unify: bool,
}

impl SetArgs {
    /// Returns the directory of the set.
    pub fn directory(&self) -> Result<PathBuf, Error> {
        let directory = match (&self.directory, self.databases.first()) {
            (Some(directory), _) => directory.clone(),
            (None, Some(first)) => parent_of(&first.path).to_path_buf(),
            (None, None) => unreachable!("the parser asks for one of the two"),
        };
        check_exists(&directory, "name the directory of the databases")?;
        if !directory.is_dir() {
            return Err(Error::Usage {
                what: format!("{} is not a directory", directory.display()),
                next: "name the directory of the databases, or each file with --db TIER=PATH".into(),
            });
        }
        Ok(directory)
    }

    /// Returns where the state of the upgrade lies.
    pub fn layout(&self) -> Result<Layout, Error> {
        Ok(Layout::of(&self.directory()?))
    }

    /// Returns the databases that are named, with their tiers.
    pub fn files(&self) -> Vec<(Option<String>, PathBuf)> {
        self.databases.iter().map(|named| (named.tier.clone(), named.path.clone())).collect()
    }

    /// Returns the files that get the new tables.
    pub fn primaries(&self) -> Result<Vec<PathBuf>, Error> {
        self.below(&self.primary)
    }

    /// Returns the files that are left out.
    pub fn excluded(&self) -> Result<Vec<PathBuf>, Error> {
        self.below(&self.exclude)
    }

    /// Returns paths, of which a bare name means a file in the directory.
    fn below(&self, paths: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
        let directory = self.directory()?;
        let place =
            |path: &PathBuf| if path.parent() == Some(Path::new("")) { directory.join(path) } else { path.clone() };
        let found: Vec<_> = paths.iter().map(place).collect();
        found.iter().try_for_each(|path| check_exists(path, "name a file of the directory"))?;
        Ok(found)
    }

    /// Returns the upgrade.
    pub fn definition(&self) -> Result<Definition, Error> {
        let own = self.directory()?;
        match &self.upgrade {
            None if self.unify => Definition::built_in(UNIFY),
            None if own.join(UPGRADE_FILE).exists() => Definition::load(&own),
            None => Definition::built_in(DEFAULT_UPGRADE),
            Some(named) if named.is_dir() => Definition::load(named),
            Some(named) => Definition::built_in(&named.to_string_lossy()),
        }
    }
}

/// What decides the result of an upgrade. Every phase needs the same.
#[derive(Args, Clone)]
pub struct RulesArgs {
    /// Work on the live files; the backup is the only way back
    #[arg(long)]
    in_place: bool,
    /// The time zone of instants that name none: UTC, +02:00, America/New_York
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = zone)]
    assume_tz: AssumedZone,
    /// A JSON list of the plugins of the application; the same as --input plugins=FILE
    #[arg(long, value_name = "FILE")]
    plugins: Option<PathBuf>,
    /// A JSON list that the upgrade asks for
    #[arg(long, value_name = "NAME=FILE")]
    input: Vec<Pair>,
    /// A number of the upgrade that is set to another value
    #[arg(long, value_name = "NAME=NUMBER")]
    set: Vec<Pair>,
    /// The release or commit of the application; otherwise the commit of its directory, if it has one
    #[arg(long, value_name = "TEXT")]
    release_id: Option<String>,
}

fn zone(text: &str) -> Result<AssumedZone, String> {
    AssumedZone::parse(text).map_err(|error| error.to_string())
}

impl RulesArgs {
    /// Returns where phases 2 to 4 work.
    pub fn mode(&self) -> Mode {
        if self.in_place { Mode::InPlace } else { Mode::Staged }
    }

    /// Returns the zone of instants that name none.
    pub fn zone(&self) -> AssumedZone {
        self.assume_tz.clone()
    }

    /// Returns the release or commit of the application.
    pub fn release_id(&self, directory: &Path) -> Option<String> {
        self.release_id.clone().or_else(|| commit_of(directory))
    }

    /// Reads the JSON lists.
    pub fn inputs(&self, definition: &Definition) -> Result<BTreeMap<String, String>, Error> {
        let plugins = self.plugins.iter().map(|path| ("plugins".to_owned(), path.clone()));
        let named = self.input.iter().map(|Pair(name, path)| (name.clone(), PathBuf::from(path)));
        let mut inputs = BTreeMap::new();
        for (name, path) in plugins.chain(named) {
            let Some(input) = definition.inputs.iter().find(|input| input.name == name) else {
                return Err(unknown("input", &name, definition.inputs.iter().map(|input| &input.name)));
            };
            check_file(&path, "name the file of the list")?;
            let bytes = read_file(&RealDisk, &path, INPUT_BYTES_MAX)?;
            let text = String::from_utf8(bytes).map_err(|_| not_text(&path))?;
            // What is unusual and accepted stands in the plan.
            input.check(&path.display().to_string(), &text)?;
            inputs.insert(name, text);
        }
        Ok(inputs)
    }

    /// Returns the numbers of the upgrade, some with another value.
    pub fn settings(&self, definition: &Definition) -> Result<BTreeMap<String, f64>, Error> {
        let mut settings = definition.settings.clone();
        for Pair(name, value) in &self.set {
            let Some(setting) = settings.get_mut(name) else {
                return Err(unknown("setting", name, definition.settings.keys()));
            };
            *setting = value.parse().ok().filter(|number: &f64| number.is_finite()).ok_or_else(|| Error::Usage {
                what: format!("--set {name}={value}: the value is not a number"),
                next: format!("write --set {name}=NUMBER"),
            })?;
        }
        Ok(settings)
    }
}

fn not_text(path: &Path) -> Error {
    Error::Usage { what: format!("{} is not UTF-8 text", path.display()), next: "name a JSON file".into() }
}

fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a String>) -> Error {
    let known: Vec<_> = known.map(String::as_str).collect();
    let next = if known.is_empty() { "leave it out".to_owned() } else { format!("use one of {}", known.join(", ")) };
    Error::Usage { what: format!("this upgrade has no {what} {name}"), next }
}

/// Returns the commit that is checked out in a directory, if Git knows one.
fn commit_of(directory: &Path) -> Option<String> {
    let mut git = std::process::Command::new("git");
    let output = git.arg("-C").arg(directory).args(["rev-parse", "--verify", "--quiet", "HEAD"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}

/// Commands that run at certain moments.
#[derive(Args, Clone)]
pub struct HookArgs {
    /// A command for a moment: freeze, drain, thaw, test, denied or rolled-back
    #[arg(long = "hook", value_name = "TIME=COMMAND")]
    hooks: Vec<Hook>,
    /// How long the command of `drain` may fail before the phase ends
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    drain_timeout: u64,
}

impl HookArgs {
    /// Returns the commands.
    pub fn hooks(&self, directory: &Path) -> Hooks {
        let timeout = Duration::from_secs(self.drain_timeout);
        Hooks::new(self.hooks.clone(), &directory.display().to_string(), timeout)
    }
}
