//! Read comparisons, choices by what is computed, and the greater or smaller of two values.

use tract_onnx::pb::NodeProto;

use super::{
    known::{Known, Lazy},
    name,
    reader::Reader,
    view::View,
};
use crate::{Binary, Curve, Function, Op};

impl Reader<'_> {
    /// Whether one value is greater than another, as 1 or 0: a step in their difference.
    pub(super) fn compared(&mut self, node: &NodeProto) -> Result<Known, String> {
        let difference = match (self.known(node, 0)?.clone(), self.known(node, 1)?.clone()) {
            (Known::Lazy(_), Known::Lazy(_)) => self.both(node, Binary::Sub)?,
            (Known::Lazy(_), Known::Constant(constant)) => {
                self.beside(node, 0, (Binary::Sub, &constant), false)?
            }
            (Known::Constant(constant), Known::Lazy(_)) => {
                self.beside(node, 1, (Binary::Sub, &constant), true)?
            }
            _ => return Err("agreements of tokens are compared".into()),
        };
        let Known::Lazy(difference) = difference else {
            return Err("it compares what is not computed".into());
        };
        let zero = || Curve::number(0.0);
        let curve = |x: Curve| match &node.op_type[..] {
            "Greater" => x.with(Binary::Greater, zero()),
            "GreaterOrEqual" => x.with(Binary::AtLeast, zero()),
            "Less" => zero().with(Binary::Greater, x),
            "LessOrEqual" => zero().with(Binary::AtLeast, x),
            _ => {
                let above = x.clone().with(Binary::AtLeast, zero());
                above.with(Binary::Mul, zero().with(Binary::AtLeast, x))
            }
        };
        Ok(Known::Lazy(difference.curved(curve)))
    }

    /// One value where a computed one is not zero, another elsewhere: `c * x + (1 - c) * y`.
    pub(super) fn computed_choice(&mut self, node: &NodeProto) -> Result<Known, String> {
        let rest = Curve::number(1.0).with(Binary::Sub, Curve::identity()).function();
        let chosen = self.view(node, 0)?;
        let others = self.apply(name(node), &chosen, rest)?;
        let first = self.kept(node, &chosen, 1)?;
        let second = self.kept(node, &others, 2)?;
        let sum = self.cell_by_cell(name(node), Op::Add, (&first, &second))?;
        Ok(Known::Lazy(Lazy::of(sum)))
    }

    /// An operand, constant or not, where a value is 1; 0 where it is 0.
    fn kept(&mut self, node: &NodeProto, by: &View, operand: usize) -> Result<View, String> {
        if let Known::Constant(constant) = self.known(node, operand)?.clone() {
            let made = self.spread_on(node, by, (Binary::Mul, &constant), (false, false))?;
            return match made {
                Known::Lazy(made) => Ok(made.view),
                _ => Err("it chooses what is not computed".into()),
            };
        }
        let view = self.view(node, operand)?;
        self.cell_by_cell(name(node), Op::Mul, (by, &view))
    }

    /// The greater or smaller of two computed values: the first, and by how much the other is beyond.
    pub(super) fn extreme(
        &mut self,
        name: &str,
        of: Binary,
        (a, b): (&View, &View),
    ) -> Result<View, String> {
        let minus = self.affine(name, a, (&[-1.0], &[0.0]), false)?;
        let difference = self.cell_by_cell(name, Op::Add, (b, &minus))?;
        let beyond = self.apply(name, &difference, beyond(of))?;
        self.cell_by_cell(name, Op::Add, (a, &beyond))
    }
}

/// What of a difference is added to make the greater or the smaller value.
pub(super) fn beyond(of: Binary) -> Function {
    match of {
        Binary::Min => Function::Clip(f32::MIN, 0.0),
        _ => Function::Relu,
    }
}
