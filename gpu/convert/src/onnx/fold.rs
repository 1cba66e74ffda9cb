//! Compute what only depends on constants: the arithmetic of shapes, positions and masks.

use std::rc::Rc;

use tract_onnx::pb::{NodeProto, tensor_proto::DataType};

use super::{
    constant::{Cells, Constant, broadcast, strides, volume},
    proto::{attribute, axis, float, int, ints},
};
use crate::{Binary, Function};

/// The axes that a node names, as an attribute or as its second operand, sorted.
pub(super) fn axes(
    node: &NodeProto,
    operand: Option<&Constant>,
    rank: usize,
) -> Result<Option<Vec<usize>>, String> {
    let list = match operand {
        Some(operand) => operand.to_integers(),
        None if attribute(node, "axes").is_none() => return Ok(None),
        None => ints(node, "axes").to_vec(),
    };
    let mut found = list.into_iter().map(|at| axis(at, rank)).collect::<Result<Vec<_>, _>>()?;
    found.sort_unstable();
    found.dedup();
    Ok(Some(found))
}

/// What a node makes of constants; none if its operator is not computed here.
pub(super) fn fold(
    node: &NodeProto,
    inputs: &[Option<Constant>],
) -> Result<Option<Vec<Constant>>, String> {
    let x = || inputs.first().and_then(Option::as_ref).ok_or("its operand is missing");
    let second = inputs.get(1).and_then(Option::as_ref);
    let made = match &node.op_type[..] {
        "Identity" | "Dropout" => x()?.clone(),
        "Cast" => cast(x()?, int(node, "to", 1)),
        "CastLike" => x()?.clone(),
        "Neg" | "Abs" | "Sqrt" | "Exp" | "Log" | "Reciprocal" | "Floor" | "Ceil" | "Round"
        | "Sin" | "Cos" | "Tanh" | "Erf" | "Relu" | "Sigmoid" | "Not" | "IsNaN" | "Sign" => {
            unary(&node.op_type, x()?)
        }
        "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Mod" | "Max" | "Min" | "Equal" | "Less"
        | "Greater" | "LessOrEqual" | "GreaterOrEqual" | "And" | "Or" => {
            binary(&node.op_type, x()?, second.ok_or("its second operand is missing")?)?
        }
        "Clip" => {
            clipped(x()?, inputs, (float(node, "min", f32::MIN), float(node, "max", f32::MAX)))
        }
        "Where" => select(inputs)?,
        "ReduceSum" | "ReduceMean" | "ReduceProd" | "ReduceMax" | "ReduceMin" => {
            reduce(node, x()?, second)?
        }
        "CumSum" => cumulated(x()?, second)?,
        "Trilu" => triangle(x()?, second, int(node, "upper", 1) != 0)?,
        "MatMul" => product(x()?, second.ok_or("its second operand is missing")?)?,
        "DequantizeLinear" => dequantised(node, inputs)?,
        _ => return super::fold_layout::fold(node, inputs),
    };
    Ok(Some(vec![made]))
}

/// Numbers between two bounds: operands, or attributes where these are missing.
fn clipped(x: &Constant, inputs: &[Option<Constant>], bounds: (f32, f32)) -> Constant {
    let given = |at: usize| inputs.get(at).and_then(Option::as_ref).and_then(Constant::uniform);
    let (low, high) = (given(1).unwrap_or(bounds.0), given(2).unwrap_or(bounds.1));
    let values = x.to_floats().into_iter().map(|x| x.max(low).min(high));
    let clipped = Constant::floats(x.dims.clone(), values.collect());
    match &x.cells {
        Cells::Floats(_) => clipped,
        Cells::Integers(_) => Constant::integers(x.dims.clone(), clipped.to_integers()),
    }
}

fn cast(x: &Constant, to: i64) -> Constant {
    let kind = i32::try_from(to).ok().and_then(|to| DataType::try_from(to).ok());
    let dims = x.dims.clone();
    match kind {
        Some(DataType::Float | DataType::Float16 | DataType::Double | DataType::Bfloat16) => {
            Constant::floats(dims, x.to_floats())
        }
        Some(DataType::Bool) => {
            Constant::integers(dims, x.to_floats().iter().map(|x| (*x != 0.0).into()).collect())
        }
        _ => Constant::integers(dims, x.to_integers()),
    }
}

fn unary(op: &str, x: &Constant) -> Constant {
    let dims = x.dims.clone();
    if let (Cells::Integers(list), "Neg" | "Abs" | "Not" | "Floor" | "Ceil" | "Round" | "Sign") =
        (&x.cells, op)
    {
        let of = |x: &i64| match op {
            "Neg" => x.wrapping_neg(),
            "Abs" => x.wrapping_abs(),
            "Not" => (*x == 0).into(),
            "Sign" => x.signum(),
            _ => *x,
        };
        return Constant::integers(dims, list.iter().map(of).collect());
    }
    let values = x.to_floats();
    if op == "IsNaN" {
        return Constant::integers(dims, values.iter().map(|x| x.is_nan().into()).collect());
    }
    let of = |x: f32| match op {
        "Neg" => -x,
        "Abs" => x.abs(),
        "Sqrt" => x.sqrt(),
        "Exp" => x.exp(),
        "Log" => x.ln(),
        "Reciprocal" => 1.0 / x,
        "Floor" => x.floor(),
        "Ceil" => x.ceil(),
        "Round" => x.round_ties_even(),
        "Sin" => x.sin(),
        "Cos" => x.cos(),
        "Tanh" => x.tanh(),
        "Erf" => Function::Erf.of(x),
        "Relu" => x.max(0.0),
        "Sigmoid" => Function::Sigmoid.of(x),
        "Sign" if x == 0.0 => 0.0,
        "Sign" => x.signum(),
        _ => f32::from(x == 0.0),
    };
    Constant::floats(dims, values.into_iter().map(of).collect())
}

/// The operator of two numbers that a node stands for.
pub(super) fn operator(op: &str) -> Option<Binary> {
    Some(match op {
        "Add" | "Sum" => Binary::Add,
        "Sub" => Binary::Sub,
        "Mul" => Binary::Mul,
        "Div" => Binary::Div,
        "Pow" => Binary::Pow,
        "Max" => Binary::Max,
        "Min" => Binary::Min,
        _ => return None,
    })
}

fn binary(op: &str, a: &Constant, b: &Constant) -> Result<Constant, String> {
    let dims = broadcast(&a.dims, &b.dims)?;
    let (a, b) = (a.expanded(&dims)?, b.expanded(&dims)?);
    let truth = |of: fn(f64, f64) -> bool| -> Vec<i64> {
        let wide = |x: &Constant| match &x.cells {
            Cells::Floats(list) => list.iter().map(|x| f64::from(*x)).collect::<Vec<_>>(),
            Cells::Integers(list) => list.iter().map(|x| *x as f64).collect(),
        };
        wide(&a).iter().zip(&wide(&b)).map(|(a, b)| of(*a, *b).into()).collect()
    };
    let truths = match op {
        "Equal" => Some(truth(|a, b| a == b)),
        "Less" => Some(truth(|a, b| a < b)),
        "Greater" => Some(truth(|a, b| a > b)),
        "LessOrEqual" => Some(truth(|a, b| a <= b)),
        "GreaterOrEqual" => Some(truth(|a, b| a >= b)),
        "And" => Some(truth(|a, b| a != 0.0 && b != 0.0)),
        "Or" => Some(truth(|a, b| a != 0.0 || b != 0.0)),
        _ => None,
    };
    if let Some(truths) = truths {
        return Ok(Constant::integers(dims, truths));
    }
    if let (Cells::Integers(a), Cells::Integers(b)) = (&a.cells, &b.cells) {
        let cells = a.iter().zip(b.iter()).map(|(a, b)| whole(op, *a, *b));
        let cells: Option<Vec<i64>> = cells.collect();
        let cells = cells.ok_or("its constants divide by zero or leave 64 bits")?;
        return Ok(Constant::integers(dims, cells));
    }
    let of = operator(op);
    let of = |(a, b): (f32, f32)| match of {
        Some(of) => of.of(a, b),
        None => a % b,
    };
    let cells = a.to_floats().into_iter().zip(b.to_floats()).map(of).collect();
    Ok(Constant::floats(dims, cells))
}

fn whole(op: &str, a: i64, b: i64) -> Option<i64> {
    match op {
        "Add" => a.checked_add(b),
        "Sub" => a.checked_sub(b),
        "Mul" => a.checked_mul(b),
        "Div" => a.checked_div(b),
        "Mod" => a.checked_rem_euclid(b),
        "Pow" => a.checked_pow(u32::try_from(b).ok()?),
        "Max" => Some(a.max(b)),
        _ => Some(a.min(b)),
    }
}

fn select(inputs: &[Option<Constant>]) -> Result<Constant, String> {
    let [Some(truths), Some(a), Some(b)] = inputs else {
        return Err("three operands are needed".into());
    };
    let dims = broadcast(&truths.dims, &broadcast(&a.dims, &b.dims)?)?;
    let (truths, a, b) = (truths.expanded(&dims)?, a.expanded(&dims)?, b.expanded(&dims)?);
    let truths = truths.to_integers();
    if let (Cells::Integers(a), Cells::Integers(b)) = (&a.cells, &b.cells) {
        let cells = truths.iter().zip(a.iter().zip(b.iter()));
        let cells = cells.map(|(truth, (a, b))| if *truth != 0 { *a } else { *b });
        return Ok(Constant::integers(dims, cells.collect()));
    }
    let cells = truths.iter().zip(a.to_floats().into_iter().zip(b.to_floats()));
    let cells = cells.map(|(truth, (a, b))| if *truth != 0 { a } else { b });
    Ok(Constant::floats(dims, cells.collect()))
}

/// A choice between a computed value and a constant, as what the value is multiplied by and what
/// is added then.
pub(super) fn select_truth(
    truths: &Constant,
    other: &Constant,
    value_if_true: bool,
) -> Result<(Constant, Constant), String> {
    let dims = broadcast(&truths.dims, &other.dims)?;
    let (truths, other) = (truths.expanded(&dims)?.to_integers(), other.expanded(&dims)?);
    let kept: Vec<bool> = truths.iter().map(|x| (*x != 0) == value_if_true).collect();
    let rest = other.to_floats().into_iter().zip(&kept);
    let rest = rest.map(|(x, kept)| if *kept { 0.0 } else { x }).collect();
    let kept = kept.into_iter().map(|kept| f32::from(u8::from(kept))).collect();
    Ok((Constant::floats(dims.clone(), kept), Constant::floats(dims, rest)))
}

fn reduce(node: &NodeProto, x: &Constant, operand: Option<&Constant>) -> Result<Constant, String> {
    let rank = x.dims.len();
    let all: Vec<usize> = (0..rank).collect();
    let found = axes(node, operand, rank)?.filter(|axes| !axes.is_empty()).unwrap_or(all);
    let kept: Vec<usize> = (0..rank).filter(|axis| !found.contains(axis)).collect();
    let count: usize = found.iter().map(|axis| x.dims[*axis]).product();
    let order = [&kept[..], &found[..]].concat();
    let keeps = int(node, "keepdims", 1) != 0;
    let dims: Vec<usize> = (0..rank)
        .filter(|axis| keeps || kept.contains(axis))
        .map(|axis| if kept.contains(&axis) { x.dims[axis] } else { 1 })
        .collect();
    let moved = x.transposed(&order)?;
    if count == 0 {
        return Err("it reduces an axis of no values".into());
    }
    if let (Cells::Integers(list), false) = (&moved.cells, node.op_type == "ReduceMean") {
        let of = |part: &[i64]| {
            let mut rest = part.iter().copied();
            let first = rest.next()?;
            rest.try_fold(first, |a, b| match &node.op_type[..] {
                "ReduceSum" => a.checked_add(b),
                "ReduceProd" => a.checked_mul(b),
                "ReduceMax" => Some(a.max(b)),
                _ => Some(a.min(b)),
            })
        };
        let cells: Option<Vec<i64>> = list.chunks(count).map(of).collect();
        return Ok(Constant::integers(dims, cells.ok_or("its constants leave 64 bits")?));
    }
    let of = |part: &[f32]| match &node.op_type[..] {
        "ReduceSum" => part.iter().sum(),
        "ReduceMean" => part.iter().sum::<f32>() / count as f32,
        "ReduceProd" => part.iter().product(),
        "ReduceMax" => part.iter().copied().fold(f32::NEG_INFINITY, f32::max),
        _ => part.iter().copied().fold(f32::INFINITY, f32::min),
    };
    Ok(Constant::floats(dims, moved.to_floats().chunks(count).map(of).collect()))
}

fn cumulated(x: &Constant, operand: Option<&Constant>) -> Result<Constant, String> {
    let at = operand.and_then(|axis| axis.to_integers().first().copied());
    let at = axis(at.unwrap_or(0), x.dims.len())?;
    let (step, length) = (strides(&x.dims)[at], x.dims[at]);
    let mut cells = x.to_integers();
    for place in 0..cells.len() {
        if place / step % length > 0 {
            cells[place] = cells[place].wrapping_add(cells[place - step]);
        }
    }
    Ok(match &x.cells {
        Cells::Integers(_) => Constant::integers(x.dims.clone(), cells),
        Cells::Floats(_) => {
            Constant::floats(x.dims.clone(), cells.iter().map(|x| *x as f32).collect())
        }
    })
}

fn triangle(x: &Constant, offset: Option<&Constant>, upper: bool) -> Result<Constant, String> {
    let offset = offset.and_then(|list| list.to_integers().first().copied()).unwrap_or(0);
    let &[.., height, width] = &x.dims[..] else { return Err("it has no two axes".into()) };
    let kept = |place: usize| {
        let (row, col) = ((place / width % height) as i64, (place % width) as i64);
        let across = col.saturating_sub(row);
        if upper { across >= offset } else { across <= offset }
    };
    Ok(match &x.cells {
        Cells::Integers(list) => {
            let cells = list.iter().enumerate().map(|(at, x)| if kept(at) { *x } else { 0 });
            Constant::integers(x.dims.clone(), cells.collect())
        }
        Cells::Floats(list) => {
            let cells = list.iter().enumerate().map(|(at, x)| if kept(at) { *x } else { 0.0 });
            Constant::floats(x.dims.clone(), cells.collect())
        }
    })
}

/// Most products that folding a multiplication takes: frequencies times positions, and no more.
const MAX_PRODUCTS: usize = 1 << 26;

fn product(a: &Constant, b: &Constant) -> Result<Constant, String> {
    let (&[ref outer @ .., m, k], &[.., k2, n]) = (&a.dims[..], &b.dims[..]) else {
        return Err("its constants are no matrices".into());
    };
    let batch = outer.iter().product::<usize>();
    let same = b.dims.len() == 2 || b.dims[..b.dims.len() - 2] == *outer;
    let work = [batch, m, n, k].iter().try_fold(1_usize, |all, side| all.checked_mul(*side));
    if k != k2 || !same || work.is_none_or(|work| work > MAX_PRODUCTS) {
        return Err(format!("constants of {:?} and {:?} are not multiplied", a.dims, b.dims));
    }
    let dims = [outer, &[m, n]].concat();
    let count = volume(&dims)?;
    let (left, right) = (a.to_floats(), b.to_floats());
    let shared = b.dims.len() == 2;
    let cell = |at: usize| {
        let (row, col) = (at / n, at % n);
        let from = if shared { 0 } else { row / m * k * n };
        (0..k).map(|at| left[row * k + at] * right[from + at * n + col]).sum()
    };
    Ok(Constant::floats(dims, (0..count).map(cell).collect()))
}

fn dequantised(node: &NodeProto, inputs: &[Option<Constant>]) -> Result<Constant, String> {
    let [Some(x), Some(scale), rest @ ..] = inputs else {
        return Err("its operands are missing".into());
    };
    let at = match scale.len() {
        1 => 0,
        _ => axis(int(node, "axis", 1), x.dims.len())?,
    };
    real(x, (scale, rest.first().and_then(Option::as_ref)), at)
}

/// Stored integers as the floats that they stand for: scales and zeros are one, or along an axis.
pub(super) fn real(
    x: &Constant,
    (scale, zero): (&Constant, Option<&Constant>),
    at: usize,
) -> Result<Constant, String> {
    let along = |list: &Constant| -> Result<Constant, String> {
        if list.len() == 1 {
            return list.reshaped(vec![]);
        }
        let side = |axis: usize| if axis == at { list.len() } else { 1 };
        list.reshaped((0..x.dims.len()).map(side).collect())
    };
    let x = Constant { dims: x.dims.clone(), cells: Cells::Floats(Rc::new(x.to_floats())) };
    let shifted = match zero {
        Some(zero) => binary("Sub", &x, &along(zero)?)?,
        None => x.clone(),
    };
    binary("Mul", &shifted, &along(scale)?)
}
