//! Make the integer nodes of operators within a row: products, joins, constants.

use neura_int8::{
    DType, Data, ParamId, Requant, Scale, Scales, ValueId,
    ops::{
        elementwise::{Add, Requantise},
        embed::Embed,
        layout::{Concat, Reshape, Slice},
        lookup::Lookup,
        matmul::MatMul,
    },
};

use super::{
    Placed, Quantiser,
    form::Form,
    place::SHARE,
    scales::{Target, UPPER, factor, steps},
};
use crate::{ConvertError, Node};

/// Steps of a share that are one of its 14 bits.
const COARSER: f64 = 4.0;

impl Quantiser<'_> {
    /// Values joined, all in one unit.
    pub(super) fn concat(
        &mut self,
        node: &Node,
        axis: usize,
        target: Target,
    ) -> Result<Placed, ConvertError> {
        let mut parts = Vec::new();
        for input in &node.inputs {
            let from = self.get(*input, Form::Wide)?;
            let same = target.dtype == DType::I32 && from.units == target.units;
            let part = if same { from } else { self.place_as(&from, *input, target.clone())? };
            parts.push(part.id);
        }
        let id = self.builder.node(Concat { axis }, &parts)?;
        Ok(Placed { id, units: target.units })
    }

    /// Rows of a table for several tokens of a row, one by one.
    pub(super) fn looked_up(
        &mut self,
        (table, width): (ParamId, usize),
        (tokens, count): (ValueId, usize),
    ) -> Result<ValueId, ConvertError> {
        let mut parts = Vec::with_capacity(count);
        for start in 0..count {
            let one = self.builder.node(Slice { axis: 0, start, length: 1 }, &[tokens])?;
            let one = self.builder.node(Reshape { dims: vec![] }, &[one])?;
            let row = self.builder.node(Embed { table }, &[one])?;
            parts.push(self.builder.node(Reshape { dims: vec![1, width] }, &[row])?);
        }
        while parts.len() > 1 {
            let joined = parts.chunks(neura_int8::MAX_OPERANDS).map(|parts| match parts {
                [one] => Ok(*one),
                parts => self.builder.node(Concat { axis: 0 }, parts),
            });
            parts = joined.collect::<Result<_, _>>()?;
        }
        parts.first().copied().ok_or_else(|| {
            crate::error::node("tokens", "Embed", "it looks nothing up", "Export with tokens")
        })
    }

    /// Products of two values of a row. Shares of a softmax are taken apart into two bytes.
    pub(super) fn product(&mut self, node: &Node, target: Target) -> Result<Placed, ConvertError> {
        let (left, right) = (node.inputs[0], node.inputs[1]);
        let b = self.get(right, Form::Byte)?;
        if let Ok(a) = self.get(left, Form::Byte) {
            let finish = Some(self.finish(&node.name, &[a.unit() * b.unit()], &target)?);
            let id = self.builder.node(MatMul { finish }, &[a.id, b.id])?;
            return Ok(Placed { id, units: target.units });
        }
        let shares = self.get(left, Form::Native)?;
        let finish = Requant {
            scales: Scales::One(factor(1.0 / COARSER)?),
            dtype: DType::I16,
            low: 0,
            high: 16_383,
        };
        let shares = self.builder.node(Requantise { finish }, &[shares.id])?;
        let (upper, lower) = self.halves()?;
        let unit = SHARE * COARSER * b.unit() / target.unit(0);
        let mut sums = Vec::new();
        for table in [upper, lower] {
            let half = self.builder.node(Lookup { table }, &[shares])?;
            sums.push(self.builder.node(MatMul { finish: None }, &[half, b.id])?);
        }
        let (left, right) = (factor(unit * f64::from(UPPER))?, factor(unit)?);
        let Target { dtype, low, high, units } = target;
        let id = self.builder.node(Add { left, right, dtype, low, high }, &sums)?;
        Ok(Placed { id, units })
    }

    /// Tables that take 15 bits apart, the same for all products.
    fn halves(&mut self) -> Result<(ParamId, ParamId), ConvertError> {
        if let Some(halves) = self.halves {
            return Ok(halves);
        }
        let upper = |x: i32| (x + UPPER / 2).div_euclid(UPPER).clamp(-127, 127);
        let table = |of: &dyn Fn(i32) -> i32| Data::collect(DType::I8, (-32_768..32_768).map(of));
        let high = self.param("halves", "upper", vec![65_536], table(&upper))?;
        let rest = |x: i32| (x - upper(x) * UPPER).clamp(-127, 127);
        let low = self.param("halves", "lower", vec![65_536], table(&rest))?;
        self.halves = Some((high, low));
        Ok((high, low))
    }

    /// Products of weights and a value of 15 bits: of its two bytes apart, scaled and added.
    ///
    /// `of` makes the product with weights for operands of bytes; the bias is the lower one's.
    pub(super) fn apart(
        &mut self,
        node: &Node,
        (x, sums): (ValueId, &[f64]),
        target: Target,
        of: impl Fn(bool, Requant) -> neura_int8::Op,
    ) -> Result<Placed, ConvertError> {
        let value = self.graph.nodes.iter().position(|other| std::ptr::eq(other, node));
        let unit = match value {
            Some(value) => self.target(crate::Value(value), Form::Wide).unit(0),
            None => target.unit(0),
        };
        // The upper part alone may be greater than the sum, by the bias.
        let wide = Target::new(DType::I32, vec![unit], 1 << 28);
        let (upper, lower) = self.halves()?;
        let mut parts = Vec::new();
        for (table, by) in [(upper, f64::from(UPPER)), (lower, 1.0)] {
            let half = self.builder.node(Lookup { table }, &[x])?;
            let units: Vec<f64> = sums.iter().map(|unit| unit * by).collect();
            let finish = self.finish(&node.name, &units, &wide)?;
            parts.push(self.builder.node(of(table == lower, finish), &[half])?);
        }
        let factor = factor(unit / target.unit(0))?;
        let Target { dtype, low, high, units } = target;
        let id =
            self.builder.node(Add { left: factor, right: factor, dtype, low, high }, &parts)?;
        Ok(Placed { id, units })
    }

    /// The same cells in every row: the only row of a table, looked up by what is always 0.
    pub(super) fn constant(&mut self, node: &Node, cells: &[f32]) -> Result<Placed, ConvertError> {
        let input = node.inputs[0];
        let from = self.get(input, Form::Native).or_else(|_| self.get(input, Form::Byte))?;
        let (mut id, width) = (from.id, self.graph.node(input).width());
        if !self.graph.node(input).dims.is_empty() {
            id = self.builder.node(Reshape { dims: vec![width] }, &[id])?;
            id = self.builder.node(Slice { axis: 0, start: 0, length: 1 }, &[id])?;
            id = self.builder.node(Reshape { dims: vec![] }, &[id])?;
        }
        let finish =
            Requant { scales: Scales::One(Scale::ONE), dtype: DType::I32, low: 0, high: 0 };
        id = self.builder.node(Requantise { finish }, &[id])?;
        let most = cells.iter().fold(1e-9_f64, |most, x| most.max(f64::from(x.abs())));
        let unit = most / 32_767.0;
        let cells = cells.iter().map(|x| steps(f64::from(*x), unit));
        let cells = Data::collect(DType::I16, cells);
        let table = self.param(&node.name, "cells", vec![1, node.width()], cells)?;
        let id = self.builder.node(Embed { table }, &[id])?;
        Ok(Placed { id, units: vec![unit] })
    }
}
