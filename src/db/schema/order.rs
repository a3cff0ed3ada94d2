//! Orders objects so that each comes after those that it depends on.

use std::collections::{BTreeMap, HashMap};

use super::object::Object;

/// Keeps the order of `objects`, but moves what an object needs before it. `needs` has pairs of addresses: an object, and
/// one that it depends on. In a circle the given order decides.
pub(super) fn ordered(objects: Vec<Object>, needs: &[(String, String)]) -> Vec<Object> {
    let mut by_address: HashMap<&str, usize> = HashMap::new();
    for (index, object) in objects.iter().enumerate() {
        by_address.entry(&object.address).or_insert(index);
    }
    let mut edges: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (object, needed) in needs {
        if let (Some(from), Some(to)) = (by_address.get(object.as_str()), by_address.get(needed.as_str())) {
            edges.entry(*from).or_default().push(*to);
        }
    }
    edges.values_mut().for_each(|needed| needed.sort_unstable());
    let mut order = Vec::with_capacity(objects.len());
    let mut is_seen = vec![false; objects.len()];
    for start in 0..objects.len() {
        // A path of objects with the next of their needs, because chains may be longer than the stack of calls.
        let mut path = vec![(start, 0)];
        while let Some((index, next)) = path.pop() {
            if next == 0 && std::mem::replace(&mut is_seen[index], true) {
                continue;
            }
            match edges.get(&index).and_then(|needed| needed.get(next)) {
                Some(needed) => path.extend([(index, next + 1), (*needed, 0)]),
                None => order.push(index),
            }
        }
    }
    let mut objects: Vec<_> = objects.into_iter().map(Some).collect();
    order.into_iter().filter_map(|index| objects[index].take()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(names: &[&str], needs: &[(&str, &str)]) -> String {
        let object = |name: &&str| Object { title: (*name).into(), address: (*name).into(), sql: String::new() };
        let needs: Vec<_> = needs.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
        ordered(names.iter().map(object).collect(), &needs).into_iter().map(|object| object.title).collect()
    }

    #[test]
    fn needed_objects_come_first_and_the_others_stay() {
        assert_eq!(titles(&["a", "b", "c", "d"], &[]), "abcd");
        assert_eq!(titles(&["a", "b", "c", "d"], &[("a", "c"), ("c", "d")]), "dcab");
        assert_eq!(titles(&["a", "b", "c"], &[("a", "b"), ("b", "a"), ("a", "x")]), "bac");
        assert_eq!(titles(&["a", "b", "c"], &[("b", "a"), ("c", "a"), ("c", "b"), ("a", "a")]), "abc");
    }
}
