//! Read and write arrays of numbers as NumPy's files.

use crate::{ConvertError, error};

const WHAT: &str = "the .npy file";
const MAGIC: &[u8] = b"\x93NUMPY";
/// Files begin their values at a multiple of this.
const ALIGNMENT: usize = 64;
/// Most values of an array: 1 GiB of 32-bit ones.
const MAX_VALUES: usize = 1 << 28;

/// The type of an array's values, all little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `<f4`.
    F32,
    /// `<f8`.
    F64,
    /// `|i1`.
    I8,
    /// `|u1` or `|b1`.
    U8,
    /// `<i2`.
    I16,
    /// `<u2`.
    U16,
    /// `<i4`.
    I32,
    /// `<i8`.
    I64,
}

const KINDS: [(&str, Kind, usize); 9] = [
    ("<f4", Kind::F32, 4),
    ("<f8", Kind::F64, 8),
    ("|i1", Kind::I8, 1),
    ("|u1", Kind::U8, 1),
    ("|b1", Kind::U8, 1),
    ("<i2", Kind::I16, 2),
    ("<u2", Kind::U16, 2),
    ("<i4", Kind::I32, 4),
    ("<i8", Kind::I64, 8),
];

/// An array.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// The type that its values had in the file.
    pub kind: Kind,
    /// The lengths of its axes.
    pub shape: Vec<usize>,
    /// Its values; 64 bits hold all of the types but great integers of 64 bits.
    pub values: Vec<f64>,
}

impl Array {
    /// Whether bytes begin as a `.npy` file does.
    #[must_use]
    pub fn is_npy(bytes: &[u8]) -> bool {
        bytes.starts_with(MAGIC)
    }

    /// Reads a file of version 1, 2 or 3.
    ///
    /// # Errors
    /// [`ConvertError::Format`] for anything else.
    pub fn read(bytes: &[u8]) -> Result<Self, ConvertError> {
        let wrong = |reason: &str| error::format(WHAT, reason);
        let early = || wrong("it ends early");
        let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| wrong("it begins with no magic"))?;
        let (&[major, _], rest) = rest.split_first_chunk::<2>().ok_or_else(early)?;
        let (length, rest) = if major == 1 {
            let (length, rest) = rest.split_first_chunk::<2>().ok_or_else(early)?;
            (usize::from(u16::from_le_bytes(*length)), rest)
        } else {
            let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(early)?;
            (u32::from_le_bytes(*length) as usize, rest)
        };
        let (header, values) = rest.split_at_checked(length).ok_or_else(early)?;
        let header = std::str::from_utf8(header).map_err(|_| wrong("its header is no text"))?;
        if entry(header, "fortran_order")? != "False" {
            return Err(wrong("its order is Fortran's: save numpy.ascontiguousarray(x)"));
        }
        let name = entry(header, "descr")?.trim_matches(['\'', '"']).to_owned();
        let found = KINDS.iter().find(|(known, ..)| *known == name);
        let (_, kind, width) = found.ok_or_else(|| {
            wrong("its type is not known: use float32, float64, int8 to int64, uint8, uint16, bool")
        })?;
        let shape = shape(header)?;
        let count = shape.iter().try_fold(1_usize, |count, side| count.checked_mul(*side));
        let count = count.filter(|count| *count <= MAX_VALUES);
        if count.and_then(|count| count.checked_mul(*width)) != Some(values.len()) {
            return Err(wrong("its shape asks for another number of values than it holds"));
        }
        let values = values.chunks_exact(*width).map(|bytes| kind.value(bytes)).collect();
        Ok(Array { kind: *kind, shape, values })
    }

    /// Writes a file of version 1.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let name =
            KINDS.iter().find(|(_, kind, _)| *kind == self.kind).map_or("<f8", |kind| kind.0);
        let sides: String = self.shape.iter().map(|side| format!("{side}, ")).collect();
        let mut header = format!(
            "{{'descr': '{name}', 'fortran_order': False, 'shape': ({}), }}",
            sides.trim_end()
        );
        let begun = MAGIC.len() + 4;
        let length = (begun + header.len() + 1).next_multiple_of(ALIGNMENT) - begun;
        header.extend(std::iter::repeat_n(' ', length - header.len() - 1));
        header.push('\n');
        let mut file = [MAGIC, &[1, 0], &(length as u16).to_le_bytes(), header.as_bytes()].concat();
        self.values.iter().for_each(|x| self.kind.push(*x, &mut file));
        file
    }

    /// The values as floats of 32 bits.
    #[must_use]
    pub fn floats(&self) -> Vec<f32> {
        self.values.iter().map(|x| *x as f32).collect()
    }
}

impl Kind {
    fn value(self, bytes: &[u8]) -> f64 {
        let four = || [bytes[0], bytes[1], bytes[2], bytes[3]];
        let eight = || {
            let [a, b, c, d] = four();
            [a, b, c, d, bytes[4], bytes[5], bytes[6], bytes[7]]
        };
        match self {
            Kind::F32 => f32::from_le_bytes(four()).into(),
            Kind::F64 => f64::from_le_bytes(eight()),
            Kind::I8 => (bytes[0] as i8).into(),
            Kind::U8 => bytes[0].into(),
            Kind::I16 => i16::from_le_bytes([bytes[0], bytes[1]]).into(),
            Kind::U16 => u16::from_le_bytes([bytes[0], bytes[1]]).into(),
            Kind::I32 => i32::from_le_bytes(four()).into(),
            Kind::I64 => i64::from_le_bytes(eight()) as f64,
        }
    }

    fn push(self, x: f64, out: &mut Vec<u8>) {
        match self {
            Kind::F32 => out.extend((x as f32).to_le_bytes()),
            Kind::F64 => out.extend(x.to_le_bytes()),
            Kind::I8 => out.extend((x as i8).to_le_bytes()),
            Kind::U8 => out.extend((x as u8).to_le_bytes()),
            Kind::I16 => out.extend((x as i16).to_le_bytes()),
            Kind::U16 => out.extend((x as u16).to_le_bytes()),
            Kind::I32 => out.extend((x as i32).to_le_bytes()),
            Kind::I64 => out.extend((x as i64).to_le_bytes()),
        }
    }
}

fn entry<'a>(header: &'a str, name: &str) -> Result<&'a str, ConvertError> {
    let missing = || error::format(WHAT, format!("its header has no '{name}'"));
    let (_, rest) = header.split_once(&format!("'{name}':")).ok_or_else(missing)?;
    Ok(rest.split([',', '}']).next().ok_or_else(missing)?.trim())
}

fn shape(header: &str) -> Result<Vec<usize>, ConvertError> {
    let wrong = || error::format(WHAT, "its header has no shape");
    let (_, rest) = header.split_once("'shape':").ok_or_else(wrong)?;
    let (_, rest) = rest.split_once('(').ok_or_else(wrong)?;
    let (sides, _) = rest.split_once(')').ok_or_else(wrong)?;
    let sides = sides.split(',').map(str::trim).filter(|side| !side.is_empty());
    sides.map(|side| side.parse().map_err(|_| wrong())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_of_every_type_are_read_as_they_are_written() {
        for (_, kind, _) in KINDS {
            let array = Array { kind, shape: vec![2, 2], values: vec![0.0, 1.0, 2.0, 100.0] };
            let file = array.write();
            assert_eq!(Array::read(&file).unwrap(), array);
            for length in 0..file.len() {
                assert!(Array::read(&file[..length]).is_err(), "{kind:?} {length}");
            }
        }
    }
}
