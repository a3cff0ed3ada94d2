//! What is said of tenants before they are changed.

use std::collections::BTreeMap;

/// Returns each text once, with the number of tenants in which it occurs.
pub fn with_counts<'a>(texts: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut counts = BTreeMap::<_, u64>::new();
    texts.for_each(|text| *counts.entry(text).or_default() += 1);
    let noun = |count| if count == 1 { "tenant" } else { "tenants" };
    counts.into_iter().map(|(text, count)| format!("{text} (in {count} {})", noun(count))).collect()
}

/// Returns each text once, with the names of the tenants that it is about: what depends on the state of a tenant is decided
/// for each.
pub fn with_names<'a>(texts: impl Iterator<Item = (&'a str, String)>) -> Vec<String> {
    let mut names = BTreeMap::<_, Vec<_>>::new();
    texts.for_each(|(tenant, text)| names.entry(text).or_default().push(tenant));
    names.into_iter().map(|(text, names)| format!("{text} (in {})", names.join(", "))).collect()
}
