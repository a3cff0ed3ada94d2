//! Checks what the parts of a definition say of each other.

use std::collections::BTreeSet;

use super::checklist::CHECKS;
use super::lines::Lines;
use super::model::Definition;
use super::operation::Flag;
use super::script::Fault;

/// What the value of a monitor may ask for.
const TRIGGERS: [&str; 3] = ["pause", "investigate", "misconfigured"];
/// Names of haul's own steps and tables.
const OWN_NAMES: [&str; 4] = ["MIGRATION_START", "migrations", "haul_steps", "haul_progress"];

/// Returns the first fault of names and tiers, with its line in `upgrade.toml`. Everything else refers to them.
pub fn check_names(definition: &Definition, lines: &Lines) -> Result<(), Fault> {
    let checker = Checker { definition, lines };
    checker.names()?;
    checker.tiers()?;
    checker.groups()
}

/// Returns the first fault of a definition whose files are read.
pub fn check(definition: &Definition, lines: &Lines) -> Result<(), Fault> {
    let checker = Checker { definition, lines };
    checker.shapes_of_queries()?;
    checker.rebuilds()?;
    checker.backfills()?;
    checker.limits()?;
    checker.flags()?;
    checker.checklists()?;
    checker.retention()?;
    checker.top()
}

struct Checker<'a> {
    definition: &'a Definition,
    lines: &'a Lines,
}

impl Checker<'_> {
    fn fault<T>(&self, key: &str, index: usize, what: impl Into<String>) -> Result<T, Fault> {
        Err((self.lines.item(key, index), what.into()))
    }

    /// Each line of a checklist is answered by something that there is.
    fn checklists(&self) -> Result<(), Fault> {
        let all = self.definition;
        let is_known = |proof: &String| {
            CHECKS.contains(&proof.as_str()) || all.expectations.iter().any(|expectation| expectation.name == *proof)
        };
        for (key, items) in [("checklist", &all.checklist), ("criterion", &all.criteria)] {
            for (index, item) in items.iter().enumerate() {
                if let Some(unknown) = item.proof.iter().find(|proof| !is_known(proof)) {
                    let known = CHECKS.join(", ");
                    let what = format!("`{unknown}` is neither an expectation nor one of the checks {known}");
                    return self.fault(key, index, what);
                }
                if item.proof.is_empty() {
                    return self.fault(key, index, format!("nothing answers `{}`", item.title));
                }
            }
        }
        Ok(())
    }

    /// Names are unique in their list, and plain: they stand in files and in SQL.
    fn names(&self) -> Result<(), Fault> {
        let all = self.definition;
        self.unique("tier", all.tiers.iter().map(|tier| tier.name.clone()))?;
        self.unique("group", all.groups.iter().map(|group| group.name.clone()))?;
        self.unique("rebuild", all.rebuilds.iter().map(|rebuild| rebuild.name.clone()))?;
        self.unique("view", all.views.iter().map(|view| view.name.clone()))?;
        self.unique("measure", all.measures.iter().map(|measure| measure.name.clone()))?;
        self.unique("backfill", all.backfills.iter().map(|backfill| backfill.name.clone()))?;
        self.unique("input", all.inputs.iter().map(|input| input.name.clone()))?;
        self.unique("flag", all.flags.iter().map(|flag| flag.name.clone()))?;
        self.unique("monitor", all.monitors.iter().map(|monitor| monitor.name.clone()))?;
        self.unique("retention", all.retention.iter().map(|retention| retention.table.clone()))
    }

    fn unique(&self, key: &str, names: impl Iterator<Item = String>) -> Result<(), Fault> {
        let mut seen = BTreeSet::new();
        for (index, name) in names.enumerate() {
            if !is_plain(&name) {
                let what = format!("the {key} `{name}` needs a name of letters, digits, `_`, `-` and `.`");
                return self.fault(key, index, what);
            }
            if OWN_NAMES.contains(&name.as_str()) {
                return self.fault(key, index, format!("`{name}` is a name of haul's own: choose another"));
            }
            if !seen.insert(name.clone()) {
                return self.fault(key, index, format!("a {key} `{name}` is declared before"));
            }
        }
        Ok(())
    }

    fn tiers(&self) -> Result<(), Fault> {
        for (index, tier) in self.definition.tiers.iter().enumerate() {
            let mut seen = BTreeSet::new();
            if tier.shapes.is_empty() {
                return self.fault("tier", index, format!("the tier `{}` has no shape", tier.name));
            }
            for shape in &tier.shapes {
                if !is_plain(&shape.name) || !seen.insert(&shape.name) {
                    let what =
                        format!("the shape `{}` of tier `{}` needs a plain name of its own", shape.name, tier.name);
                    return self.fault("tier", index, what);
                }
                if let Some(both) = shape.columns.iter().find(|column| shape.without_columns.contains(column)) {
                    let what = format!("no file has the shape `{}`: with and without the column `{both}`", shape.name);
                    return self.fault("tier", index, what);
                }
            }
        }
        match self.definition.tiers.is_empty() {
            true => self.fault("tier", 0, "no [[tier]] is declared"),
            false => Ok(()),
        }
    }

    /// Steps are recorded by name, so that no group has the name of a backfill.
    fn groups(&self) -> Result<(), Fault> {
        let mut scripts = BTreeSet::new();
        for (index, group) in self.definition.groups.iter().enumerate() {
            if group.scripts.is_empty() {
                return self.fault("group", index, format!("the group `{}` has no script", group.name));
            }
            if let Some(twice) = group.scripts.iter().find(|name| !scripts.insert(*name)) {
                return self.fault("group", index, format!("the script `{twice}` is listed before"));
            }
            if self.definition.backfills.iter().any(|backfill| backfill.name == group.name) {
                return self.fault("group", index, format!("`{}` is the name of a backfill too", group.name));
            }
        }
        Ok(())
    }

    fn rebuilds(&self) -> Result<(), Fault> {
        let all = self.definition;
        for (index, rebuild) in all.rebuilds.iter().enumerate() {
            let name = &rebuild.name;
            let is_taken = all.groups.iter().any(|group| group.name == *name)
                || all.backfills.iter().any(|backfill| backfill.name == *name);
            if is_taken {
                return self.fault("rebuild", index, format!("`{name}` is the name of a group or backfill too"));
            }
            self.known_shapes("rebuild", index, &rebuild.tier, [rebuild.shapes.as_slice()].into_iter(), true)?;
            let is_own = |table: &&String| OWN_NAMES.iter().any(|own| own.eq_ignore_ascii_case(table));
            if let Some(own) = rebuild.tables.iter().find(is_own) {
                return self.fault("rebuild", index, format!("`{own}` is a table of haul's own"));
            }
            if rebuild.tables.is_empty() || rebuild.same.is_empty() {
                let what = format!("`{name}` needs the `tables` that it changes, and what stays the `same` in them");
                return self.fault("rebuild", index, what);
            }
        }
        Ok(())
    }

    fn shapes_of_queries(&self) -> Result<(), Fault> {
        let all = self.definition;
        for (index, view) in all.views.iter().enumerate() {
            if !is_identifier(&view.name) || view.name.starts_with("haul_") || view.name.starts_with("sqlite_") {
                let what =
                    format!("the view `{}` needs a name of letters, digits and `_` that is not haul's", view.name);
                return self.fault("view", index, what);
            }
            let shapes = view.selects.iter().map(|of| of.shapes.as_slice());
            self.known_shapes("view", index, &view.tier, shapes, false)?;
        }
        for (index, measure) in all.measures.iter().enumerate() {
            let shapes = measure.selects.iter().map(|of| of.shapes.as_slice());
            self.known_shapes("measure", index, &measure.tier, shapes, true)?;
        }
        for (index, query) in all.queries.iter().enumerate() {
            let shapes = query.selects.iter().map(|of| of.shapes.as_slice());
            self.known_shapes("query", index, &query.tier, shapes, true)?;
        }
        Ok(())
    }

    fn backfills(&self) -> Result<(), Fault> {
        for (index, backfill) in self.definition.backfills.iter().enumerate() {
            for list in [&backfill.rows, &backfill.write_for] {
                self.known_shapes("backfill", index, &backfill.tier, list.iter().map(|of| of.shapes.as_slice()), true)?;
            }
            if !backfill.write.shapes.is_empty() {
                return self.fault("backfill", index, "`write` is for all shapes; `write-for` names shapes");
            }
            let mut writes = std::iter::once(&backfill.write).chain(&backfill.write_for);
            if !writes.all(|of| of.sql.contains("?1") && of.sql.contains("?2")) {
                let what = format!("the backfill `{}` writes without the range `n > ?1 AND n <= ?2`", backfill.name);
                return self.fault("backfill", index, what);
            }
        }
        Ok(())
    }

    /// The tier exists, and so do the shapes in it. With `once`, none is named twice.
    fn known_shapes<'a>(
        &self,
        key: &str,
        index: usize,
        tier: &str,
        lists: impl Iterator<Item = &'a [String]>,
        once: bool,
    ) -> Result<(), Fault> {
        self.known_tier(key, index, tier)?;
        let mut seen = BTreeSet::new();
        for list in lists {
            let names = list.iter().map(String::as_str).chain(list.is_empty().then_some(""));
            for shape in names {
                if !shape.is_empty() && self.definition.shape(tier, shape).is_none() {
                    return self.fault(key, index, format!("the tier `{tier}` has no shape `{shape}`"));
                }
                if once && !seen.insert(shape) {
                    let what = if shape.is_empty() {
                        "two entries are for all shapes".into()
                    } else {
                        format!("the shape `{shape}` is named twice")
                    };
                    return self.fault(key, index, what);
                }
            }
        }
        Ok(())
    }

    fn known_tier(&self, key: &str, index: usize, tier: &str) -> Result<(), Fault> {
        match self.definition.tier(tier) {
            Some(_) => Ok(()),
            None => self.fault(key, index, format!("there is no tier `{tier}`")),
        }
    }

    fn limits(&self) -> Result<(), Fault> {
        for (index, expectation) in self.definition.expectations.iter().enumerate() {
            self.known_tier("expectation", index, &expectation.tier)?;
            let (min, max) = (expectation.min, expectation.max);
            if (min.is_none() && max.is_none()) || min.zip(max).is_some_and(|(min, max)| min > max) {
                return self.fault(
                    "expectation",
                    index,
                    format!("`{}` needs `min`, `max`, or both in order", expectation.name),
                );
            }
        }
        for (index, query) in self.definition.queries.iter().enumerate() {
            if query.p95_ms == 0 {
                return self.fault("query", index, format!("`{}` needs a limit above 0", query.name));
            }
        }
        for (index, monitor) in self.definition.monitors.iter().enumerate() {
            self.known_tier("monitor", index, &monitor.tier)?;
            if !monitor.max.is_finite() {
                return self.fault("monitor", index, format!("the limit of `{}` is no number", monitor.name));
            }
            if !TRIGGERS.contains(&monitor.trigger.as_str()) {
                let what = format!("`{}` is no trigger; there are {}", monitor.trigger, TRIGGERS.join(", "));
                return self.fault("monitor", index, what);
            }
        }
        for (index, input) in self.definition.inputs.iter().enumerate() {
            if let Some((key, _)) = input.ranges.iter().find(|(_, (low, high))| low > high) {
                return self.fault("input", index, format!("the range of `{key}` has no number"));
            }
        }
        Ok(())
    }

    fn flags(&self) -> Result<(), Fault> {
        let flags = &self.definition.flags;
        for (index, flag) in flags.iter().enumerate() {
            let is_before = |test: &dyn Fn(&Flag) -> bool| flags[..index].iter().any(test);
            if let Some(missing) = flag.needs.iter().find(|name| !is_before(&|other| other.name == **name)) {
                return self.fault(
                    "flag",
                    index,
                    format!("`{}` needs `{missing}`, which is not set before it", flag.name),
                );
            }
            if flag.needs_maintenance_plan && !is_before(&|other| other.plans_maintenance) {
                return self.fault("flag", index, format!("no flag before `{}` makes a maintenance plan", flag.name));
            }
            if let Some(metric) = &flag.metric {
                self.known_tier("flag", index, &metric.tier)?;
            }
        }
        Ok(())
    }

    fn retention(&self) -> Result<(), Fault> {
        for (index, retention) in self.definition.retention.iter().enumerate() {
            self.known_tier("retention", index, &retention.tier)?;
            if !is_identifier(&retention.table) || retention.expired.trim().is_empty() {
                let what = format!("`{}` needs the name of a table and a condition `expired`", retention.table);
                return self.fault("retention", index, what);
            }
            if !retention.summary.is_empty() && !retention.summary.contains("{expired}") {
                return self.fault("retention", index, "the summary does not contain `{expired}`");
            }
        }
        Ok(())
    }

    fn top(&self) -> Result<(), Fault> {
        let all = self.definition;
        if !is_plain(&all.name) {
            return self.fault("name", 0, "the upgrade needs a name of letters, digits, `_`, `-` and `.`");
        }
        if let Some((name, _)) = all.settings.iter().find(|(_, value)| !value.is_finite()) {
            return self.fault("settings", 0, format!("the setting `{name}` is no number"));
        }
        let is_column = |name: &String| {
            name.split_once('.').is_some_and(|(table, column)| is_identifier(table) && is_identifier(column))
        };
        if let Some(other) = all.secret_columns.iter().find(|name| !is_column(name)) {
            return self.fault("secret-columns", 0, format!("`{other}` is not written as table.column"));
        }
        let renames = all.configuration.iter().flat_map(|configuration| &configuration.rename);
        for (from, to) in renames {
            if from.ends_with(".*") != to.ends_with(".*") || from.is_empty() || to.is_empty() {
                let what = format!("`{from}` and `{to}` are paths of keys, both with `.*` at the end or neither");
                return self.fault("configuration", 0, what);
            }
        }
        Ok(())
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

fn is_identifier(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
