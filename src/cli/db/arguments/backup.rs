//! Whether to copy the database first.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::db::backup::{BackupMode, BackupPolicy};

/// Whether to copy the database first.
#[derive(Args)]
#[command(next_help_heading = "Backup")]
pub struct BackupArgs {
    /// When to make a copy first: auto before data is destroyed, required before any change, or never
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = BackupWhen::Auto, hide_possible_values = true)]
    backup: BackupWhen,
    /// Where to put it [default: next to a SQLite database, the working directory for PostgreSQL]
    #[arg(long, value_name = "DIR")]
    backup_dir: Option<PathBuf>,
    /// After a success, keep only the newest N that haul has made [default: all]
    #[arg(long, value_name = "N")]
    keep: Option<usize>,
}

/// When to make a copy.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq)]
enum BackupWhen {
    Required,
    Auto,
    Never,
}

impl BackupArgs {
    /// Returns what a run does.
    pub fn policy(&self) -> BackupPolicy {
        let mode = match self.backup {
            BackupWhen::Required => BackupMode::Required,
            BackupWhen::Auto => BackupMode::Auto,
            BackupWhen::Never => BackupMode::Never,
        };
        BackupPolicy { mode, directory: self.backup_dir.clone(), keep: self.keep }
    }

    /// Returns what to say about the backup before data is destroyed.
    pub fn consent_text(&self) -> &'static str {
        if self.policy().is_due(true) { "a backup is made first" } else { "no backup is made" }
    }
}
