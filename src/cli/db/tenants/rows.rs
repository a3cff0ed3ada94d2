//! What a command found or did in each tenant, without a run.

use serde::Serialize;

use crate::cli::error_output::say_error;
use crate::db::tenants::Tenant;
use crate::migration::Error;

/// One row for each tenant.
#[derive(Serialize)]
pub struct Rows<T> {
    /// The number of tenants in which that could be done, and of the others.
    known: usize,
    unknown: usize,
    tenants: Vec<Row<T>>,
}

#[derive(Serialize)]
struct Row<T> {
    tenant: String,
    database: String,
    #[serde(flatten)]
    found: Option<T>,
    error: Option<String>,
    next: Option<String>,
}

impl<T> Rows<T> {
    /// Joins tenants and results, which are in the same order.
    pub fn of(tenants: &[Tenant], results: Vec<Result<T, Error>>) -> Self {
        let row = |(tenant, result): (&Tenant, Result<T, Error>)| {
            let (found, error, next) = match result {
                Ok(found) => (Some(found), None, None),
                Err(error) => (None, Some(error.to_string()), error.next_step()),
            };
            Row { tenant: tenant.name.clone(), database: tenant.target.to_string(), found, error, next }
        };
        let tenants: Vec<_> = tenants.iter().zip(results).map(row).collect();
        let unknown = tenants.iter().filter(|row| row.found.is_none()).count();
        Self { known: tenants.len() - unknown, unknown, tenants }
    }

    /// Returns the tenants of which something is known, by name.
    pub fn found(&self) -> impl Iterator<Item = (&str, &T)> {
        self.tenants.iter().filter_map(|row| Some((row.tenant.as_str(), row.found.as_ref()?)))
    }

    /// Returns true if something went wrong in a tenant.
    pub fn has_errors(&self) -> bool {
        self.unknown > 0
    }

    /// Returns the end of the last line: `N tenants: …, 2 cannot be looked at`.
    pub fn sum(&self, what: &str) -> String {
        let unknown = if self.has_errors() { format!(", {} cannot be looked at", self.unknown) } else { String::new() };
        format!("{} tenants: {what}{unknown}", self.tenants.len())
    }

    /// Says what went wrong in which tenants.
    pub fn say_errors(&self) {
        for row in &self.tenants {
            if let Some(error) = &row.error {
                say_error(&format!("{}: {error}", row.tenant), row.next.as_deref());
            }
        }
    }
}
