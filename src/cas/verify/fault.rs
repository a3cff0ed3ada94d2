//! What a verification can find (spec/requiem.md A4).

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use crate::cas::format::key::Key;

/// The longest path or text that a fault keeps, in bytes; the rest is cut off and marked with `…`.
pub const FAULT_TEXT_BYTES_MAX: usize = 1024;

/// How much a fault matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FaultSeverity {
    /// A reader loses an object or gets a wrong one, now or at the next append.
    Error,
    /// Not as a store is written, and no reader is the worse for it.
    Warning,
}

impl FaultSeverity {
    /// Its name in documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One kind of fault in each line: what it is, its name in documents, how much it matters.
macro_rules! fault_kinds {
    ($($(#[$doc:meta])+ $kind:ident: $name:literal, $severity:ident;)+) => {
        /// A kind of fault. Its name is stable: scripts may rely on it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, bincode::Encode, bincode::Decode)]
        pub enum FaultKind {
            $($(#[$doc])+ $kind,)+
        }

        impl FaultKind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$kind,)+];

            /// Its name in documents, in kebab case.
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)+ }
            }

            /// How much it matters.
            pub fn severity(self) -> FaultSeverity {
                match self { $(Self::$kind => FaultSeverity::$severity,)+ }
            }
        }
    };
}

fault_kinds! {
    /// There is no directory of objects.
    ObjectsMissing: "objects-missing", Error;
    /// The system does not give a directory, a blob or a sidecar.
    Unreadable: "unreadable", Error;
    /// A link, a directory, a pipe or a device under the name of an object, or a link in place of a directory of objects.
    NotAFile: "not-a-file", Error;
    /// An object, or the sidecar of one, in another directory than its name says: no reader finds it.
    Misplaced: "misplaced", Error;
    /// A sidecar without a blob.
    LoneSidecar: "lone-sidecar", Error;
    /// A file that some writer left in flight.
    TemporaryFile: "temporary-file", Warning;
    /// A name that no store has.
    ForeignName: "foreign-name", Warning;
    /// There is no index: no reader sees an object.
    IndexMissing: "index-missing", Error;
    /// The index lists nothing, and there are objects.
    IndexEmpty: "index-empty", Error;
    /// A line that is no record: readers skip it without a word.
    IndexForeignLine: "index-foreign-line", Error;
    /// The last line has no newline: the next append is glued to it, and lost.
    IndexTorn: "index-torn", Error;
    /// The index begins with a byte order mark: other readers do not see its first object.
    IndexByteOrderMark: "index-byte-order-mark", Error;
    /// A line ends with a carriage return.
    IndexCarriageReturn: "index-carriage-return", Warning;
    /// A line holds nothing.
    IndexBlankLine: "index-blank-line", Warning;
    /// A key stands in several lines, of which the last counts.
    IndexRepeatedKey: "index-repeated-key", Warning;
    /// A line is a record in another form than the one that is written.
    IndexNotCanonical: "index-not-canonical", Warning;
    /// A line has no `created_at`.
    IndexNoCreatedAt: "index-no-created-at", Warning;
    /// A line speaks of an object that is not there.
    BlobMissing: "blob-missing", Error;
    /// The index does not list the object: no reader sees it.
    NotIndexed: "not-indexed", Error;
    /// The line of the object is not what its sidecar says.
    IndexDiffers: "index-differs", Error;
    /// The object has no sidecar.
    SidecarMissing: "sidecar-missing", Error;
    /// The sidecar is no record.
    SidecarMalformed: "sidecar-malformed", Error;
    /// The sidecar is that of another object.
    SidecarOfAnother: "sidecar-of-another", Error;
    /// The sidecar is a record in another form than the one that is written.
    SidecarNotCanonical: "sidecar-not-canonical", Warning;
    /// The sidecar has no `created_at`.
    SidecarNoCreatedAt: "sidecar-no-created-at", Warning;
    /// The blob is longer or shorter than the sidecar says.
    StoredSizeWrong: "stored-size-wrong", Error;
    /// The blob has another hash than the sidecar says.
    StoredHashWrong: "stored-hash-wrong", Error;
    /// The blob is said to be zstd and does not decode.
    Undecodable: "undecodable", Error;
    /// The content is longer or shorter than the sidecar says.
    OriginalSizeWrong: "original-size-wrong", Error;
    /// The content does not hash to the name of the object.
    WrongContent: "wrong-content", Error;
    /// The blob was not the same while it was read: nothing can be said of it.
    ObjectChanged: "object-changed", Error;
    /// The index was written to meanwhile: what came into the store was not looked at.
    StoreChanged: "store-changed", Warning;
}

impl Serialize for FaultKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Something that is wrong in a store.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct VerifyFault {
    /// What kind of thing.
    pub kind: FaultKind,
    /// The path relative to the store, `index.ndjson:7` for a line of the index.
    pub path: String,
    /// The object, where it is about one.
    pub key: Option<Key>,
    /// What is the matter, for people.
    pub text: String,
}

impl VerifyFault {
    /// A fault. Texts over [`FAULT_TEXT_BYTES_MAX`] are shortened.
    pub fn new(kind: FaultKind, path: String, key: Option<Key>, text: impl Into<String>) -> Self {
        Self { kind, path: shortened(path), key, text: shortened(text.into()) }
    }

    /// How much it matters.
    pub fn severity(&self) -> FaultSeverity {
        self.kind.severity()
    }

    /// True for an error, false for a warning.
    pub fn is_error(&self) -> bool {
        self.severity() == FaultSeverity::Error
    }
}

impl Serialize for VerifyFault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fault = serializer.serialize_struct("VerifyFault", 5)?;
        fault.serialize_field("fault", &self.kind)?;
        fault.serialize_field("severity", &self.severity())?;
        fault.serialize_field("path", &self.path)?;
        fault.serialize_field("key", &self.key)?;
        fault.serialize_field("text", &self.text)?;
        fault.end()
    }
}

fn shortened(mut text: String) -> String {
    if text.len() > FAULT_TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(FAULT_TEXT_BYTES_MAX));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_kebab_case_and_each_kind_has_its_own() {
        let names: BTreeSet<_> = FaultKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), FaultKind::ALL.len());
        assert!(names.iter().all(|name| name.bytes().all(|byte| byte == b'-' || byte.is_ascii_lowercase())));
        assert!(FaultKind::ALL.iter().enumerate().all(|(index, kind)| *kind as usize == index));
    }

    #[test]
    fn a_document_names_everything() {
        let fault = VerifyFault::new(FaultKind::NotIndexed, "objects/x".into(), Some(Key([0x11; 32])), "no line");
        let key = "11".repeat(32);
        assert_eq!(
            serde_json::to_string(&fault).unwrap(),
            format!(
                r#"{{"fault":"not-indexed","severity":"error","path":"objects/x","key":"{key}","text":"no line"}}"#
            )
        );
    }

    #[test]
    fn hostile_texts_are_shortened() {
        let fault = VerifyFault::new(FaultKind::ForeignName, "é".repeat(5000), None, "x");
        assert_eq!(fault.path, format!("{}…", "é".repeat(512)));
    }
}
