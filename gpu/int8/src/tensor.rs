//! Hold integers of four widths, with a shape, in their one encoding.

use crate::{
    MAX_CELLS, MAX_RANK, ModelError,
    codec::{Reader, Writer},
    error::bounded,
    num,
};
use std::{borrow::Cow, fmt};

/// The type of a tensor's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DType {
    /// Activations and weights.
    I8,
    /// Finer activations, tables.
    I16,
    /// Probabilities in units of 1/65535.
    U16,
    /// Accumulators, the residual stream, tokens.
    I32,
}

impl DType {
    /// Least and greatest value that the type holds.
    #[must_use]
    pub fn limits(self) -> (i32, i32) {
        match self {
            DType::I8 => (i8::MIN.into(), i8::MAX.into()),
            DType::I16 => (i16::MIN.into(), i16::MAX.into()),
            DType::U16 => (0, u16::MAX.into()),
            DType::I32 => (i32::MIN, i32::MAX),
        }
    }

    /// The limits without the least value of the signed types, which has no negative.
    #[must_use]
    pub fn symmetric(self) -> (i32, i32) {
        let (low, high) = self.limits();
        if low < 0 { (high.wrapping_neg(), high) } else { (low, high) }
    }

    /// Bytes of one value.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            DType::I8 => 1,
            DType::I16 | DType::U16 => 2,
            DType::I32 => 4,
        }
    }

    pub(crate) fn code(self) -> u8 {
        match self {
            DType::I8 => 0,
            DType::I16 => 1,
            DType::U16 => 2,
            DType::I32 => 3,
        }
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        match reader.u8()? {
            0 => Ok(DType::I8),
            1 => Ok(DType::I16),
            2 => Ok(DType::U16),
            3 => Ok(DType::I32),
            found => Err(ModelError::Kind { what: "a type of values", found }),
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DType::I8 => "i8",
            DType::I16 => "i16",
            DType::U16 => "u16",
            DType::I32 => "i32",
        })
    }
}

/// Values of one type, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// 8-bit values.
    I8(Vec<i8>),
    /// 16-bit values.
    I16(Vec<i16>),
    /// Unsigned 16-bit values.
    U16(Vec<u16>),
    /// 32-bit values.
    I32(Vec<i32>),
}

/// The same expression for each width.
macro_rules! each {
    ($data:expr, $list:ident => $body:expr) => {
        match $data {
            Data::I8($list) => $body,
            Data::I16($list) => $body,
            Data::U16($list) => $body,
            Data::I32($list) => $body,
        }
    };
}

impl Data {
    /// Values of `dtype`; each must be within its limits, and saturates otherwise.
    #[must_use]
    pub fn collect(dtype: DType, values: impl IntoIterator<Item = i32>) -> Self {
        let values = values.into_iter();
        match dtype {
            DType::I8 => Data::I8(
                values.map(|x| i8::try_from(x).unwrap_or(if x < 0 { -128 } else { 127 })).collect(),
            ),
            DType::I16 => Data::I16(
                values
                    .map(|x| i16::try_from(x).unwrap_or(if x < 0 { i16::MIN } else { i16::MAX }))
                    .collect(),
            ),
            DType::U16 => Data::U16(
                values
                    .map(|x| u16::try_from(x).unwrap_or(if x < 0 { 0 } else { u16::MAX }))
                    .collect(),
            ),
            DType::I32 => Data::I32(values.collect()),
        }
    }

    /// The type of the values.
    #[must_use]
    pub fn dtype(&self) -> DType {
        match self {
            Data::I8(_) => DType::I8,
            Data::I16(_) => DType::I16,
            Data::U16(_) => DType::U16,
            Data::I32(_) => DType::I32,
        }
    }

    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        each!(self, list => list.len())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One value, as 32 bits.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<i32> {
        match self {
            Data::I8(list) => list.get(index).map(|x| i32::from(*x)),
            Data::I16(list) => list.get(index).map(|x| i32::from(*x)),
            Data::U16(list) => list.get(index).map(|x| i32::from(*x)),
            Data::I32(list) => list.get(index).copied(),
        }
    }

    /// All values, as 32 bits.
    #[must_use]
    pub fn widened(&self) -> Cow<'_, [i32]> {
        match self {
            Data::I32(list) => Cow::Borrowed(list),
            Data::I8(list) => Cow::Owned(list.iter().map(|x| i32::from(*x)).collect()),
            Data::I16(list) => Cow::Owned(list.iter().map(|x| i32::from(*x)).collect()),
            Data::U16(list) => Cow::Owned(list.iter().map(|x| i32::from(*x)).collect()),
        }
    }

    /// The values if they are of 8 bits, and none otherwise.
    #[must_use]
    pub fn i8s(&self) -> &[i8] {
        if let Data::I8(list) = self { list } else { &[] }
    }

    /// The values if they are of 32 bits, and none otherwise.
    #[must_use]
    pub fn i32s(&self) -> &[i32] {
        if let Data::I32(list) = self { list } else { &[] }
    }

    /// Appends values of the same type; those of another are left out.
    pub(crate) fn append(&mut self, more: &Data) {
        match (self, more) {
            (Data::I8(list), Data::I8(more)) => list.extend_from_slice(more),
            (Data::I16(list), Data::I16(more)) => list.extend_from_slice(more),
            (Data::U16(list), Data::U16(more)) => list.extend_from_slice(more),
            (Data::I32(list), Data::I32(more)) => list.extend_from_slice(more),
            _ => {}
        }
    }

    /// `length` values from `start` on, as far as there are any.
    pub(crate) fn part(&self, start: usize, length: usize) -> Data {
        fn of<T: Clone>(list: &[T], start: usize, length: usize) -> Vec<T> {
            list.iter().skip(start).take(length).cloned().collect()
        }
        match self {
            Data::I8(list) => Data::I8(of(list, start, length)),
            Data::I16(list) => Data::I16(of(list, start, length)),
            Data::U16(list) => Data::U16(of(list, start, length)),
            Data::I32(list) => Data::I32(of(list, start, length)),
        }
    }

    /// All values, little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        each!(self, list => list.iter().flat_map(|x| x.to_le_bytes()).collect())
    }

    /// The values that `bytes` hold; bytes that do not fill one are left out.
    pub(crate) fn from_bytes(dtype: DType, bytes: &[u8]) -> Self {
        match dtype {
            DType::I8 => Data::I8(bytes.iter().map(|byte| i8::from_le_bytes([*byte])).collect()),
            DType::I16 => Data::I16(words(bytes).map(i16::from_le_bytes).collect()),
            DType::U16 => Data::U16(words(bytes).map(u16::from_le_bytes).collect()),
            DType::I32 => Data::I32(words(bytes).map(i32::from_le_bytes).collect()),
        }
    }
}

fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks().0.iter().copied()
}

/// Values with a shape, the last axis contiguous.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    dims: Vec<usize>,
    data: Data,
}

impl Tensor {
    /// Makes a tensor of these axes, none of them empty.
    ///
    /// # Errors
    /// [`ModelError::Bound`] for too many or empty axes or values, [`ModelError::Shape`] if `data`
    /// has another length than the axes ask for.
    pub fn new(dims: Vec<usize>, data: Data) -> Result<Self, ModelError> {
        let expected = check_dims(&dims)?;
        if data.len() != expected {
            let (what, found) = ("a tensor", data.len());
            return Err(ModelError::Shape { what, found, expected });
        }
        Ok(Tensor { dims, data })
    }

    /// A list of tokens, or of other 32-bit values.
    ///
    /// # Errors
    /// [`ModelError::Bound`] if there are none or too many.
    pub fn list(values: Vec<i32>) -> Result<Self, ModelError> {
        Tensor::new(vec![values.len()], Data::I32(values))
    }

    /// The lengths of the axes.
    #[must_use]
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// The values, the last axis contiguous.
    #[must_use]
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// The values alone.
    #[must_use]
    pub fn into_data(self) -> Data {
        self.data
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        out.u8(self.data.dtype().code());
        out.u8(u8::try_from(self.dims.len()).unwrap_or(u8::MAX));
        self.dims.iter().for_each(|dim| out.count(*dim));
        out.bytes(&self.data.to_bytes());
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        let dtype = DType::decode(reader)?;
        let rank = usize::from(reader.u8()?);
        bounded("the number of axes", rank, 1, MAX_RANK.saturating_add(1))?;
        let dims = (0..rank).map(|_| reader.count()).collect::<Result<Vec<_>, _>>()?;
        let bytes = reader.take(check_dims(&dims)?.saturating_mul(dtype.bytes()))?;
        Tensor::new(dims, Data::from_bytes(dtype, bytes))
    }
}

/// The number of values that axes ask for.
fn check_dims(dims: &[usize]) -> Result<usize, ModelError> {
    bounded("the number of axes", dims.len(), 1, MAX_RANK.saturating_add(1))?;
    bounded("the number of values of a tensor", num::volume(dims), 1, MAX_CELLS)
}
