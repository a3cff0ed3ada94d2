//! What of a definition concerns one database.

use super::model::Definition;
use super::queries::{Backfill, ShapeSql, View};
use super::scripts::{Group, Script};
use super::tiers::{Files, Shape, Tier};
use crate::upgrade::set::Member;

impl Definition {
    /// Returns the tier of a name.
    pub fn tier(&self, name: &str) -> Option<&Tier> {
        self.tiers.iter().find(|tier| tier.name == name)
    }

    /// Returns the shape of a name in a tier.
    pub fn shape(&self, tier: &str, name: &str) -> Option<&Shape> {
        self.tier(tier)?.shapes.iter().find(|shape| shape.name == name)
    }

    /// Returns the groups that concern a database, each with those of its scripts that do. A script for files with a
    /// certain table is among them: whether the file has it is for the caller to see.
    pub fn groups_of(&self, member: &Member) -> Vec<(&Group, Vec<&Script>)> {
        let of = |group: &'_ Group| -> Vec<usize> {
            let concern =
                |script: &Script| script.tiers.contains(&member.tier) && script.files.concern(member.is_primary);
            (0..group.parsed.len()).filter(|at| concern(&group.parsed[*at])).collect()
        };
        let groups = self.groups.iter().map(|group| (group, of(group)));
        let groups = groups.filter(|(_, scripts)| !scripts.is_empty());
        groups.map(|(group, at)| (group, at.into_iter().map(|at| &group.parsed[at]).collect())).collect()
    }

    /// Returns the backfills that concern a database.
    pub fn backfills_of(&self, member: &Member) -> Vec<&Backfill> {
        let concern = |backfill: &&Backfill| {
            backfill.tier == member.tier
                && backfill.files.concern(member.is_primary)
                && backfill.rows_for(&member.shape).is_some()
        };
        self.backfills.iter().filter(concern).collect()
    }
}

impl Files {
    /// Returns true if a file is among them.
    pub fn concern(self, is_primary: bool) -> bool {
        self == Self::All || is_primary
    }
}

impl ShapeSql {
    /// Returns the SQL for a shape: that which names it, else that for all.
    pub fn of_shape<'a>(list: &'a [Self], shape: &str) -> Option<&'a str> {
        let named = list.iter().find(|of| of.shapes.iter().any(|name| name == shape));
        named.or_else(|| list.iter().find(|of| of.shapes.is_empty())).map(|of| of.sql.as_str())
    }
}

impl Backfill {
    /// Returns the query of the rows for a shape, or nothing if its files are left out.
    pub fn rows_for(&self, shape: &str) -> Option<&str> {
        ShapeSql::of_shape(&self.rows, shape)
    }

    /// Returns the statement that writes rows into files of a shape.
    pub fn write_for(&self, shape: &str) -> &str {
        ShapeSql::of_shape(&self.write_for, shape).unwrap_or(&self.write.sql)
    }
}

impl View {
    /// Returns the query for a file of a shape, or nothing if it does not have the view.
    pub fn select_for(&self, shape: &str, has_table: impl Fn(&str) -> bool) -> Option<&str> {
        let fits = self.selects.iter().find(|of| {
            (of.shapes.is_empty() || of.shapes.iter().any(|name| name == shape))
                && of.tables.iter().all(|table| has_table(table))
        });
        fits.map(|of| of.sql.as_str())
    }
}
