//! The faults that a verification can find (docs/source-requiem.md, "What a verification must find").

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use crate::cas::format::key::Key;

/// Longest path or text of a fault, in bytes; the rest is cut off and marked with `…`. Names in a damaged store can be
/// of any kind, and thousands of faults are kept in memory.
pub const FAULT_TEXT_BYTES_MAX: usize = 1024;

/// How serious a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FaultSeverity {
    /// A reader loses an object or gets a wrong one, now or after the next append.
    Error,
    /// The store is not as it is written, and no reader is affected.
    Warning,
}

impl FaultSeverity {
    /// Returns the name in documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// Defines one kind of fault with each line: what it is, its name in documents, its severity.
macro_rules! fault_kinds {
    ($($(#[$doc:meta])+ $kind:ident: $name:literal, $severity:ident;)+) => {
        /// A kind of fault. The names are stable: scripts may rely on them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, bincode::Encode, bincode::Decode)]
        pub enum FaultKind {
            $($(#[$doc])+ $kind,)+
        }

        impl FaultKind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$kind,)+];

            /// Returns the name in documents, in kebab case.
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)+ }
            }

            /// Returns the severity.
            pub fn severity(self) -> FaultSeverity {
                match self { $(Self::$kind => FaultSeverity::$severity,)+ }
            }
        }
    };
}

fault_kinds! {
    /// There is no directory of objects.
    ObjectsMissing: "objects-missing", Error;
    /// A directory, a blob or a sidecar cannot be read.
    Unreadable: "unreadable", Error;
    /// A link, a directory, a pipe or a device has the name of an object, or a link that of a directory of objects.
    NotAFile: "not-a-file", Error;
    /// An object or a sidecar is in the wrong directory: no reader finds it.
    Misplaced: "misplaced", Error;
    /// A sidecar without a blob.
    LoneSidecar: "lone-sidecar", Error;
    /// A temporary file that some writer left.
    TemporaryFile: "temporary-file", Warning;
    /// The checkpoint, the plan or the report of the run that published the store is gone or not as it was written.
    StateDamaged: "state-damaged", Error;
    /// A name that does not belong into a store.
    ForeignName: "foreign-name", Warning;
    /// There is no index: no reader sees an object.
    IndexMissing: "index-missing", Error;
    /// The index lists nothing although there are objects.
    IndexEmpty: "index-empty", Error;
    /// A line that is not a record: readers skip it silently.
    IndexForeignLine: "index-foreign-line", Error;
    /// The last line has no newline: the next line that is appended is glued to it, and lost.
    IndexTorn: "index-torn", Error;
    /// The index begins with a byte order mark: other readers do not see its first object.
    IndexByteOrderMark: "index-byte-order-mark", Error;
    /// A line ends with a carriage return.
    IndexCarriageReturn: "index-carriage-return", Warning;
    /// A line is empty.
    IndexBlankLine: "index-blank-line", Warning;
    /// A key occurs in several lines, of which the last one counts.
    IndexRepeatedKey: "index-repeated-key", Warning;
    /// A line is a record in another form than the one that is written.
    IndexNotCanonical: "index-not-canonical", Warning;
    /// A line has no `created_at`.
    IndexNoCreatedAt: "index-no-created-at", Warning;
    /// A line lists an object that does not exist.
    BlobMissing: "blob-missing", Error;
    /// The index does not list the object: no reader sees it.
    NotIndexed: "not-indexed", Error;
    /// The line of the object differs from its sidecar.
    IndexDiffers: "index-differs", Error;
    /// The object has no sidecar.
    SidecarMissing: "sidecar-missing", Error;
    /// The sidecar is not a record.
    SidecarMalformed: "sidecar-malformed", Error;
    /// The sidecar belongs to another object.
    SidecarOfAnother: "sidecar-of-another", Error;
    /// The sidecar is a record in another form than the one that is written.
    SidecarNotCanonical: "sidecar-not-canonical", Warning;
    /// The sidecar has no `created_at`.
    SidecarNoCreatedAt: "sidecar-no-created-at", Warning;
    /// The blob is longer or shorter than the sidecar says.
    StoredSizeWrong: "stored-size-wrong", Error;
    /// The blob has another hash than the sidecar says.
    StoredHashWrong: "stored-hash-wrong", Error;
    /// The sidecar says zstd, and the blob cannot be decoded.
    Undecodable: "undecodable", Error;
    /// The content is longer or shorter than the sidecar says.
    OriginalSizeWrong: "original-size-wrong", Error;
    /// The content does not hash to the name of the object.
    WrongContent: "wrong-content", Error;
    /// The blob changed while it was read, so nothing is known about it.
    ObjectChanged: "object-changed", Error;
    /// The index was written during the verification: new objects were not read.
    StoreChanged: "store-changed", Warning;
    /// The map of the migration that made the store is gone: nothing else knows the old keys.
    MapMissing: "map-missing", Error;
}

impl Serialize for FaultKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Something that is wrong in a store.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct VerifyFault {
    /// The kind of the fault.
    pub kind: FaultKind,
    /// The path relative to the store, `index.ndjson:7` for a line of the index.
    pub path: String,
    /// The object, if the fault is about one.
    pub key: Option<Key>,
    /// What is wrong, for people.
    pub text: String,
}

impl VerifyFault {
    /// Creates a fault. Texts longer than [`FAULT_TEXT_BYTES_MAX`] are shortened.
    pub fn new(kind: FaultKind, path: String, key: Option<Key>, text: impl Into<String>) -> Self {
        Self { kind, path: shortened(path), key, text: shortened(text.into()) }
    }

    /// Returns the severity.
    pub fn severity(&self) -> FaultSeverity {
        self.kind.severity()
    }

    /// Returns true for an error, false for a warning.
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
    fn names_are_kebab_case_and_unique() {
        let names: BTreeSet<_> = FaultKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), FaultKind::ALL.len());
        assert!(names.iter().all(|name| name.bytes().all(|byte| byte == b'-' || byte.is_ascii_lowercase())));
        assert!(FaultKind::ALL.iter().enumerate().all(|(index, kind)| *kind as usize == index));
    }

    #[test]
    fn a_document_has_every_field() {
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
