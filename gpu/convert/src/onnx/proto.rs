//! Read constants and attributes.

use tract_onnx::pb::{NodeProto, TensorProto, tensor_proto::DataType};

use super::WHAT;
use crate::{ConvertError, checkpoint::half, error};

/// A constant of the model.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Constant {
    pub(super) dims: Vec<usize>,
    pub(super) values: Vec<f64>,
}

impl Constant {
    pub(super) fn read(tensor: &TensorProto) -> Result<Self, ConvertError> {
        let wrong =
            |reason: &str| error::format(WHAT, format!("constant '{}' {reason}", tensor.name));
        let dims: Option<Vec<usize>> =
            tensor.dims.iter().map(|dim| usize::try_from(*dim).ok()).collect();
        let dims = dims.ok_or_else(|| wrong("has a negative length"))?;
        if tensor.data_location == Some(1) || !tensor.external_data.is_empty() {
            return Err(wrong("lies in another file: save the model in one file"));
        }
        let raw = &tensor.raw_data;
        let values: Vec<f64> = match DataType::try_from(tensor.data_type) {
            Ok(DataType::Float) if raw.is_empty() => {
                tensor.float_data.iter().map(|x| f64::from(*x)).collect()
            }
            Ok(DataType::Float) => {
                let cells = raw.chunks_exact(4);
                cells.map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]]))).collect()
            }
            Ok(DataType::Int64) if raw.is_empty() => {
                tensor.int64_data.iter().map(|x| *x as f64).collect()
            }
            Ok(DataType::Int64) => {
                raw.chunks_exact(8).map(|b| eight(b, i64::from_le_bytes) as f64).collect()
            }
            Ok(DataType::Int32) if raw.is_empty() => {
                tensor.int32_data.iter().map(|x| f64::from(*x)).collect()
            }
            Ok(DataType::Int32) => {
                let cells = raw.chunks_exact(4);
                cells.map(|b| f64::from(i32::from_le_bytes([b[0], b[1], b[2], b[3]]))).collect()
            }
            Ok(DataType::Double) if raw.is_empty() => tensor.double_data.clone(),
            Ok(DataType::Double) => {
                raw.chunks_exact(8).map(|b| eight(b, f64::from_le_bytes)).collect()
            }
            Ok(DataType::Float16) if !raw.is_empty() => {
                let cells = raw.chunks_exact(2);
                cells.map(|b| f64::from(half(u16::from_le_bytes([b[0], b[1]])))).collect()
            }
            _ => return Err(wrong("has a type that is not taken: export with 32-bit floats")),
        };
        let cells = dims.iter().try_fold(1_usize, |cells, dim| cells.checked_mul(*dim));
        if cells != Some(values.len()) {
            return Err(wrong("has another number of values than its shape asks for"));
        }
        match values.iter().all(|x| x.is_finite()) {
            true => Ok(Constant { dims, values }),
            false => Err(ConvertError::NotFinite { name: tensor.name.clone() }),
        }
    }

    /// The values as floats of 32 bits.
    pub(super) fn floats(&self) -> Vec<f32> {
        self.values.iter().map(|x| *x as f32).collect()
    }

    /// One value for each of `count` channels: as many values, or one for all.
    pub(super) fn channels(&self, count: usize) -> Option<Vec<f32>> {
        match self.values.len() {
            1 => Some(vec![self.values[0] as f32; count]),
            length if length == count => Some(self.floats()),
            _ => None,
        }
    }
}

fn eight<T>(b: &[u8], of: fn([u8; 8]) -> T) -> T {
    of([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]])
}

/// An integer attribute, or what stands for it.
pub(super) fn int(node: &NodeProto, name: &str, default: i64) -> i64 {
    node.attribute.iter().find(|a| a.name == name).map_or(default, |a| a.i)
}

/// A float attribute, or what stands for it.
pub(super) fn float(node: &NodeProto, name: &str, default: f32) -> f32 {
    node.attribute.iter().find(|a| a.name == name).map_or(default, |a| a.f)
}

/// A list of integers; empty if there is none.
pub(super) fn ints<'a>(node: &'a NodeProto, name: &str) -> &'a [i64] {
    node.attribute.iter().find(|a| a.name == name).map_or(&[], |a| &a.ints)
}

/// A text; empty if there is none.
pub(super) fn text(node: &NodeProto, name: &str) -> String {
    let found = node.attribute.iter().find(|a| a.name == name);
    found.map(|a| String::from_utf8_lossy(&a.s).into_owned()).unwrap_or_default()
}
