//! The checks of the outcomes of all objects, before anything is published. A dry run makes them too.

use std::path::PathBuf;

use crate::cas::options::{MigrateOptions, Placement};
use crate::cas::outcome::Counts;
use crate::migration::{Error, OutcomeCounts};

/// Fails if a store with these outcomes must not be published. `report` lists the objects that are left out.
pub fn check_outcomes(options: &MigrateOptions, counts: &Counts, report: PathBuf) -> Result<(), Error> {
    let refused = counts.refused();
    if options.strict && refused > 0 {
        return Err(Error::Findings {
            count: refused,
            report,
            next: "read the report, repair or remove the objects that it names, or leave out --strict".into(),
        });
    }
    if counts.migrated + counts.duplicate + counts.duplicate_in_target == 0 && !options.allow_empty {
        return Err(Error::Findings {
            count: refused,
            report,
            next: "read the report: none of the objects can be migrated; to publish an empty store, add --allow-empty"
                .into(),
        });
    }
    // What cannot be read now may be whole, and the store at the target may be the only other copy.
    let unread = counts.refused_unreadable + counts.refused_changed;
    if options.placement == Placement::Replace && unread > 0 {
        return Err(Error::Findings {
            count: unread,
            report,
            next: "make readable what the report names, then run the same command again; the store at the target stays"
                .into(),
        });
    }
    Ok(())
}
