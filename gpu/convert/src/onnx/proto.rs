//! Read attributes and stored constants.

use std::rc::Rc;

use tract_onnx::pb::{AttributeProto, NodeProto, TensorProto, tensor_proto::DataType};

use super::{
    constant::{Cells, Constant},
    external::Folder,
};
use crate::checkpoint::half;

/// A constant as the file holds it, or a file beside it.
pub(super) fn constant(tensor: &TensorProto, folder: &Folder<'_>) -> Result<Constant, String> {
    let dims: Option<Vec<usize>> =
        tensor.dims.iter().map(|dim| usize::try_from(*dim).ok()).collect();
    let dims = dims.ok_or("it has a negative length")?;
    let kind = DataType::try_from(tensor.data_type).unwrap_or(DataType::Undefined);
    let count = dims.iter().try_fold(1_usize, |cells, dim| cells.checked_mul(*dim));
    let fits = |found: usize| match count {
        Some(count) if count == found => Ok(()),
        _ => Err(format!("it has {found} values, and its shape {dims:?} asks for others")),
    };
    let outside;
    let raw = if tensor.data_location == Some(1) || !tensor.external_data.is_empty() {
        outside = folder.read(&tensor.external_data)?;
        &outside
    } else {
        &tensor.raw_data
    };
    // An empty list is a constant too: of no axes to reduce, of a shape of no axes.
    let listed = raw.is_empty() && count != Some(0);
    let cells = if listed { of_lists(tensor, kind) } else { of_bytes(raw, kind) };
    let cells = cells.ok_or_else(|| {
        let kind = kind.as_str_name();
        format!("its type, {kind}, is not taken: export with floats of 32 bits")
    })?;
    fits(match &cells {
        Cells::Floats(list) => list.len(),
        Cells::Integers(list) => list.len(),
    })?;
    Ok(Constant { dims, cells })
}

fn floats(values: impl Iterator<Item = f32>) -> Option<Cells> {
    Some(Cells::Floats(Rc::new(values.collect())))
}

fn integers(values: impl Iterator<Item = i64>) -> Option<Cells> {
    Some(Cells::Integers(Rc::new(values.collect())))
}

fn of_lists(tensor: &TensorProto, kind: DataType) -> Option<Cells> {
    match kind {
        DataType::Float => floats(tensor.float_data.iter().copied()),
        DataType::Double => floats(tensor.double_data.iter().map(|x| *x as f32)),
        DataType::Float16 => floats(tensor.int32_data.iter().map(|x| half(*x as u16))),
        DataType::Int64 => integers(tensor.int64_data.iter().copied()),
        DataType::Uint64 | DataType::Uint32 => {
            integers(tensor.uint64_data.iter().map(|x| i64::try_from(*x).unwrap_or(i64::MAX)))
        }
        DataType::Int32
        | DataType::Int16
        | DataType::Int8
        | DataType::Uint16
        | DataType::Uint8
        | DataType::Bool => integers(tensor.int32_data.iter().map(|x| i64::from(*x))),
        _ => None,
    }
}

fn of_bytes(raw: &[u8], kind: DataType) -> Option<Cells> {
    match kind {
        DataType::Float => floats(words(raw).map(f32::from_le_bytes)),
        DataType::Double => floats(words(raw).map(|b| f64::from_le_bytes(b) as f32)),
        DataType::Float16 => floats(words(raw).map(|b| half(u16::from_le_bytes(b)))),
        DataType::Bfloat16 => {
            floats(words(raw).map(|b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)))
        }
        DataType::Int64 => integers(words(raw).map(i64::from_le_bytes)),
        DataType::Uint64 => {
            integers(words(raw).map(|b| i64::try_from(u64::from_le_bytes(b)).unwrap_or(i64::MAX)))
        }
        DataType::Int32 => integers(words(raw).map(|b| i32::from_le_bytes(b).into())),
        DataType::Uint32 => integers(words(raw).map(|b| u32::from_le_bytes(b).into())),
        DataType::Int16 => integers(words(raw).map(|b| i16::from_le_bytes(b).into())),
        DataType::Uint16 => integers(words(raw).map(|b| u16::from_le_bytes(b).into())),
        DataType::Int8 => integers(raw.iter().map(|b| b.cast_signed().into())),
        DataType::Uint8 | DataType::Bool => integers(raw.iter().map(|b| (*b).into())),
        _ => None,
    }
}

fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks().0.iter().copied()
}

/// An attribute, if the node has it.
pub(super) fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name == name)
}

/// An integer attribute, or what stands for it.
pub(super) fn int(node: &NodeProto, name: &str, default: i64) -> i64 {
    attribute(node, name).map_or(default, |a| a.i)
}

/// A float attribute, or what stands for it.
pub(super) fn float(node: &NodeProto, name: &str, default: f32) -> f32 {
    attribute(node, name).map_or(default, |a| a.f)
}

/// A list of integers; empty if there is none.
pub(super) fn ints<'a>(node: &'a NodeProto, name: &str) -> &'a [i64] {
    attribute(node, name).map_or(&[], |a| &a.ints)
}

/// A text; empty if there is none.
pub(super) fn text(node: &NodeProto, name: &str) -> String {
    attribute(node, name).map(|a| String::from_utf8_lossy(&a.s).into_owned()).unwrap_or_default()
}

/// An axis that may count from the end, of `rank` axes.
pub(super) fn axis(axis: i64, rank: usize) -> Result<usize, String> {
    let rank_i = i64::try_from(rank).unwrap_or(i64::MAX);
    let from_start = if axis < 0 { axis.checked_add(rank_i) } else { Some(axis) };
    let found = from_start.and_then(|axis| usize::try_from(axis).ok()).filter(|at| *at < rank);
    found.ok_or_else(|| format!("axis {axis} is none of its {rank}"))
}
