//! The values of placeholders.

use clap::Args;

use crate::db::DbSettings;
use crate::db::script::Placeholders;
use crate::migration::Error;

/// The values of placeholders.
#[derive(Args)]
pub struct PlaceholderArgs {
    /// Value of the placeholder ${NAME} in the files; may be given more than once
    #[arg(long, value_name = "NAME=VALUE", value_parser = assignment)]
    set: Vec<(String, String)>,
}

impl PlaceholderArgs {
    /// Returns the values of placeholders: from the arguments, else the environment, else the settings. Without any of
    /// these there are no placeholders.
    pub fn values(&self, settings: &DbSettings) -> Result<Placeholders, Error> {
        if self.set.is_empty() && settings.placeholders.is_none() && settings.placeholders_env.is_none() {
            return Ok(Placeholders::default());
        }
        let mut values = settings.placeholders.clone().unwrap_or_default();
        for name in settings.placeholders_env.iter().flatten() {
            let Some(value) = std::env::var_os(name) else { continue };
            let value = value.into_string().map_err(|_| Error::Usage {
                what: format!("the variable {name} is not UTF-8"),
                next: "give it a text, or remove it from placeholders_env in haul.toml".into(),
            })?;
            values.insert(name.clone(), value);
        }
        values.extend(self.set.iter().cloned());
        Placeholders::new(values)
    }
}

/// Parses the value of a placeholder. An error does not quote it, because it may be a secret.
fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err("write NAME=VALUE".into()),
    }
}
