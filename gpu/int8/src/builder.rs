//! Make models piece by piece: what a converter uses.

use crate::{
    DType, Input, Manifest, Model, ModelError, Node, Op, Output, ParamId, ParamSpec, Params, Parts,
    Tensor, ValueId, ValueType, manifest::node_type, num,
};

/// A model being made. Each node is typed as it is added; ranges are proved by [`Builder::build`].
#[derive(Debug)]
pub struct Builder {
    parts: Parts,
    types: Vec<ValueType>,
    tensors: Vec<Tensor>,
}

impl Builder {
    /// A model of no nodes, for runs of up to `max_rows` rows.
    #[must_use]
    pub fn new(max_rows: usize) -> Self {
        let (inputs, params, nodes, outputs) = (vec![], vec![], vec![], vec![]);
        let parts = Parts { max_rows, inputs, params, nodes, outputs, root: [0; 32] };
        Builder { parts, types: vec![], tensors: vec![] }
    }

    /// An input with rows of axes `dims` and values from `low` to `high`. Inputs come before nodes.
    pub fn input(
        &mut self,
        name: &str,
        dtype: DType,
        dims: &[usize],
        (low, high): (i32, i32),
    ) -> ValueId {
        let input = Input { name: name.to_owned(), dtype, dims: dims.to_vec(), low, high };
        self.types.push(input.value_type());
        self.parts.inputs.push(input);
        ValueId(num::word(self.types.len()).wrapping_sub(1))
    }

    /// A parameter.
    pub fn param(&mut self, name: &str, tensor: Tensor) -> ParamId {
        let (dtype, dims) = (tensor.data().dtype(), tensor.dims().to_vec());
        self.parts.params.push(ParamSpec { name: name.to_owned(), dtype, dims });
        self.tensors.push(tensor);
        ParamId(num::word(self.tensors.len()).wrapping_sub(1))
    }

    /// What a parameter holds.
    #[must_use]
    pub fn tensor(&self, param: ParamId) -> Option<&Tensor> {
        self.tensors.get(num::size(param.0))
    }

    /// A node; the value that it makes.
    ///
    /// # Errors
    /// [`ModelError::Node`] if operands or parameters do not fit the operator.
    pub fn node(&mut self, op: impl Into<Op>, inputs: &[ValueId]) -> Result<ValueId, ModelError> {
        let node = Node { op: op.into(), inputs: inputs.to_vec() };
        let made = node_type(&self.parts, &self.types, &node, self.parts.nodes.len())?;
        self.types.push(made);
        self.parts.nodes.push(node);
        Ok(ValueId(num::word(self.types.len()).wrapping_sub(1)))
    }

    /// The type of a value.
    #[must_use]
    pub fn value_type(&self, value: ValueId) -> Option<&ValueType> {
        self.types.get(value.index())
    }

    /// An output.
    pub fn output(&mut self, name: &str, value: ValueId) {
        self.parts.outputs.push(Output { name: name.to_owned(), value });
    }

    /// The model.
    ///
    /// # Errors
    /// [`ModelError`] if anything does not fit, or an overflow cannot be excluded.
    pub fn build(mut self) -> Result<Model, ModelError> {
        let params = Params::new(&self.parts.params, self.tensors)?;
        self.parts.root = params.root();
        Model::new(Manifest::new(self.parts)?, params)
    }
}
