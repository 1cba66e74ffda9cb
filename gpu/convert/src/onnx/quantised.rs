//! Read operators on stored integers: as those on the floats that the integers stand for.
//!
//! A value that the file quantises is taken as what it was before, clamped to what its type can
//! hold; only constants are turned back into floats.

use tract_onnx::pb::NodeProto;

use super::{constant::Constant, fold::real, known::Known, proto::axis, reader::Reader};
use crate::{Function, Matrix};

impl Reader<'_> {
    /// A computed value, clamped to what the integers can stand for.
    pub(super) fn quantised(&mut self, node: &NodeProto) -> Result<Known, String> {
        let lazy = self.lazy(node, 0)?;
        let scale = self.constant(node, 1)?.uniform();
        let zero = self.optional(node, 2)?.map_or(Some(0.0), |zero| zero.uniform());
        let signed = self.has(node, 2) && !self.is_unsigned(&node.input[2]);
        let (Some(scale), Some(zero)) = (scale, zero) else {
            return Ok(Known::Lazy(lazy));
        };
        let (low, high) = if signed { (-128.0, 127.0) } else { (0.0, 255.0) };
        let clip = Function::Clip((low - zero) * scale, (high - zero) * scale);
        Ok(Known::Lazy(lazy.curved(|x| x.then(clip))))
    }

    /// A value quantised by its own extremes: itself, with a scale of one and a zero of zero.
    pub(super) fn quantised_by_itself(&mut self, node: &NodeProto) -> Result<Vec<Known>, String> {
        let lazy = self.lazy(node, 0)?;
        let one = Known::Constant(Constant::floats(vec![], vec![1.0]));
        let zero = Known::Constant(Constant::integers(vec![], vec![0]));
        Ok(vec![Known::Lazy(lazy), one, zero])
    }

    /// Products of a value that was quantised by itself and stored integers.
    pub(super) fn whole_product(&mut self, node: &NodeProto) -> Result<Known, String> {
        self.expect_itself(node)?;
        let view = self.view(node, 0)?;
        let weights = self.real(node, (1, None, Some(3)), 1)?;
        self.by_weights(node, &view, &weights)
    }

    /// A convolution of a value that was quantised by itself by stored integers.
    pub(super) fn whole_conv(&mut self, node: &NodeProto) -> Result<Known, String> {
        self.expect_itself(node)?;
        let weights = self.real(node, (1, None, Some(3)), 0)?;
        self.convolved(node, &weights, None)
    }

    /// Products of quantised values and stored integers, with a scale each.
    pub(super) fn scaled_product(&mut self, node: &NodeProto) -> Result<Known, String> {
        let view = self.view(node, 0)?;
        let weights = self.real(node, (3, Some(4), Some(5)), 1)?;
        self.by_weights(node, &view, &weights)
    }

    /// A convolution of quantised values by stored integers, with a scale each.
    pub(super) fn scaled_conv(&mut self, node: &NodeProto) -> Result<Known, String> {
        let weights = self.real(node, (3, Some(4), Some(5)), 0)?;
        let bias = match self.optional(node, 8)? {
            Some(bias) => {
                let count = bias.len();
                let scale = self.constant(node, 1)?.uniform().ok_or("its scale is no number")?;
                let scales = self.constant(node, 4)?.channels(count)?;
                let cells = bias.to_floats().into_iter().zip(scales);
                let cells = cells.map(|(bias, by)| bias * scale * by).collect();
                Some(Constant::floats(vec![count], cells))
            }
            None => None,
        };
        self.convolved(node, &weights, bias)
    }

    /// Refuses an operand whose zero is not that of a value quantised by itself.
    fn expect_itself(&self, node: &NodeProto) -> Result<(), String> {
        match self.optional(node, 2)?.map_or(Some(0.0), |zero| zero.uniform()) {
            Some(0.0) => Ok(()),
            _ => Err("its operand was not quantised by its own extremes".into()),
        }
    }

    fn by_weights(
        &mut self,
        node: &NodeProto,
        view: &super::view::View,
        weights: &Constant,
    ) -> Result<Known, String> {
        let &[inner, outputs] = &weights.dims[..] else {
            return Err(format!("its weights have the axes {:?}, two are taken", weights.dims));
        };
        let weights = Matrix::new(inner, weights.transposed(&[1, 0])?.finite()?);
        self.linear(node, view, weights, vec![0.0; outputs])
    }

    /// Stored integers as floats, by the places of their scale and zero among the operands, along
    /// an axis.
    fn real(
        &self,
        node: &NodeProto,
        (stored, scale, zero): (usize, Option<usize>, Option<usize>),
        along: i64,
    ) -> Result<Constant, String> {
        let stored = self.constant(node, stored)?;
        let at = axis(along, stored.dims.len())?;
        let scale = match scale {
            Some(scale) => self.constant(node, scale)?,
            None => Constant::floats(vec![], vec![1.0]),
        };
        let zero = zero.map(|zero| self.optional(node, zero)).transpose()?.flatten();
        real(&stored, (&scale, zero.as_ref()), at)
    }
}
