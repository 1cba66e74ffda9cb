//! Read the container of public checkpoints: 8 bytes of length, a header of JSON, the values.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{ConvertError, error};

const WHAT: &str = "the safetensors file";
/// Longest header; the format's own bound.
const MAX_HEADER: u64 = 100_000_000;

/// A tensor of a file.
#[derive(Debug)]
pub(crate) struct View<'a> {
    /// The type of its values, such as `F32`.
    pub(crate) dtype: String,
    /// The lengths of its axes.
    pub(crate) shape: Vec<usize>,
    /// Its values, little-endian.
    pub(crate) bytes: &'a [u8],
}

/// The tensors of a file, by name.
#[derive(Debug)]
pub(crate) struct Tensors<'a>(BTreeMap<String, View<'a>>);

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}

#[derive(Deserialize)]
struct Header {
    #[serde(rename = "__metadata__")]
    _metadata: Option<BTreeMap<String, String>>,
    #[serde(flatten)]
    tensors: BTreeMap<String, Entry>,
}

/// Bytes of a value of a type; types that are not known are left unread.
fn width(dtype: &str) -> Option<usize> {
    Some(match dtype {
        "BOOL" | "U8" | "I8" | "F8_E5M2" | "F8_E4M3" => 1,
        "I16" | "U16" | "F16" | "BF16" => 2,
        "I32" | "U32" | "F32" => 4,
        "I64" | "U64" | "F64" => 8,
        _ => return None,
    })
}

impl<'a> Tensors<'a> {
    /// Reads the header and checks every tensor's place.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, ConvertError> {
        let wrong = |reason: String| error::format(WHAT, reason);
        let early = || wrong("it ends early: download it again".into());
        let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(early)?;
        let length = u64::from_le_bytes(*length);
        if length > MAX_HEADER {
            return Err(wrong("its header's length makes no sense: it is another format".into()));
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let (header, values) = rest.split_at_checked(length).ok_or_else(early)?;
        let header: Header = serde_json::from_slice(header)
            .map_err(|cause| wrong(format!("its header is not what it should be: {cause}")))?;
        let view = |(name, entry): (String, Entry)| {
            let (start, end) = entry.data_offsets;
            let bytes = values.get(start..end).ok_or_else(|| {
                wrong(format!("tensor '{name}' lies outside of the file: download it again"))
            })?;
            let cells =
                entry.shape.iter().try_fold(1_usize, |cells, side| cells.checked_mul(*side));
            let asked = width(&entry.dtype).map(|width| cells.and_then(|c| c.checked_mul(width)));
            if asked.is_some_and(|asked| asked != Some(bytes.len())) {
                let (length, shape) = (bytes.len(), &entry.shape);
                return Err(wrong(format!(
                    "tensor '{name}' of shape {shape:?} has {length} bytes"
                )));
            }
            Ok((name, View { dtype: entry.dtype, shape: entry.shape, bytes }))
        };
        header.tensors.into_iter().map(view).collect::<Result<_, _>>().map(Tensors)
    }

    /// A tensor.
    pub(crate) fn get(&self, name: &str) -> Option<&View<'a>> {
        self.0.get(name)
    }

    /// How many tensors there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The name of one of them.
    pub(crate) fn first(&self) -> &str {
        self.0.keys().next().map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, values: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), values].concat()
    }

    #[test]
    fn tensors_lie_where_the_header_says() {
        let header = r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#;
        let bytes = file(header, &[1, 2, 3, 4, 5, 6, 7, 8]);
        let tensors = Tensors::read(&bytes).unwrap();
        assert_eq!(tensors.get("a").unwrap().bytes, [5, 6, 7, 8]);
        for length in 0..bytes.len() {
            assert!(Tensors::read(&bytes[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn headers_that_lie_are_refused() {
        for (shape, offsets) in [
            ("[2]", "[0,4]"),
            ("[1]", "[4,0]"),
            ("[1]", "[0,99]"),
            ("[4611686018427387904,4]", "[0,4]"),
            ("[-1]", "[0,4]"),
        ] {
            let header =
                format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#);
            assert!(Tensors::read(&file(&header, &[0; 4])).is_err(), "{header}");
        }
        assert!(Tensors::read(&[255; 64]).is_err());
    }
}
