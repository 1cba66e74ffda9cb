//! Compute what moves constants: shapes taken apart, joined, sliced, made longer.

use tract_onnx::pb::NodeProto;

use super::{
    constant::{Cells, Constant, strides, volume},
    fold::axes,
    proto::{attribute, axis, int, ints},
};

/// What a node makes of constants; none if its operator is not computed here.
pub(super) fn fold(
    node: &NodeProto,
    inputs: &[Option<Constant>],
) -> Result<Option<Vec<Constant>>, String> {
    let x = || inputs.first().and_then(Option::as_ref).ok_or("its operand is missing");
    let second = inputs.get(1).and_then(Option::as_ref);
    let needed = || second.ok_or("its second operand is missing");
    let made = match &node.op_type[..] {
        "Shape" => shape_of(node, &x()?.dims)?,
        "Size" => Constant::integers(vec![], vec![x()?.len() as i64]),
        "Reshape" => x()?.reshaped(resolved(&needed()?.to_integers(), &x()?.dims, node)?)?,
        "Flatten" => x()?.reshaped(flattened(node, &x()?.dims)?)?,
        "Unsqueeze" => x()?.reshaped(unsqueezed(node, second, &x()?.dims)?)?,
        "Squeeze" => {
            let gone = squeezed(node, second, &x()?.dims)?;
            let kept = x()?.dims.iter().enumerate().filter(|(at, _)| !gone.contains(at));
            x()?.reshaped(kept.map(|(_, dim)| *dim).collect())?
        }
        "Transpose" => x()?.transposed(&order(node, x()?.dims.len())?)?,
        "Expand" => {
            let dims = super::constant::broadcast(&x()?.dims, &needed()?.to_sizes()?)?;
            x()?.expanded(&dims)?
        }
        "Tile" => tiled(x()?, &needed()?.to_sizes()?)?,
        "Concat" => concatenated(node, inputs)?,
        "Slice" => {
            let cuts = slices(node, inputs, &x()?.dims)?;
            let strides = strides(&x()?.dims);
            let start = cuts.iter().zip(&strides).map(|(cut, stride)| cut.start * stride).sum();
            let steps = cuts.iter().zip(&strides);
            let steps = steps.map(|(cut, stride)| (cut.length, cut.step * *stride as isize));
            x()?.stepped(&steps.collect::<Vec<_>>(), start)?
        }
        "Gather" => gathered(node, x()?, needed()?)?,
        "GatherElements" => gathered_cells(node, x()?, needed()?)?,
        "ScatterND" => scattered(inputs)?,
        "Split" => return split(node, x()?, second).map(Some),
        "Range" => range(inputs)?,
        "ConstantOfShape" => {
            let dims = x()?.to_sizes()?;
            let count = volume(&dims)?;
            let value = attribute(node, "value").and_then(|a| a.t.as_ref());
            let folder = super::external::Folder::new(None);
            match value.map(|tensor| super::proto::constant(tensor, &folder)).transpose()? {
                Some(Constant { cells: Cells::Integers(list), .. }) if list.len() == 1 => {
                    Constant::integers(dims, vec![list[0]; count])
                }
                Some(value) => Constant::floats(dims, vec![value.uniform().unwrap_or(0.0); count]),
                None => Constant::floats(dims, vec![0.0; count]),
            }
        }
        _ => return Ok(None),
    };
    Ok(Some(vec![made]))
}

/// The lengths of axes, as a list; part of it if the node asks for that.
pub(super) fn shape_of(node: &NodeProto, dims: &[usize]) -> Result<Constant, String> {
    let rank = dims.len() as i64;
    let end = |at: i64| (if at < 0 { at.saturating_add(rank) } else { at }).clamp(0, rank) as usize;
    let (start, end) = (end(int(node, "start", 0)), end(int(node, "end", rank)));
    Ok(Constant::list(dims.get(start..end.max(start)).unwrap_or(&[]).iter().copied()))
}

/// The axes that a shape with zeros and at most one open axis asks for.
pub(super) fn resolved(
    shape: &[i64],
    from: &[usize],
    node: &NodeProto,
) -> Result<Vec<usize>, String> {
    let zero_is_zero = int(node, "allowzero", 0) != 0;
    let known = |(at, side): (usize, &i64)| match side {
        0 if !zero_is_zero => from.get(at).copied().ok_or("its shape keeps an axis that is none"),
        -1 => Ok(1),
        side => usize::try_from(*side).map_err(|_| "its shape has a negative length"),
    };
    let mut dims = shape.iter().enumerate().map(known).collect::<Result<Vec<_>, _>>()?;
    let product = |dims: &[usize]| dims.iter().try_fold(1_usize, |all, dim| all.checked_mul(*dim));
    let (cells, given) = (product(from), product(&dims));
    let (cells, given) = cells.zip(given).ok_or("its shape has too many values")?;
    let mut open = shape.iter().enumerate().filter(|(_, side)| **side == -1);
    match (open.next(), open.next()) {
        (Some((at, _)), None) if given > 0 && cells.is_multiple_of(given) => {
            dims[at] = cells / given;
        }
        (None, _) => {}
        _ => return Err(format!("the shape {from:?} cannot become {shape:?}")),
    }
    Ok(dims)
}

/// Two axes: those before an axis, and the others.
pub(super) fn flattened(node: &NodeProto, dims: &[usize]) -> Result<Vec<usize>, String> {
    let at = int(node, "axis", 1);
    let at = if at == dims.len() as i64 { dims.len() } else { axis(at, dims.len())? };
    Ok(vec![dims[..at].iter().product(), dims[at..].iter().product()])
}

pub(super) fn unsqueezed(
    node: &NodeProto,
    operand: Option<&Constant>,
    dims: &[usize],
) -> Result<Vec<usize>, String> {
    let count = operand.map_or(ints(node, "axes").len(), Constant::len);
    let found = axes(node, operand, dims.len() + count)?.ok_or("it names no axes")?;
    let mut made = dims.to_vec();
    found.iter().for_each(|at| made.insert((*at).min(made.len()), 1));
    Ok(made)
}

/// The axes that are left out.
pub(super) fn squeezed(
    node: &NodeProto,
    operand: Option<&Constant>,
    dims: &[usize],
) -> Result<Vec<usize>, String> {
    let ones = || (0..dims.len()).filter(|at| dims[*at] == 1).collect();
    let found = axes(node, operand, dims.len())?.unwrap_or_else(ones);
    match found.iter().find(|at| dims[**at] != 1) {
        Some(at) => Err(format!("it leaves out axis {at}, which has length {}", dims[*at])),
        None => Ok(found),
    }
}

/// The order of axes of a transposition: backwards if it says nothing.
pub(super) fn order(node: &NodeProto, rank: usize) -> Result<Vec<usize>, String> {
    match ints(node, "perm") {
        [] => Ok((0..rank).rev().collect()),
        list => list.iter().map(|at| axis(*at, rank)).collect(),
    }
}

fn tiled(x: &Constant, times: &[usize]) -> Result<Constant, String> {
    if times.len() != x.dims.len() {
        return Err("it says how often for another number of axes".into());
    }
    // Each axis twice, the first of them standing still.
    let strides = strides(&x.dims);
    let axes = times.iter().zip(x.dims.iter().zip(&strides));
    let axes: Vec<(usize, isize)> =
        axes.flat_map(|(times, (dim, stride))| [(*times, 0), (*dim, *stride as isize)]).collect();
    let dims: Option<Vec<usize>> =
        times.iter().zip(&x.dims).map(|(times, dim)| times.checked_mul(*dim)).collect();
    x.stepped(&axes, 0)?.reshaped(dims.ok_or("it makes too many values")?)
}

fn concatenated(node: &NodeProto, inputs: &[Option<Constant>]) -> Result<Constant, String> {
    let parts: Vec<&Constant> = inputs.iter().flatten().collect();
    let first = parts.first().ok_or("it joins nothing")?;
    let at = axis(int(node, "axis", 0), first.dims.len())?;
    let alike = |part: &&Constant| {
        let mut dims = part.dims.clone();
        if let Some((dim, of)) = dims.get_mut(at).zip(first.dims.get(at)) {
            *dim = *of;
        }
        dims == first.dims
    };
    if !parts.iter().all(alike) {
        return Err("its operands have shapes that do not fit each other".into());
    }
    let mut dims = first.dims.clone();
    dims[at] = parts.iter().map(|part| part.dims[at]).sum();
    volume(&dims)?;
    let (outer, inner) =
        (dims[..at].iter().product::<usize>(), dims[at + 1..].iter().product::<usize>());
    let parts_of = |place: usize| {
        parts.iter().map(move |part| {
            let length: usize = part.dims[at] * inner;
            (part, place * length..(place + 1) * length)
        })
    };
    let whole = parts.iter().all(|part| matches!(part.cells, Cells::Integers(_)));
    if whole {
        let lists: Vec<Vec<i64>> = parts.iter().map(|part| part.to_integers()).collect();
        let cells = (0..outer).flat_map(|place| {
            let ranges = parts_of(place).zip(&lists);
            ranges.flat_map(|((_, range), list)| list[range].to_vec()).collect::<Vec<_>>()
        });
        return Ok(Constant::integers(dims, cells.collect()));
    }
    let lists: Vec<Vec<f32>> = parts.iter().map(|part| part.to_floats()).collect();
    let cells = (0..outer).flat_map(|place| {
        let ranges = parts_of(place).zip(&lists);
        ranges.flat_map(|((_, range), list)| list[range].to_vec()).collect::<Vec<_>>()
    });
    Ok(Constant::floats(dims, cells.collect()))
}

/// Part of an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) start: usize,
    pub(super) length: usize,
    pub(super) step: isize,
}

/// What a slice takes of every axis.
pub(super) fn slices(
    node: &NodeProto,
    inputs: &[Option<Constant>],
    dims: &[usize],
) -> Result<Vec<Cut>, String> {
    let list = |at: usize, name: &str| match inputs.get(at).and_then(Option::as_ref) {
        Some(list) => list.to_integers(),
        None => ints(node, name).to_vec(),
    };
    let (starts, ends) = (list(1, "starts"), list(2, "ends"));
    let (named, steps) = (list(3, "axes"), list(4, "steps"));
    let whole = |dim: &usize| Cut { start: 0, length: *dim, step: 1 };
    let mut cuts: Vec<Cut> = dims.iter().map(whole).collect();
    if starts.len() != ends.len() || starts.is_empty() {
        return Err("where its parts begin and end is missing".into());
    }
    for (at, (start, end)) in starts.iter().zip(&ends).enumerate() {
        let on = named.get(at).copied().unwrap_or(at as i64);
        let on = axis(on, dims.len())?;
        let step = steps.get(at).copied().unwrap_or(1);
        let length = dims[on] as i64;
        let from_end = |x: i64| if x < 0 { x.saturating_add(length) } else { x };
        let (start, end) = match step {
            1.. => (from_end(*start).clamp(0, length), from_end(*end).clamp(0, length)),
            _ => (from_end(*start).clamp(0, length - 1), from_end(*end).clamp(-1, length - 1)),
        };
        let span = if step > 0 { end - start } else { start - end };
        if step == 0 || step == i64::MIN || length == 0 {
            return Err("its step is out of range".into());
        }
        let length = span.max(0).unsigned_abs().div_ceil(step.unsigned_abs());
        cuts[on] = Cut { start: start as usize, length: length as usize, step: step as isize };
    }
    Ok(cuts)
}

fn gathered(node: &NodeProto, x: &Constant, places: &Constant) -> Result<Constant, String> {
    let at = axis(int(node, "axis", 0), x.dims.len())?;
    let rows = places.to_integers().into_iter().map(|place| axis(place, x.dims[at]));
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    let inner: usize = x.dims[at + 1..].iter().product();
    let dims = [&x.dims[..at], &places.dims[..], &x.dims[at + 1..]].concat();
    volume(&dims)?;
    let outer: usize = x.dims[..at].iter().product();
    let cells = (0..outer).flat_map(|outer| {
        rows.iter().flat_map(move |row| {
            let start = (outer * x.dims[at] + row) * inner;
            start..start + inner
        })
    });
    x.picked(dims.clone(), cells)
}

/// For each place of a constant's axis the cell there, all other axes staying.
fn gathered_cells(node: &NodeProto, x: &Constant, places: &Constant) -> Result<Constant, String> {
    let along = axis(int(node, "axis", 0), x.dims.len())?;
    let fits = places.dims.len() == x.dims.len()
        && (0..x.dims.len()).all(|at| at == along || places.dims[at] <= x.dims[at]);
    if !fits {
        return Err(format!("it takes {:?} places of {:?}", places.dims, x.dims));
    }
    let found = places.to_integers().into_iter().map(|place| axis(place, x.dims[along]));
    let found = found.collect::<Result<Vec<_>, _>>()?;
    let (own, steps) = (strides(&places.dims), strides(&x.dims));
    let cells = found.iter().enumerate().map(|(cell, place)| {
        let at = |axis: usize| match axis == along {
            true => *place,
            false => cell / own[axis] % places.dims[axis],
        };
        (0..x.dims.len()).map(|axis| at(axis) * steps[axis]).sum()
    });
    x.picked(places.dims.clone(), cells)
}

/// A constant with others written over its cells, or blocks of them, at some places.
fn scattered(inputs: &[Option<Constant>]) -> Result<Constant, String> {
    let [Some(x), Some(places), Some(updates)] = inputs else {
        return Err("three operands are needed".into());
    };
    let depth = places.dims.last().copied().unwrap_or(0);
    let (outer, steps) = (x.dims.get(..depth), strides(&x.dims));
    let outer = outer.filter(|_| depth > 0).ok_or("its places have too many axes")?;
    let block: usize = x.dims[depth..].iter().product();
    let mut cells: Vec<usize> = (0..x.len()).collect();
    let all = places.to_integers();
    for (number, place) in all.chunks_exact(depth).enumerate() {
        let mut start = 0;
        for ((at, length), step) in place.iter().zip(outer).zip(&steps) {
            start += axis(*at, *length)? * step;
        }
        let part = cells.get_mut(start..start + block).ok_or("a place lies outside")?;
        part.iter_mut().enumerate().for_each(|(at, cell)| *cell = x.len() + number * block + at);
    }
    let joined = match (&x.cells, &updates.cells) {
        (Cells::Integers(a), Cells::Integers(b)) => {
            Constant::integers(vec![a.len() + b.len()], [&a[..], &b[..]].concat())
        }
        _ => {
            let all = [x.to_floats(), updates.to_floats()].concat();
            Constant::floats(vec![all.len()], all)
        }
    };
    joined.picked(x.dims.clone(), cells.into_iter())
}

/// The lengths that an axis is split into.
pub(super) fn split_lengths(
    node: &NodeProto,
    operand: Option<&Constant>,
    length: usize,
) -> Result<Vec<usize>, String> {
    let given = match operand {
        Some(list) => list.to_sizes()?,
        None => {
            let sizes = ints(node, "split").iter().map(|side| usize::try_from(*side));
            sizes.collect::<Result<_, _>>().map_err(|_| "a part has a negative length")?
        }
    };
    let given = if given.is_empty() {
        let count = node.output.len().max(1);
        let part = length.div_ceil(count).max(1);
        (0..count).map(|at| part.min(length.saturating_sub(at * part))).collect()
    } else {
        given
    };
    let total = given.iter().try_fold(0_usize, |sum, part| sum.checked_add(*part));
    match total == Some(length) && given.len() == node.output.len() && !given.contains(&0) {
        true => Ok(given),
        false => Err(format!("an axis of {length} is not split into {given:?}")),
    }
}

fn split(
    node: &NodeProto,
    x: &Constant,
    operand: Option<&Constant>,
) -> Result<Vec<Constant>, String> {
    let at = axis(int(node, "axis", 0), x.dims.len())?;
    let mut start = 0;
    let steps = strides(&x.dims);
    let mut parts = Vec::new();
    for length in split_lengths(node, operand, x.dims[at])? {
        let axes = x.dims.iter().zip(&steps).enumerate();
        let axes = axes
            .map(|(on, (dim, stride))| (if on == at { length } else { *dim }, *stride as isize));
        parts.push(x.stepped(&axes.collect::<Vec<_>>(), start * steps[at])?);
        start += length;
    }
    Ok(parts)
}

fn range(inputs: &[Option<Constant>]) -> Result<Constant, String> {
    let [Some(start), Some(end), Some(step)] = inputs else {
        return Err("its bounds are missing".into());
    };
    let number = |x: &Constant| {
        let whole = matches!(x.cells, Cells::Integers(_));
        x.uniform().map(|float| if whole { x.to_integers()[0] as f64 } else { float.into() })
    };
    let bounds = number(start).zip(number(end)).zip(number(step));
    let ((from, to), by) = bounds.ok_or("its bounds are no numbers")?;
    let count = ((to - from) / by).ceil().max(0.0);
    if !count.is_finite() {
        return Err("its step is out of range".into());
    }
    let count = volume(&[count as usize])?;
    let values = (0..count).map(|at| from + at as f64 * by);
    Ok(match &start.cells {
        Cells::Integers(_) => Constant::integers(vec![count], values.map(|x| x as i64).collect()),
        Cells::Floats(_) => Constant::floats(vec![count], values.map(|x| x as f32).collect()),
    })
}
