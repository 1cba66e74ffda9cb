//! Hold a model's parameters: weights, biases, multipliers and tables, under one root.

use crate::{
    DType, Data, MAX_CELLS, MAX_RANK, ModelError, Tensor,
    codec::{Reader, Writer, check_name},
    error::bounded,
    merkle::{self, LEAF_BYTES, Leaf},
    num,
};

/// The domain of a model's root of parameters, a BLAKE3 key-derivation context.
pub const PARAMS_DOMAIN: &str = "neura:int8:params:v2";

/// The index of a parameter in its model's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ParamId(pub u32);

/// A parameter's line in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamSpec {
    /// Its name, as in the checkpoint it comes from.
    pub name: String,
    /// The type of its values.
    pub dtype: DType,
    /// The lengths of its axes, the last contiguous.
    pub dims: Vec<usize>,
}

impl ParamSpec {
    /// Checks name and axes.
    ///
    /// # Errors
    /// [`ModelError::Name`] or [`ModelError::Bound`].
    pub fn check(&self) -> Result<(), ModelError> {
        check_name(&self.name)?;
        bounded("the number of axes", self.dims.len(), 1, MAX_RANK.saturating_add(1))?;
        bounded("the number of values of a parameter", num::volume(&self.dims), 1, MAX_CELLS)?;
        Ok(())
    }

    /// Number of values.
    #[must_use]
    pub fn cells(&self) -> usize {
        num::volume(&self.dims)
    }

    /// Bytes of its values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.cells().saturating_mul(self.dtype.bytes())
    }

    /// Bytes in the blob: whole leaves.
    pub(crate) fn stored(&self) -> usize {
        self.bytes().checked_next_multiple_of(LEAF_BYTES).unwrap_or(usize::MAX)
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        out.name(&self.name);
        out.u8(self.dtype.code());
        out.u8(u8::try_from(self.dims.len()).unwrap_or(u8::MAX));
        self.dims.iter().for_each(|dim| out.count(*dim));
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        let name = reader.name()?;
        let dtype = DType::decode(reader)?;
        let rank = usize::from(reader.u8()?);
        bounded("the number of axes", rank, 1, MAX_RANK.saturating_add(1))?;
        let dims = (0..rank).map(|_| reader.count()).collect::<Result<_, _>>()?;
        let spec = ParamSpec { name, dtype, dims };
        spec.check().map(|()| spec)
    }
}

/// Where a parameter's values begin in the blob, in bytes.
#[must_use]
pub fn param_offset(specs: &[ParamSpec], id: ParamId) -> usize {
    let before = specs.iter().take(num::size(id.0));
    before.fold(0, |sum: usize, spec| sum.saturating_add(spec.stored()))
}

/// Length of the blob of all parameters, in bytes.
#[must_use]
pub fn blob_bytes(specs: &[ParamSpec]) -> usize {
    specs.iter().fold(0, |sum: usize, spec| sum.saturating_add(spec.stored()))
}

/// The values of all parameters of a table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Params {
    data: Vec<Data>,
}

impl Params {
    /// Holds tensors, in the order of the table.
    ///
    /// # Errors
    /// [`ModelError::Param`] if one has another type or shape than the table says.
    pub fn new(specs: &[ParamSpec], tensors: Vec<Tensor>) -> Result<Self, ModelError> {
        if tensors.len() != specs.len() {
            let (found, expected) = (tensors.len(), specs.len());
            return Err(ModelError::Shape { what: "the list of parameters", found, expected });
        }
        let wrong = specs.iter().zip(&tensors).find(|(spec, tensor)| {
            spec.dtype != tensor.data().dtype() || spec.dims != tensor.dims()
        });
        if let Some((spec, _)) = wrong {
            return Err(ModelError::Param { name: spec.name.clone() });
        }
        Ok(Params { data: tensors.into_iter().map(Tensor::into_data).collect() })
    }

    /// Reads the blob of a table; the inverse of [`Params::encode`], accepting nothing else. The
    /// root is not checked here.
    ///
    /// # Errors
    /// [`ModelError::Shape`] for another length, [`ModelError::Reserved`] if padding is not zero.
    pub fn decode(specs: &[ParamSpec], blob: &[u8]) -> Result<Self, ModelError> {
        let (found, expected) = (blob.len(), blob_bytes(specs));
        if found != expected {
            return Err(ModelError::Shape { what: "the blob of parameters", found, expected });
        }
        let mut rest = blob;
        let mut data = Vec::with_capacity(specs.len());
        for spec in specs {
            let what = "the blob of parameters";
            let short = ModelError::Shape { what, found, expected };
            let (stored, after) = rest.split_at_checked(spec.stored()).ok_or(short.clone())?;
            let (bytes, padding) = stored.split_at_checked(spec.bytes()).ok_or(short)?;
            if padding.iter().any(|byte| *byte != 0) {
                return Err(ModelError::Reserved { what });
            }
            data.push(Data::from_bytes(spec.dtype, bytes));
            rest = after;
        }
        Ok(Params { data })
    }

    /// The blob: each parameter's values, little-endian, padded with zeros to whole leaves.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut blob = Vec::new();
        for data in &self.data {
            blob.extend(data.to_bytes());
            let whole = blob.len().checked_next_multiple_of(LEAF_BYTES).unwrap_or(usize::MAX);
            blob.resize(whole, 0);
        }
        blob
    }

    /// The root over the blob's leaves.
    #[must_use]
    pub fn root(&self) -> [u8; 32] {
        merkle::root(PARAMS_DOMAIN, &self.encode())
    }

    /// The opening of the leaf that holds value `index` of a parameter.
    #[must_use]
    pub fn open(&self, specs: &[ParamSpec], id: ParamId, index: usize) -> Option<Leaf> {
        let spec = specs.get(num::size(id.0)).filter(|spec| index < spec.cells())?;
        let at = num::join(index, spec.dtype.bytes(), param_offset(specs, id));
        merkle::open(PARAMS_DOMAIN, &self.encode(), at)
    }

    /// One parameter's values.
    #[must_use]
    pub fn get(&self, id: ParamId) -> Option<&Data> {
        self.data.get(num::size(id.0))
    }

    /// The values of an i8 parameter; none if it is not one.
    #[must_use]
    pub fn i8s(&self, id: ParamId) -> &[i8] {
        self.get(id).map_or(&[], Data::i8s)
    }

    /// The values of an i32 parameter; none if it is not one.
    #[must_use]
    pub fn i32s(&self, id: ParamId) -> &[i32] {
        self.get(id).map_or(&[], Data::i32s)
    }
}

/// Reads value `index` of a parameter from an opened leaf, once that leads to `root`.
///
/// # Errors
/// [`ModelError::Opening`] if it does not, or there is no such value.
pub fn opened_param(
    root: &[u8; 32],
    specs: &[ParamSpec],
    (id, index): (ParamId, usize),
    leaf: &Leaf,
) -> Result<i32, ModelError> {
    let spec = specs.get(num::size(id.0)).filter(|spec| index < spec.cells());
    let spec = spec.ok_or(ModelError::Opening)?;
    let at = num::join(index, spec.dtype.bytes(), param_offset(specs, id));
    let length = num::wide(blob_bytes(specs));
    if merkle::root_of(PARAMS_DOMAIN, leaf, num::wide(at), length)? != *root {
        return Err(ModelError::Opening);
    }
    value_in_leaf(spec.dtype, &leaf.bytes, at).ok_or(ModelError::Opening)
}

/// The value that begins at byte `at` of what a leaf is of. Leaves hold whole values.
pub(crate) fn value_in_leaf(dtype: DType, leaf: &[u8], at: usize) -> Option<i32> {
    let (_, start) = num::split(at, LEAF_BYTES);
    let bytes = leaf.get(start..)?.get(..dtype.bytes())?;
    Data::from_bytes(dtype, bytes).get(0)
}
