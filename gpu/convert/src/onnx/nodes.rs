//! Read nodes: each operator of ONNX as one or more of ours.

use tract_onnx::pb::NodeProto;

use super::{
    constant::{Constant, NOT_FINITE},
    fold::fold,
    known::{Known, Lazy},
    name,
    reader::Reader,
};
use crate::{ConvertError, Op, error};

/// What to do about most nodes that cannot be read.
const ADVICE: &str = "Leave it out of the exported model and do it before or after, convert only outputs \
                      that do not need it (--output), or write it with operators that are taken: Gemm, MatMul, \
                      Conv, BatchNormalization, Add, Sub, Mul, Div, Relu, Clip, Sigmoid, Tanh, Gelu and other \
                      functions of one value, pools, Pad, Resize, LayerNormalization, Softmax, ArgMax, reductions, \
                      Reshape, Transpose, Slice, Split, Concat, Gather";

/// What to do about a node whose operands are not made before it.
const ORDER: &str = "Nodes must stand after those whose outputs they take, and none may need its own output: check the \
                     file with onnx.checker.check_model, and export it again";

impl Reader<'_> {
    pub(super) fn node(&mut self, node: &NodeProto) -> Result<(), ConvertError> {
        if node.op_type == "If" && is_usual(&node.domain) {
            return self.chosen(node);
        }
        self.taken(node).map_err(|reason| self.refusal(node, reason))?;
        self.used(node);
        Ok(())
    }

    /// Why a node is refused, and what helps.
    fn refusal(&self, node: &NodeProto, reason: String) -> ConvertError {
        let mut operands = node.input.iter().filter(|name| !name.is_empty());
        if reason == NOT_FINITE {
            let infinite = |name: &&String| {
                let known = self.named(name);
                matches!(known, Some(Known::Constant(list)) if list.finite().is_err())
            };
            if let Some(name) = operands.clone().find(infinite) {
                return ConvertError::NotFinite { name: name.clone() };
            }
        }
        let unmade = operands.any(|name| self.named(name).is_none());
        let advice = if unmade { ORDER } else { ADVICE };
        error::node(name(node), &node.op_type, reason, advice)
    }

    fn taken(&mut self, node: &NodeProto) -> Result<(), String> {
        if !is_usual(&node.domain) {
            return Err(format!("its domain, '{}', is not known", node.domain));
        }
        if let Some(inner) = node.attribute.iter().find(|a| a.g.is_some() || !a.graphs.is_empty()) {
            return Err(format!("it has a graph of its own, '{}'", inner.name));
        }
        if !self.folded(node)? {
            let made = self.read(node)?;
            for (output, known) in node.output.iter().zip(made) {
                self.bind(output, known)?;
            }
        }
        Ok(())
    }

    /// Computes a node of constants; false if it is none.
    fn folded(&mut self, node: &NodeProto) -> Result<bool, String> {
        if node.op_type == "Constant" {
            let made = self.stored(node)?;
            self.bind_all(node, vec![made])?;
            return Ok(true);
        }
        let mut inputs: Vec<Option<Constant>> = Vec::new();
        for (operand, name) in node.input.iter().enumerate() {
            match (name.is_empty(), self.known(node, operand)) {
                (true, _) => inputs.push(None),
                (false, Ok(Known::Constant(constant))) => inputs.push(Some(constant.clone())),
                _ => return Ok(false),
            }
        }
        match fold(node, &inputs)? {
            Some(made) => self.bind_all(node, made).map(|()| true),
            None => Ok(false),
        }
    }

    fn bind_all(&mut self, node: &NodeProto, made: Vec<Constant>) -> Result<(), String> {
        for (output, constant) in node.output.iter().zip(made) {
            self.bind_folded(output, constant)?;
        }
        Ok(())
    }

    /// The value of a `Constant` node, in any of its spellings.
    fn stored(&self, node: &NodeProto) -> Result<Constant, String> {
        let [attribute] = &node.attribute[..] else {
            return Err("it has no value".into());
        };
        match &attribute.name[..] {
            "value" => {
                let tensor = attribute.t.as_ref().ok_or("its value is no tensor")?;
                super::proto::constant(tensor, &self.folder)
            }
            "value_float" => Ok(Constant::floats(vec![], vec![attribute.f])),
            "value_int" => Ok(Constant::integers(vec![], vec![attribute.i])),
            "value_floats" => {
                Ok(Constant::floats(vec![attribute.floats.len()], attribute.floats.clone()))
            }
            "value_ints" => {
                Ok(Constant::integers(vec![attribute.ints.len()], attribute.ints.clone()))
            }
            other => Err(format!("its value is given as '{other}'")),
        }
    }

    fn read(&mut self, node: &NodeProto) -> Result<Vec<Known>, String> {
        if let Some(made) = self.unary(node)? {
            return Ok(vec![made]);
        }
        let made = match &node.op_type[..] {
            "Gemm" => self.gemm(node)?,
            "MatMul" => self.matmul(node)?,
            "Conv" => self.conv(node)?,
            "BatchNormalization" => self.batch_norm(node)?,
            "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Max" | "Min" | "Sum" => self.binary(node)?,
            "Greater" | "Less" | "GreaterOrEqual" | "LessOrEqual" => self.compared(node)?,
            "ConvTranspose" => self.conv_transposed(node)?,
            "LSTM" | "GRU" | "RNN" => return self.recurrent(node),
            "PRelu" => self.prelu(node)?,
            "Clip" => self.clip(node)?,
            "Where" => self.choice(node)?,
            "MaxPool" | "AveragePool" => self.pool(node)?,
            "GlobalAveragePool" | "GlobalMaxPool" => self.global_pool(node)?,
            "Pad" => self.pad(node)?,
            "Resize" | "Upsample" => self.resize(node)?,
            "LRN" => self.local_norm(node)?,
            "LayerNormalization" | "RMSNormalization" | "SimplifiedLayerNormalization" => {
                self.layer_norm(node)?
            }
            "InstanceNormalization" | "GroupNormalization" => self.instance_norm(node)?,
            "ReduceMean" | "ReduceSum" | "ReduceMax" | "ReduceMin" | "ReduceL2"
            | "ReduceSumSquare" => self.reduce(node)?,
            "Softmax" => self.softmax(node)?,
            "LogSoftmax" | "ReduceLogSumExp" => self.logarithms(node)?,
            "CumSum" => self.cumulated(node)?,
            "ArgMax" | "ArgMin" if super::proto::int(node, "select_last_index", 0) != 0 => {
                return Err("of equal values it takes the last, and only the first can be".into());
            }
            "ArgMax" | "ArgMin" => self.along(node, Op::Argmax)?,
            "QuantizeLinear"
            | "DynamicQuantizeLinear"
            | "MatMulInteger"
            | "ConvInteger"
            | "QLinearMatMul"
            | "QLinearConv" => return self.read_quantised(node),
            _ => return self.read_layout(node),
        };
        Ok(vec![made])
    }

    /// Operators that move cells, or do nothing to them.
    fn read_layout(&mut self, node: &NodeProto) -> Result<Vec<Known>, String> {
        let made = match &node.op_type[..] {
            "Shape" | "Size" => self.shape(node)?,
            "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" => self.reshape(node)?,
            "Transpose" => self.transpose(node)?,
            "Expand" | "Tile" => self.expand_node(node)?,
            "Slice" => self.slice(node)?,
            "Split" => return self.split(node),
            "Concat" => self.concat(node)?,
            "Gather" | "ArrayFeatureExtractor" => self.gather(node)?,
            "DepthToSpace" | "SpaceToDepth" => self.block(node)?,
            "Identity" | "Dropout" | "Cast" | "CastLike" | "ZipMap" | "DequantizeLinear" => {
                self.known(node, 0)?.clone()
            }
            "Scaler" => self.scaler(node)?,
            "IsNaN" => {
                let dims = self.dims(node, 0)?;
                Known::Constant(Constant::integers(vec![1; dims.len()], vec![0]))
            }
            "Equal" => self.padding(node)?,
            _ => return Err("it is not taken".into()),
        };
        Ok(vec![made])
    }

    /// Operators of values that the file quantised.
    fn read_quantised(&mut self, node: &NodeProto) -> Result<Vec<Known>, String> {
        Ok(vec![match &node.op_type[..] {
            "DynamicQuantizeLinear" => return self.quantised_by_itself(node),
            "QuantizeLinear" => self.quantised(node)?,
            "MatMulInteger" => self.whole_product(node)?,
            "ConvInteger" => self.whole_conv(node)?,
            "QLinearMatMul" => self.scaled_product(node)?,
            _ => self.scaled_conv(node)?,
        }])
    }

    /// The part of a choice that a constant decides for, as if it stood in the graph itself.
    fn chosen(&mut self, node: &NodeProto) -> Result<(), ConvertError> {
        let refused = |reason: String| error::node(name(node), &node.op_type, reason, ADVICE);
        let truth = self.constant(node, 0).map_err(|_| {
            refused("what it decides by is computed from the data: only constants are taken".into())
        })?;
        let taken = if truth.uniform() == Some(0.0) { "else_branch" } else { "then_branch" };
        let graph = super::proto::attribute(node, taken).and_then(|a| a.g.as_ref());
        let graph = graph.ok_or_else(|| refused(format!("it has no {taken}")))?;
        for tensor in &graph.initializer {
            let constant = super::proto::constant(tensor, &self.folder).map_err(refused)?;
            self.bind(&tensor.name, Known::Constant(constant)).map_err(refused)?;
        }
        for inner in &graph.node {
            self.node(inner)?;
        }
        for (output, made) in node.output.iter().zip(&graph.output) {
            let known = self.named(&made.name).cloned();
            let known =
                known.ok_or_else(|| refused(format!("'{}' is made by no node", made.name)))?;
            self.bind(output, known).map_err(refused)?;
        }
        self.used_choice(node, taken);
        Ok(())
    }

    /// Where tokens are padding: nowhere, as texts are given without.
    fn padding(&mut self, node: &NodeProto) -> Result<Known, String> {
        let lazy = [0, 1].into_iter().find_map(|at| self.lazy(node, at).ok());
        let lazy = lazy.ok_or("it compares agreements of tokens")?;
        let one = [0, 1].into_iter().find_map(|at| self.constant(node, at).ok());
        let tokens = matches!(self.graph.node(lazy.view.value).op, Op::Tokens(_));
        if !tokens {
            return self.compared(node);
        }
        if one.is_none_or(|one| one.len() != 1) {
            return Err("it compares tokens with others than one".into());
        }
        self.assumed.insert("no token is the one that stands for padding".into());
        let dims = lazy.dims(self.rows);
        let count = dims.iter().product();
        Ok(Known::Constant(Constant::integers(dims, vec![0; count])))
    }

    /// Features less an offset, times a scale, each with its own.
    fn scaler(&mut self, node: &NodeProto) -> Result<Known, String> {
        let view = self.view(node, 0)?;
        let width = view.width();
        let list = |name: &str, default: f32| {
            let found = super::proto::attribute(node, name).map(|a| a.floats.clone());
            match found.unwrap_or_default() {
                list if list.is_empty() => Ok(vec![default; width]),
                list if list.len() == 1 => Ok(vec![list[0]; width]),
                list if list.len() == width => Ok(list),
                list => Err(format!("{} numbers do not fit {width} features", list.len())),
            }
        };
        let (offset, scale) = (list("offset", 0.0)?, list("scale", 1.0)?);
        let shift: Vec<f32> = offset.iter().zip(&scale).map(|(o, s)| -o * s).collect();
        let view = self.affine(name(node), &view, (&scale, &shift), false)?;
        Ok(Known::Lazy(Lazy::of(view)))
    }
}

/// Whether a node's domain is one whose operators are read.
fn is_usual(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx" | "ai.onnx.ml" | "com.microsoft")
}
