//! Read operators that move cells: reshape, transpose, slice, join, look up.

use tract_onnx::pb::NodeProto;

use super::{
    constant::{Constant, broadcast},
    fold_layout::{
        Cut, flattened, order, resolved, shape_of, slices, split_lengths, squeezed, unsqueezed,
    },
    known::{Base, Known, Lazy},
    name,
    proto::{axis, int},
    reader::Reader,
    view::{Atom, View, cells},
};
use crate::{Curve, Matrix, Op};

impl Reader<'_> {
    /// The lengths of an operand's axes.
    pub(super) fn dims(&self, node: &NodeProto, operand: usize) -> Result<Vec<usize>, String> {
        Ok(match self.known(node, operand)? {
            Known::Constant(constant) => constant.dims.clone(),
            Known::Lazy(lazy) => lazy.dims(self.rows),
            Known::Scores(scores) => scores.dims.clone(),
        })
    }

    pub(super) fn shape(&mut self, node: &NodeProto) -> Result<Known, String> {
        let dims = self.dims(node, 0)?;
        Ok(Known::Constant(match &node.op_type[..] {
            "Size" => Constant::integers(vec![], vec![dims.iter().product::<usize>() as i64]),
            _ => shape_of(node, &dims)?,
        }))
    }

    /// Operators that only give other axes to the same cells.
    pub(super) fn reshape(&mut self, node: &NodeProto) -> Result<Known, String> {
        let dims = self.dims(node, 0)?;
        let wanted = match &node.op_type[..] {
            "Flatten" => flattened(node, &dims)?,
            "Unsqueeze" => unsqueezed(node, self.optional(node, 1)?.as_ref(), &dims)?,
            "Squeeze" => {
                let gone = squeezed(node, self.optional(node, 1)?.as_ref(), &dims)?;
                let kept = dims.iter().enumerate().filter(|(at, _)| !gone.contains(at));
                kept.map(|(_, dim)| *dim).collect()
            }
            _ => {
                let shape = self.constant(node, 1).map_err(|error| {
                    format!("{error}: export torch.flatten(x, 1) rather than x.view(x.size(0), -1)")
                })?;
                self.wanted(node, &shape.to_integers(), &dims)?
            }
        };
        match self.known(node, 0)?.clone() {
            Known::Scores(scores) => self.reshaped_scores(&scores, wanted),
            Known::Lazy(lazy) => {
                // A mean that gets its axes back is the mean that keeps them.
                let keeping = Lazy { keeps: true, ..lazy.clone() };
                if lazy.base != Base::Value && keeping.dims(self.rows) == wanted {
                    return Ok(Known::Lazy(keeping));
                }
                let lazy = match lazy.base {
                    Base::Value => lazy,
                    _ => Lazy::of(self.view(node, 0)?),
                };
                let view = lazy.view.reshaped(&wanted, self.rows).ok_or_else(|| {
                    format!(
                        "the shape {dims:?} cannot become {wanted:?} while {} rows stay apart: the batch's axis must stay the batch's",
                        self.rows
                    )
                })?;
                Ok(Known::Lazy(Lazy { view, ..lazy }))
            }
            Known::Constant(constant) => Ok(Known::Constant(constant.reshaped(wanted)?)),
        }
    }

    /// The axes that a shape asks for. Exporters write a batch of one into shapes: if only that
    /// does not fit, it is the batch.
    fn wanted(
        &self,
        node: &NodeProto,
        shape: &[i64],
        dims: &[usize],
    ) -> Result<Vec<usize>, String> {
        let fits = |found: &Result<Vec<usize>, String>| {
            let cells = |dims: &[usize]| dims.iter().product::<usize>();
            found.as_ref().is_ok_and(|found| cells(found) == cells(dims))
        };
        let found = resolved(shape, dims, node);
        let batch_first = dims.first() == Some(&self.rows) && shape.first().is_some_and(|x| *x > 0);
        if fits(&found) && !(batch_first && shape.contains(&-1) && shape[0] == 1) {
            return found;
        }
        let mut with_batch = shape.to_vec();
        if let (true, Some(first)) = (batch_first, with_batch.first_mut()) {
            *first = self.rows as i64;
        }
        let other = resolved(&with_batch, dims, node);
        match fits(&other) {
            true => other,
            false if fits(&found) => found,
            false => Err(format!("the shape {dims:?} cannot become {shape:?}")),
        }
    }

    pub(super) fn transpose(&mut self, node: &NodeProto) -> Result<Known, String> {
        let lazy = match self.lazy(node, 0)? {
            lazy if lazy.base == Base::Value => lazy,
            _ => Lazy::of(self.view(node, 0)?),
        };
        let order = order(node, lazy.view.axes.len())?;
        let view = lazy.view.transposed(&order);
        let view = view.ok_or_else(|| format!("{order:?} is no order of its axes"))?;
        Ok(Known::Lazy(Lazy { view, ..lazy }))
    }

    pub(super) fn expand_node(&mut self, node: &NodeProto) -> Result<Known, String> {
        let sizes = self.constant(node, 1)?.to_sizes()?;
        let lazy = self.lazy(node, 0)?;
        let own = lazy.dims(self.rows);
        let dims = match &node.op_type[..] {
            "Tile" if sizes.len() == own.len() => {
                if own.iter().zip(&sizes).any(|(own, times)| *own > 1 && *times > 1) {
                    return Err("it repeats an axis longer than 1".into());
                }
                own.iter().zip(&sizes).map(|(own, times)| own * times).collect()
            }
            "Tile" => return Err("it says how often for another number of axes".into()),
            _ => broadcast(&own, &sizes)?,
        };
        // The size of a norm is brought to the rows that it divides anyway.
        if lazy.base != Base::Value && dims == lazy.view.dims(self.rows) {
            return Ok(Known::Lazy(lazy));
        }
        let view = self.view(node, 0)?;
        Ok(Known::Lazy(Lazy::of(self.expand(name(node), &view, &dims)?)))
    }

    pub(super) fn slice(&mut self, node: &NodeProto) -> Result<Known, String> {
        let mut view = self.view(node, 0)?;
        let inputs = (0..node.input.len()).map(|at| match at {
            0 => Ok(None),
            at => self.optional(node, at),
        });
        let inputs = inputs.collect::<Result<Vec<_>, String>>()?;
        let dims = view.dims(self.rows);
        let cuts = slices(node, &inputs, &dims)?;
        for (axis, cut) in cuts.into_iter().enumerate() {
            if cut != (Cut { start: 0, length: dims[axis], step: 1 }) {
                view = self.cut(name(node), &view, axis, cut)?;
            }
        }
        Ok(Known::Lazy(Lazy::of(view)))
    }

    /// Part of an axis.
    pub(super) fn cut(
        &mut self,
        name: &str,
        view: &View,
        axis: usize,
        cut: Cut,
    ) -> Result<View, String> {
        if cut.length == 0 {
            return Err("it takes nothing of an axis".into());
        }
        let atoms = &view.axes[axis];
        if atoms[..] == [Atom::Rows] {
            return self.take_row(name, view, axis, cut);
        }
        if cut.step != 1 {
            return self.strided(name, view, axis, cut);
        }
        // A part that lies in one stretch needs no moving.
        if let [Atom::Cells { size, stride }] = atoms[..] {
            let whole = self.graph.node(view.value).width();
            let outer = whole / (size * stride);
            let value = self.shaped(name, view.value, &[outer, size, stride])?;
            let value = self.add(name, Op::Slice(1, cut.start, cut.length), &[value])?;
            let mut made = View { value, axes: view.axes.clone() };
            for atom in made.axes.iter_mut().flatten() {
                if let Atom::Cells { stride: step, .. } = atom
                    && *step > stride
                {
                    *step = *step / size * cut.length;
                }
            }
            made.axes[axis] = match cut.length {
                1 => vec![],
                length => vec![Atom::Cells { size: length, stride }],
            };
            return Ok(made);
        }
        let mut order: Vec<usize> = (0..view.axes.len()).filter(|at| *at != axis).collect();
        order.push(axis);
        let moved = view.transposed(&order).ok_or("its axes are not in order")?;
        let size = view.dims(1)[axis];
        if moved.axes.last().is_none_or(|last| last.contains(&Atom::Rows)) {
            return Err("it takes part of an axis that rows are part of".into());
        }
        let value = self.arrange(name, &moved, &[view.width() / size, size])?;
        let value = self.add(name, Op::Slice(1, cut.start, cut.length), &[value])?;
        let laid = moved.laid(value, Some(cut.length));
        let mut back = vec![0; order.len()];
        order.iter().enumerate().for_each(|(at, axis)| back[*axis] = at);
        laid.transposed(&back).ok_or_else(|| "its axes are not in order".into())
    }

    /// The first or the last row of the run.
    fn take_row(&mut self, name: &str, view: &View, axis: usize, cut: Cut) -> Result<View, String> {
        if cut.length != 1 || (cut.start != 0 && cut.start + 1 != self.rows) {
            return Err("of the rows of a run only all, the first or the last are taken".into());
        }
        let last = cut.start != 0;
        let mut made = view.of(self.add(name, Op::TakeRow(last), &[view.value])?);
        made.axes[axis].clear();
        Ok(made)
    }

    /// Every so-many-th place of an axis: its parts, one by one.
    fn strided(&mut self, name: &str, view: &View, axis: usize, cut: Cut) -> Result<View, String> {
        const MOST: usize = 64;
        let size = view.dims(self.rows)[axis];
        let step = usize::try_from(cut.step).unwrap_or(0);
        if cut.start < step && step > 1 && size.is_multiple_of(step) && cut.length == size / step {
            let mut dims = view.dims(self.rows);
            dims.splice(axis..=axis, [size / step, step]);
            if let Some(split) = view.reshaped(&dims, self.rows) {
                let one = Cut { start: cut.start, length: 1, step: 1 };
                let mut made = self.cut(name, &split, axis + 1, one)?;
                made.axes.remove(axis + 1);
                return Ok(made);
            }
        }
        if cut.length > MOST {
            return Err(format!("it takes {} places of an axis one by one", cut.length));
        }
        let place = |at: usize| (cut.start as isize + at as isize * cut.step) as usize;
        let parts = (0..cut.length)
            .map(|at| self.cut(name, view, axis, Cut { start: place(at), length: 1, step: 1 }))
            .collect::<Result<Vec<_>, _>>()?;
        self.join(name, &parts, axis)
    }

    pub(super) fn split(&mut self, node: &NodeProto) -> Result<Vec<Known>, String> {
        let view = self.view(node, 0)?;
        let on = axis(int(node, "axis", 0), view.axes.len())?;
        let lengths = self.optional(node, 1)?;
        let mut start = 0;
        let mut parts = Vec::new();
        for length in split_lengths(node, lengths.as_ref(), view.dims(self.rows)[on])? {
            let part = self.cut(name(node), &view, on, Cut { start, length, step: 1 })?;
            parts.push(Known::Lazy(Lazy::of(part)));
            start += length;
        }
        Ok(parts)
    }

    pub(super) fn concat(&mut self, node: &NodeProto) -> Result<Known, String> {
        const MOST: usize = 256;
        if node.input.len() > MOST {
            return Err(format!("it joins {} values, at most {MOST} are taken", node.input.len()));
        }
        let computed = (0..node.input.len())
            .find(|at| matches!(self.known(node, *at), Ok(Known::Lazy(_))))
            .ok_or("it joins no computed values")?;
        let like = self.view(node, computed)?;
        let on = axis(int(node, "axis", 0), like.axes.len())?;
        let mut parts = Vec::new();
        for operand in 0..node.input.len() {
            parts.push(match self.known(node, operand)?.clone() {
                Known::Constant(constant) => self.beside_view(node, &like, on, &constant)?,
                _ => self.view(node, operand)?,
            });
        }
        Ok(Known::Lazy(Lazy::of(self.join(name(node), &parts, on)?)))
    }

    /// A constant as a value with the rows of another, to be joined with it along an axis.
    fn beside_view(
        &mut self,
        node: &NodeProto,
        like: &View,
        on: usize,
        constant: &Constant,
    ) -> Result<View, String> {
        let mut dims = like.dims(self.rows);
        if constant.dims.len() != dims.len() || like.axes[on].contains(&Atom::Rows) {
            return Err("it joins constants of other axes, or along the batch's".into());
        }
        dims[on] = constant.dims[on];
        let constant = constant.expanded(&dims)?;
        let mut axes = cells(
            &dims
                .iter()
                .enumerate()
                .map(
                    |(at, dim)| {
                        if like.axes[at].contains(&Atom::Rows) { dim / self.rows } else { *dim }
                    },
                )
                .collect::<Vec<_>>(),
        );
        if let Some(rows) = like.rows_axis() {
            axes[rows].insert(0, Atom::Rows);
        }
        let view = View { value: like.value, axes };
        let lists = super::arithmetic::spread(&constant, &view, self.rows)?;
        let [list] = &lists[..] else {
            return Err("it joins constants that differ from row to row".into());
        };
        let count = view.width();
        let list = if list.len() == 1 { vec![list[0]; count] } else { list.clone() };
        if !list.iter().all(|x| x.is_finite()) {
            return Err("it joins constants that are not finite".into());
        }
        let value =
            self.add(&format!("{}.constant", name(node)), Op::Constant(list), &[like.value])?;
        Ok(view.of(value))
    }

    /// Views joined along an axis.
    pub(super) fn join(&mut self, name: &str, parts: &[View], axis: usize) -> Result<View, String> {
        let first = parts.first().ok_or("it joins nothing")?;
        let others = |view: &View| {
            let mut dims = view.dims(self.rows);
            if let Some(dim) = dims.get_mut(axis) {
                *dim = 0;
            }
            (dims, view.rows_axis())
        };
        if parts.iter().any(|part| others(part) != others(first)) {
            return Err("it joins values of other axes".into());
        }
        if first.axes[axis].contains(&Atom::Rows) {
            return Err("it joins along the rows: images of a batch, tokens of a text".into());
        }
        let dims = first.dims(1);
        let (outer, inner) =
            (dims[..axis].iter().product::<usize>(), dims[axis + 1..].iter().product::<usize>());
        let (mut values, mut length) = (Vec::new(), 0);
        for part in parts {
            let side = part.dims(1)[axis];
            values.push(self.arrange(name, part, &[outer, side, inner])?);
            length += side;
        }
        while values.len() > 1 {
            let joined = values.chunks(neura_int8::MAX_OPERANDS).map(|part| match part {
                [one] => Ok(*one),
                part => self.add(name, Op::Concat(1), part),
            });
            values = joined.collect::<Result<Vec<_>, _>>()?;
        }
        let mut whole = first.clone();
        whole.axes[axis] = vec![Atom::Cells { size: length, stride: 1 }];
        let value = values.first().copied().ok_or("it joins nothing")?;
        Ok(whole.laid(value, None))
    }

    /// Rows of a table by tokens, or parts of a value by constant places.
    pub(super) fn gather(&mut self, node: &NodeProto) -> Result<Known, String> {
        let on = int(node, "axis", 0);
        match (self.known(node, 0)?.clone(), self.known(node, 1)?.clone()) {
            (Known::Constant(table), Known::Lazy(_)) => {
                let places = self.view(node, 1)?;
                let on = axis(on, table.dims.len())?;
                if on != 0 || table.dims.len() > 2 {
                    return Err("it looks up along another axis than the first".into());
                }
                let width = table.dims.get(1).copied().unwrap_or(1);
                self.looked_up(node, &places, Matrix::new(width, table.finite()?))
            }
            (Known::Lazy(_), Known::Constant(places)) => {
                let view = self.view(node, 0)?;
                let on = axis(on, view.axes.len())?;
                let length = view.dims(self.rows)[on];
                let found = places.to_integers().into_iter().map(|place| axis(place, length));
                let found = found.collect::<Result<Vec<_>, _>>()?;
                let made = self.picked(name(node), &view, on, &found)?;
                let mut dims = made.dims(self.rows);
                dims.splice(on..=on, places.dims.iter().copied());
                let made = made.reshaped(&dims, self.rows).ok_or("its axes cannot be split")?;
                Ok(Known::Lazy(Lazy::of(made)))
            }
            _ => Err("it looks up computed places of computed values".into()),
        }
    }

    /// Places of an axis: one stretch, or several.
    pub(super) fn picked(
        &mut self,
        name: &str,
        view: &View,
        on: usize,
        places: &[usize],
    ) -> Result<View, String> {
        const MOST: usize = 64;
        let mut runs: Vec<Cut> = Vec::new();
        for place in places {
            match runs.last_mut() {
                Some(run) if run.start + run.length == *place => run.length += 1,
                _ => runs.push(Cut { start: *place, length: 1, step: 1 }),
            }
        }
        if runs.is_empty() || runs.len() > MOST {
            return Err(format!("it takes {} stretches of an axis", runs.len()));
        }
        let whole = |run: &Cut| run.start == 0 && run.length == view.dims(self.rows)[on];
        if runs.len() == 1 && whole(&runs[0]) {
            return Ok(view.clone());
        }
        let parts = runs
            .into_iter()
            .map(|run| self.cut(name, view, on, run))
            .collect::<Result<Vec<_>, _>>()?;
        match &parts[..] {
            [one] => Ok(one.clone()),
            parts => self.join(name, parts, on),
        }
    }

    /// Rows of a table.
    fn looked_up(
        &mut self,
        node: &NodeProto,
        places: &View,
        table: Matrix,
    ) -> Result<Known, String> {
        let (height, width) = (table.height(), table.width);
        let maker = self.graph.node(places.value).op.clone();
        match maker {
            Op::Tokens(known) => {
                if let Some(input) = self.graph.nodes.first_mut() {
                    input.op = Op::Tokens(known.min(height));
                }
            }
            // The class of a classifier: its names are left to the user.
            Op::Argmax if width == 1 => {
                let whole = table.values.iter().enumerate().all(|(at, x)| *x == at as f32);
                if !whole {
                    let output = node.output.first().map_or("", String::as_str);
                    self.assumed.insert(format!(
                        "'{output}' is the index of a class; the classes are {:?}",
                        table.values
                    ));
                }
                return Ok(Known::Lazy(Lazy::of(places.clone())));
            }
            _ => return Err("it looks up by values that are no tokens".into()),
        }
        let cells = places.width();
        let listed = match cells {
            1 => places.value,
            _ => self.arrange(name(node), places, &[cells])?,
        };
        let value = self.add(name(node), Op::Embed(table), &[listed])?;
        let mut axes = places.laid(value, None).axes;
        for atom in axes.iter_mut().flatten() {
            if let Atom::Cells { stride, .. } = atom {
                *stride *= width;
            }
        }
        axes.push(vec![Atom::Cells { size: width, stride: 1 }]);
        let curve = Curve::identity();
        Ok(Known::Lazy(Lazy { curve, ..Lazy::of(View { value, axes }) }))
    }
}
