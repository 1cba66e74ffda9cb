//! Read and write NumPy's array files, version 1 of the format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

/// The beginning of a file.
const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";
/// Files begin their values at a multiple of this.
const ALIGNMENT: usize = 64;
/// Most dimensions of an array.
const MAX_DIMENSIONS: usize = 8;
/// Most values of an array.
const MAX_VALUES: usize = 1 << 28;

/// An array of a file: its values row after row, little-endian.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Array<'a> {
    /// Type of the values, such as `<f4`.
    pub(super) kind: &'a str,
    /// Lengths of the dimensions.
    pub(super) shape: Vec<usize>,
    /// The values' bytes.
    pub(super) values: &'a [u8],
}

impl<'a> Array<'a> {
    /// Reads a file.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let rest = bytes.strip_prefix(MAGIC).ok_or("it is not a .npy file of version 1.0")?;
        let (length, rest) = rest.split_first_chunk::<2>().ok_or("it ends early")?;
        let length = usize::from(u16::from_le_bytes(*length));
        let (header, values) = rest.split_at_checked(length).ok_or("it ends early")?;
        let header = std::str::from_utf8(header).map_err(|_| "its header is not text")?;
        let kind = entry(header, "descr")?.trim_matches(['\'', '"']);
        if entry(header, "fortran_order")? != "False" {
            return Err(
                "its values are in Fortran's order: save it with np.ascontiguousarray".into()
            );
        }
        let shape = shape_of(header)?;
        let width = width_of(kind).ok_or_else(|| {
            format!("values of type '{kind}' are not known: use float32, float64, int8 to int64, uint8 or bool")
        })?;
        let count = shape.iter().try_fold(1usize, |count, side| count.checked_mul(*side));
        let count = count.filter(|count| *count <= MAX_VALUES).ok_or("it has too many values")?;
        if values.len() != count * width {
            return Err(format!(
                "{count} values of {width} bytes are announced, {} bytes follow",
                values.len()
            ));
        }
        Ok(Self { kind, shape, values })
    }

    /// Writes a file.
    pub(super) fn write(&self) -> Vec<u8> {
        let sides: String = self.shape.iter().map(|side| format!("{side}, ")).collect();
        let mut header = format!(
            "{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}",
            self.kind,
            sides.trim_end()
        );
        let unpadded = MAGIC.len() + 2 + header.len() + 1;
        header.extend(std::iter::repeat_n(' ', unpadded.next_multiple_of(ALIGNMENT) - unpadded));
        header.push('\n');
        let length = u16::try_from(header.len()).unwrap_or(u16::MAX).to_le_bytes();
        [MAGIC, &length, header.as_bytes(), self.values].concat()
    }
}

/// Bytes of a value of a type.
fn width_of(kind: &str) -> Option<usize> {
    Some(match kind {
        "|b1" | "|i1" | "|u1" => 1,
        "<i2" | "<u2" | "<f2" => 2,
        "<i4" | "<u4" | "<f4" => 4,
        "<i8" | "<u8" | "<f8" => 8,
        _ => return None,
    })
}

/// The text of a header's entry, up to the next comma.
fn entry<'a>(header: &'a str, name: &str) -> Result<&'a str, String> {
    let missing = || format!("its header has no '{name}'");
    let at = header.find(&format!("'{name}':")).ok_or_else(missing)?;
    let rest = &header[at + name.len() + 3..];
    Ok(rest.split([',', '}']).next().ok_or_else(missing)?.trim())
}

fn shape_of(header: &str) -> Result<Vec<usize>, String> {
    let wrong = || "its header has no shape".to_owned();
    let at = header.find("'shape':").ok_or_else(wrong)?;
    let open = header[at..].find('(').ok_or_else(wrong)? + at + 1;
    let close = header[open..].find(')').ok_or_else(wrong)? + open;
    let sides = header[open..close].split(',').map(str::trim).filter(|side| !side.is_empty());
    let shape: Vec<usize> =
        sides.map(|side| side.parse().map_err(|_| wrong())).collect::<Result<_, _>>()?;
    if shape.len() > MAX_DIMENSIONS {
        return Err(format!(
            "it has {} dimensions, at most {MAX_DIMENSIONS} are possible",
            shape.len()
        ));
    }
    Ok(shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_is_read_as_it_is_written() {
        let shapes: [&[usize]; 4] = [&[], &[3], &[2, 2], &[0, 5]];
        for shape in shapes {
            let count: usize = shape.iter().product();
            let values: Vec<u8> = (0..4 * count).map(|n| n as u8).collect();
            let array = Array { kind: "<f4", shape: shape.to_vec(), values: &values };
            let file = array.write();
            assert_eq!((file.len() - values.len()) % ALIGNMENT, 0);
            assert_eq!(Array::read(&file).unwrap(), array);
        }
    }

    #[test]
    fn a_file_of_numpy_is_read() {
        let mut file = MAGIC.to_vec();
        let header = "{'descr': '|i1', 'fortran_order': False, 'shape': (2,), }";
        file.extend_from_slice(&118u16.to_le_bytes());
        file.extend_from_slice(format!("{header:<117}\n").as_bytes());
        file.extend_from_slice(&[5, 6]);
        let array = Array::read(&file).unwrap();
        assert_eq!((array.kind, array.shape, array.values), ("|i1", vec![2], &[5u8, 6][..]));
    }

    #[test]
    fn what_is_no_array_is_refused() {
        let good = Array { kind: "<f4", shape: vec![2], values: &[0; 8] }.write();
        for length in 0..good.len() {
            assert!(Array::read(&good[..length]).is_err());
        }
        let with = |old: &str, new: &str| {
            let text = String::from_utf8_lossy(&good[MAGIC.len() + 2..]).replace(old, new);
            let file = [MAGIC, &good[MAGIC.len()..MAGIC.len() + 2], text.as_bytes()].concat();
            Array::read(&file).map(|_| ()).unwrap_err()
        };
        assert!(with("False", "True ").contains("Fortran"));
        assert!(with("<f4", "|O8").contains("not known"));
        assert!(with("(2,)", "(3,)").contains("follow"));
        assert!(with("(2,)", "(-,)").contains("shape"));
        let huge = "(99999999999999, 9999999999999), }                        ";
        let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {huge:<70}");
        let length = (text.len() as u16).to_le_bytes();
        assert!(Array::read(&[MAGIC, &length, text.as_bytes()].concat()).is_err());
    }
}
