//! The arguments of the campaign.

use std::path::PathBuf;
use std::time::Duration;

pub struct Options {
    /// The binary that is tried.
    pub haul: PathBuf,
    /// Everything that the campaign makes lies below this directory, except for its results.
    pub directory: PathBuf,
    /// JSON lines, one a trial. A later campaign appends to them, and its numbers add up.
    pub results: PathBuf,
    pub duration: Duration,
    pub seed: u64,
    /// Only these parts; empty: all.
    pub parts: Vec<String>,
    /// Only scenes of these nouns; empty: all.
    pub nouns: Vec<String>,
    pub is_table_only: bool,
}

impl Options {
    pub fn from_arguments() -> Result<Self, String> {
        let mut options = Self {
            haul: PathBuf::new(),
            directory: PathBuf::new(),
            results: PathBuf::new(),
            duration: Duration::from_secs(60),
            seed: 0,
            parts: Vec::new(),
            nouns: Vec::new(),
            is_table_only: false,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            if name == "--table" {
                options.is_table_only = true;
                continue;
            }
            let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
            let number = || value.parse::<u64>().map_err(|_| format!("{name} needs a number, not {value}"));
            match name.as_str() {
                "--bin" => options.haul = std::path::absolute(&value).map_err(|e| format!("{value}: {e}"))?,
                "--dir" => options.directory = std::path::absolute(&value).map_err(|e| format!("{value}: {e}"))?,
                "--results" => options.results = value.into(),
                "--seconds" => options.duration = Duration::from_secs(number()?),
                "--seed" => options.seed = number()?,
                "--part" => options.parts.push(value),
                "--noun" => options.nouns.push(value),
                _ => return Err(format!("there is no option {name}")),
            }
        }
        Ok(options)
    }

    pub fn takes(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|wanted| wanted == part)
    }

    pub fn takes_noun(&self, noun: &str) -> bool {
        self.nouns.is_empty() || self.nouns.iter().any(|wanted| wanted == noun)
    }
}
