//! Root digest over the table entries, in constant memory.
//!
//! A leaf is the BLAKE3 of a zero byte and the entry, an inner node that of a one byte and its two children. The tree is
//! the left-filled one of RFC 6962: the left child covers the largest power of two below the number of leaves.

/// Collects leaves in order.
#[derive(Debug, Clone, Default)]
pub struct MerkleTree {
    /// Roots of complete subtrees, from left to right, with their heights.
    peaks: Vec<(u32, [u8; 32])>,
}

impl MerkleTree {
    /// Adds a leaf.
    pub fn push(&mut self, leaf: &[u8]) {
        let mut node = (0, tagged(0, &[leaf]));
        while let Some((_, left)) = self.peaks.pop_if(|(height, _)| *height == node.0) {
            node = (node.0 + 1, tagged(1, &[&left, &node.1]));
        }
        self.peaks.push(node);
    }

    /// Returns the root; of no leaves the BLAKE3 of nothing.
    pub fn root(mut self) -> [u8; 32] {
        let Some((_, mut root)) = self.peaks.pop() else { return *blake3::hash(b"").as_bytes() };
        while let Some((_, left)) = self.peaks.pop() {
            root = tagged(1, &[&left, &root]);
        }
        root
    }
}

// Without the tag an inner node could be passed off as a leaf with the same bytes.
fn tagged(tag: u8, parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[tag]);
    for part in parts {
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recursive(leaves: &[Vec<u8>]) -> [u8; 32] {
        match leaves {
            [] => *blake3::hash(b"").as_bytes(),
            [leaf] => tagged(0, &[leaf]),
            _ => {
                let left = (leaves.len() as u64).next_power_of_two() as usize / 2;
                tagged(1, &[&recursive(&leaves[..left]), &recursive(&leaves[left..])])
            }
        }
    }

    #[test]
    fn incremental_root_is_the_recursive_one() {
        for count in 0..40_u8 {
            let leaves: Vec<Vec<u8>> = (0..count).map(|byte| vec![byte; 3]).collect();
            let mut tree = MerkleTree::default();
            leaves.iter().for_each(|leaf| tree.push(leaf));
            assert_eq!(tree.root(), recursive(&leaves), "{count} leaves");
        }
    }
}
