//! The published file of vectors: one JSON object of lists. An unknown member is an error, because its digests would
//! silently not be checked.

use std::path::Path;
use std::sync::Arc;

use super::vector::{Function, Input, Vector};
use crate::cas::format::key::{Algorithm, Key};
use crate::migration::Error;
use crate::requiem::hash_domain::Domain;
use crate::requiem::json::{Json, Member, Reading};

/// Longest pattern that is made.
pub const PATTERN_LEN_BYTES_MAX: u32 = 16 << 20;
/// How a file must describe the pattern whose lengths it gives.
const PATTERN: &str = "byte i of the input is i mod 251";

/// What is wrong with the file, and where.
struct VectorFault {
    offset: usize,
    what: String,
}

fn vector_fault<T>(json: Json<'_>, what: impl Into<String>) -> Result<T, VectorFault> {
    Err(VectorFault { offset: json.offset(), what: what.into() })
}

/// Returns the vectors in `text`, the bytes of `path`.
pub fn read_vectors(path: &Path, text: &[u8]) -> Result<Vec<Vector>, Error> {
    let corrupt = |offset, what| Error::Corrupt {
        path: path.to_path_buf(),
        offset,
        what,
        next: "give a file of the shape of hash-vectors.json".into(),
        source: None,
    };
    let root = Json::parse(text).map_err(|error| corrupt(error.offset, error.what.to_owned()))?;
    let vectors = vectors_of(root).map_err(|vector_fault| corrupt(vector_fault.offset as u64, vector_fault.what))?;
    if vectors.is_empty() {
        return Err(corrupt(root.offset() as u64, "no vectors".into()));
    }
    Ok(vectors)
}

fn vectors_of(root: Json<'_>) -> Result<Vec<Vector>, VectorFault> {
    let mut vectors = Vec::new();
    for Member { name, value } in members(root)? {
        match &*text(name)? {
            "description" => drop(text(value)?),
            "verified_by" | "in_reference_repository" => each(value, |item| text(item).map(drop))?,
            "domains" => each(value, check_domain)?,
            "pattern" => check_pattern(value)?,
            "vectors" => each(value, |item| text_vector(item, &mut vectors))?,
            "pattern_vectors" if root.get("pattern").is_none() => {
                return vector_fault(name, "lengths without a \"pattern\"");
            }
            "pattern_vectors" => each(value, |item| pattern_vector(item, &mut vectors))?,
            "stored_blob_vectors" => each(value, |item| stored_blob(item, &mut vectors))?,
            "request_vectors" => each(value, |item| canonical(item, Domain::Request, &mut vectors))?,
            "result_vectors" => each(value, |item| canonical(item, Domain::Result, &mut vectors))?,
            _ => return unknown(name),
        }
    }
    Ok(vectors)
}

fn check_domain(domain: Json<'_>) -> Result<(), VectorFault> {
    for Member { name, value } in members(domain)? {
        match &*text(name)? {
            "prefix" if Domain::from_prefix(&text(value)?).is_none() => return vector_fault(value, "unknown prefix"),
            "prefix" => {}
            "use" => drop(text(value)?),
            _ => return unknown(name),
        }
    }
    Ok(())
}

fn check_pattern(pattern: Json<'_>) -> Result<(), VectorFault> {
    if text(pattern)?.starts_with(PATTERN) { Ok(()) } else { vector_fault(pattern, "unknown pattern") }
}

/// Reads a text, which may also be given in hex, and its digests.
fn text_vector(item: Json<'_>, vectors: &mut Vec<Vector>) -> Result<(), VectorFault> {
    let mut input: Option<Vec<u8>> = None;
    for (name, is_hex) in [("input_utf8", false), ("input_hex", true)] {
        let Some(value) = item.get(name) else { continue };
        let bytes = if is_hex { hex(value)? } else { text(value)?.into_bytes() };
        if input.is_some_and(|other| other != bytes) {
            return vector_fault(value, "input_hex is not input_utf8");
        }
        input = Some(bytes);
    }
    let Some(input) = input else { return vector_fault(item, "neither input_utf8 nor input_hex") };
    let name = format!("text \"{}\"", String::from_utf8_lossy(&input));
    digests(item, &["input_utf8", "input_hex"], &name, &Input::Bytes(input.into()), vectors)
}

/// Reads the length of a pattern and its digests.
fn pattern_vector(item: Json<'_>, vectors: &mut Vec<Vector>) -> Result<(), VectorFault> {
    let length = required(item, "length")?;
    let fits = |len: i64| u32::try_from(len).ok().filter(|len| *len <= PATTERN_LEN_BYTES_MAX);
    let Some(len_bytes) = length.integer().and_then(fits) else {
        return vector_fault(length, format!("expected a length of at most {PATTERN_LEN_BYTES_MAX}"));
    };
    let name = format!("pattern of {len_bytes} bytes");
    digests(item, &["length"], &name, &Input::Pattern { len_bytes }, vectors)
}

/// Reads the digests of an item: all members but `others`, which describe the input.
fn digests(
    item: Json<'_>,
    others: &[&str],
    what: &str,
    input: &Input,
    vectors: &mut Vec<Vector>,
) -> Result<(), VectorFault> {
    let before = vectors.len();
    for Member { name, value } in members(item)? {
        let column = text(name)?;
        if others.contains(&&*column) {
            continue;
        }
        let Some(function) = function_of(&column) else { return unknown(name) };
        vectors.push(Vector { name: what.to_owned(), input: input.clone(), function, expected: key(value)? });
    }
    if vectors.len() > before { Ok(()) } else { vector_fault(item, "no digest") }
}

fn function_of(column: &str) -> Option<Function> {
    match column {
        "blake3" => Some(Algorithm::Blake3.into()),
        "sha256" => Some(Algorithm::Sha256.into()),
        "blake2s256" => Some(Algorithm::Blake2s.into()),
        _ => Domain::from_prefix(&format!("{}:", column.strip_prefix("blake3_")?)).map(Function::from),
    }
}

/// Reads a blob as it is stored, and its content.
fn stored_blob(item: Json<'_>, vectors: &mut Vec<Vector>) -> Result<(), VectorFault> {
    only(item, &["description", "original_hex", "stored_hex", "stored_size", "stored_blob_hash", "digest"])?;
    let about = item.get("description").map(text).transpose()?.unwrap_or_else(|| "stored blob".into());
    let (stored, size) = (hex(required(item, "stored_hex")?)?, required(item, "stored_size")?);
    if size.integer() != Some(stored.len() as i64) {
        return vector_fault(size, format!("stored_size of a blob of {} bytes", stored.len()));
    }
    let original = hex(required(item, "original_hex")?)?;
    for (column, part, bytes, algorithm) in
        [("stored_blob_hash", "blob", stored, Algorithm::Blake3), ("digest", "content", original, Algorithm::Cas)]
    {
        let expected = key(required(item, column)?)?;
        let name = format!("{part} of {about}");
        vectors.push(Vector { name, input: Input::Bytes(bytes.into()), function: algorithm.into(), expected });
    }
    Ok(())
}

/// Reads a canonical request or result and its digest.
fn canonical(item: Json<'_>, domain: Domain, vectors: &mut Vec<Vector>) -> Result<(), VectorFault> {
    let column = if domain == Domain::Request { "request_digest" } else { "result_digest" };
    only(item, &["canonical", column])?;
    let input: Arc<[u8]> = text(required(item, "canonical")?)?.into_bytes().into();
    let (name, expected) = (format!("canonical text of {column}"), key(required(item, column)?)?);
    vectors.push(Vector { name, input: Input::Bytes(input), function: domain.into(), expected });
    Ok(())
}

fn unknown<T>(name: Json<'_>) -> Result<T, VectorFault> {
    vector_fault(name, format!("unknown member \"{}\"", text(name)?))
}

fn only(item: Json<'_>, names: &[&str]) -> Result<(), VectorFault> {
    let mut members = members(item)?;
    let stray = members.find(|member| !text(member.name).is_ok_and(|name| names.contains(&&*name)));
    stray.map_or(Ok(()), |member| unknown(member.name))
}

fn required<'a>(item: Json<'a>, name: &str) -> Result<Json<'a>, VectorFault> {
    item.get(name).map_or_else(|| vector_fault(item, format!("no {name:?}")), Ok)
}

fn members<'a>(json: Json<'a>) -> Result<impl Iterator<Item = Member<'a>>, VectorFault> {
    if json.is_object() { Ok(json.members()) } else { vector_fault(json, "expected an object") }
}

fn each(json: Json<'_>, mut read: impl FnMut(Json<'_>) -> Result<(), VectorFault>) -> Result<(), VectorFault> {
    if !json.is_array() {
        return vector_fault(json, "expected an array");
    }
    json.items().try_for_each(&mut read)
}

fn text(json: Json<'_>) -> Result<String, VectorFault> {
    let bytes = json.string(Reading::Standard).map(|bytes| String::from_utf8(bytes.into_owned()));
    match bytes {
        None => vector_fault(json, "expected a string"),
        Some(Err(_)) => vector_fault(json, "a string that is not UTF-8"),
        Some(Ok(text)) => Ok(text),
    }
}

fn key(json: Json<'_>) -> Result<Key, VectorFault> {
    Key::parse(text(json)?.as_bytes()).map_or_else(|| vector_fault(json, "expected 64 of 0-9 and a-f"), Ok)
}

fn hex(json: Json<'_>) -> Result<Vec<u8>, VectorFault> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let text = text(json)?;
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect::<Option<_>>();
    bytes.filter(|_| rest.is_empty()).map_or_else(|| vector_fault(json, "expected pairs of hex digits"), Ok)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SMALL: &str = r#"{
 "pattern": "byte i of the input is i mod 251",
 "domains": [{"prefix": "req:", "use": "requests"}],
 "vectors": [{"input_utf8": "a", "input_hex": "61", "blake3_req": "a4828756587d78184d6582cc11fbd23814711a4762fe70d17b59c48f349bb3e4"}],
 "pattern_vectors": [{"length": 1, "blake3": "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"}],
 "stored_blob_vectors": [{"original_hex": "", "stored_hex": "28b52ffd2000010000", "stored_size": 9,
   "stored_blob_hash": "dcf5b9a7b68d91d66f8942a20d164d6bab419ad6ba3ac6da62c81c604f70b1b2",
   "digest": "24ab6f1ac35b93ddd54d0911ce8f0b59e4a77cb93744066a238a49f844c4f5af"}]
}"#;

    fn read(text: &str) -> Result<Vec<Vector>, (u64, String)> {
        read_vectors(Path::new("v.json"), text.as_bytes()).map_err(|error| match error {
            Error::Corrupt { offset, what, .. } => (offset, what),
            other => panic!("{other}"),
        })
    }

    #[test]
    fn a_file_of_the_published_shape_is_read() {
        let vectors = read(SMALL).unwrap();
        let functions: Vec<_> = vectors.iter().map(|vector| vector.function.to_string()).collect();
        assert_eq!(functions, ["req:", "blake3", "blake3", "cas:"]);
        assert_eq!(super::super::run(&vectors).mismatches, []);
    }

    #[test]
    fn an_unknown_member_is_an_error_with_its_offset() {
        for (from, to, at, what) in [
            ("\"use\"", "\"purpose\"", "\"purpose\"", "unknown member \"purpose\""),
            ("\"req:\"", "\"rex:\"", "\"rex:\"", "unknown prefix"),
            ("\"domains\"", "\"domain\"", "\"domain\"", "unknown member \"domain\""),
            ("mod 251", "mod 256", "\"byte", "unknown pattern"),
            ("\"pattern\":", "\"description\":", "\"pattern_v", "lengths without a \"pattern\""),
            ("\"blake3_req\"", "\"blake3_rex\"", "\"blake3_rex\"", "unknown member \"blake3_rex\""),
            ("\"input_hex\": \"61\"", "\"input_hex\": \"62\"", "\"62\"", "input_hex is not input_utf8"),
            ("\"input_hex\": \"61\"", "\"input_hex\": \"6\"", "\"6\"", "expected pairs of hex digits"),
            ("\"length\": 1", "\"length\": 16777217", "16777217", "expected a length of at most 16777216"),
            ("\"length\": 1", "\"length\": -1", "-1", "expected a length of at most 16777216"),
            ("2d3a", "2D3A", "\"2D3A", "expected 64 of 0-9 and a-f"),
            ("\"stored_size\": 9", "\"stored_size\": 8", "8,", "stored_size of a blob of 9 bytes"),
            ("\"original_hex\": \"\", ", "", "{\"stored_hex", "no \"original_hex\""),
            ("\"original_hex\": \"\"", "\"original_hex\": []", "[],", "expected a string"),
            ("[{\"prefix\"", "[1, {\"prefix\"", "1, {", "expected an object"),
        ] {
            let text = SMALL.replacen(from, to, 1);
            assert_ne!(text, SMALL);
            assert_eq!(read(&text), Err((text.find(at).unwrap() as u64, what.to_owned())));
        }
        assert_eq!(read("{}"), Err((0, "no vectors".into())));
        assert_eq!(read("[]"), Err((0, "expected an object".into())));
        assert_eq!(read("{\"vectors\":[{\"input_hex\":\"\"}]}"), Err((12, "no digest".into())));
        assert_eq!(read("{\"vectors\":{}}"), Err((11, "expected an array".into())));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_read_or_refused(bytes: Vec<u8>, at in 0..SMALL.len(), byte: u8) {
            let _ = read_vectors(Path::new("v.json"), &bytes);
            let mut damaged = SMALL.as_bytes().to_vec();
            damaged[at] = byte;
            let _ = read_vectors(Path::new("v.json"), &damaged);
        }
    }
}
