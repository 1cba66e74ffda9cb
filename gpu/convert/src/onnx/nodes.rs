//! Read nodes: each operator of ONNX as one or more of ours.

use neura_int8::{MAX_WINDOW, ops::conv::Window};
use tract_onnx::pb::NodeProto;

use super::{
    Reader, name,
    proto::{Constant, float, int, ints, text},
};
use crate::{ConvertError, Function, Matrix, Op, Value, error};

/// What to do about most nodes that cannot be read.
const ADVICE: &str = "Leave it out of the exported model and do it before or after, or write it with operators that are \
                      taken: Gemm, MatMul, Conv, BatchNormalization, Add, Sub, Mul, Div, Relu, LeakyRelu, Clip, Sigmoid, \
                      HardSigmoid, Tanh, Erf, Gelu, MaxPool, AveragePool, GlobalAveragePool, Flatten, Reshape, \
                      LayerNormalization, Softmax, ArgMax";

impl Reader {
    pub(super) fn node(&mut self, node: &NodeProto) -> Result<(), ConvertError> {
        let refused = |reason: String| error::node(name(node), &node.op_type, reason, ADVICE);
        let Some(output) = node.output.first() else {
            return Err(refused("it makes nothing".into()));
        };
        if node.op_type == "Constant" {
            let tensor = node.attribute.iter().find_map(|a| a.t.as_ref());
            let tensor = tensor.ok_or_else(|| refused("its value is no tensor".into()))?;
            self.constants.insert(output.clone(), Constant::read(tensor)?);
            return Ok(());
        }
        let value = self.read(node).map_err(refused)?;
        self.values.insert(output.clone(), value);
        Ok(())
    }

    fn read(&mut self, node: &NodeProto) -> Result<Value, String> {
        let apply = |function| Op::Apply(function);
        match &node.op_type[..] {
            "Gemm" => self.gemm(node),
            "MatMul" => {
                let weights = self.constant(node, 1)?;
                let bias = vec![0.0; *weights.dims.get(1).unwrap_or(&0)];
                let weights = transposed(weights)?;
                self.add(node, Op::Linear(weights, bias))
            }
            "Conv" => self.conv(node),
            "BatchNormalization" => self.batch_norm(node),
            "Add" | "Sub" | "Mul" | "Div" => self.arithmetic(node),
            "Relu" => self.add(node, apply(Function::Relu)),
            "LeakyRelu" => self.add(node, apply(Function::LeakyRelu(float(node, "alpha", 0.01)))),
            "Sigmoid" => self.add(node, apply(Function::Sigmoid)),
            "HardSigmoid" => {
                let (alpha, beta) = (float(node, "alpha", 0.2), float(node, "beta", 0.5));
                self.add(node, apply(Function::HardSigmoid(alpha, beta)))
            }
            "Tanh" => self.add(node, apply(Function::Tanh)),
            "Erf" => self.add(node, apply(Function::Erf)),
            "Gelu" if text(node, "approximate") == "tanh" => {
                self.add(node, apply(Function::GeluTanh))
            }
            "Gelu" => self.add(node, apply(Function::Gelu)),
            "Clip" => self.clip(node),
            "MaxPool" | "AveragePool" => self.pool(node),
            "GlobalAveragePool" | "GlobalMaxPool" => self.global_pool(node),
            "Flatten" | "Reshape" => self.reshape(node),
            "Identity" | "Dropout" => self.value(node, 0),
            "LayerNormalization" => self.layer_norm(node),
            "Softmax" => self.along_last(node, Op::Softmax, "axis", -1),
            "ArgMax" if int(node, "select_last_index", 0) != 0 => {
                Err("of equal values the first is taken".into())
            }
            "ArgMax" => self.along_last(node, Op::Argmax, "axis", 0),
            _ => Err("it is not taken".into()),
        }
    }

    fn value(&self, node: &NodeProto, operand: usize) -> Result<Value, String> {
        let name = node.input.get(operand).map_or("", String::as_str);
        let constant = self.constants.contains_key(name);
        self.values.get(name).copied().ok_or_else(|| match constant {
            true => format!("its operand '{name}' is a constant, and must be computed"),
            false => format!("its operand '{name}' is made by no node before it"),
        })
    }

    fn constant(&self, node: &NodeProto, operand: usize) -> Result<&Constant, String> {
        let name = node.input.get(operand).map_or("", String::as_str);
        let missing = || format!("its operand {operand}, '{name}', must be a constant");
        self.constants.get(name).ok_or_else(missing)
    }

    fn add(&mut self, node: &NodeProto, op: Op) -> Result<Value, String> {
        let x = self.value(node, 0)?;
        self.graph.add(name(node), op, &[x]).map_err(reason)
    }

    fn gemm(&mut self, node: &NodeProto) -> Result<Value, String> {
        if int(node, "transA", 0) != 0 {
            return Err("it transposes its first operand".into());
        }
        let weights = self.constant(node, 1)?;
        let mut weights = match (int(node, "transB", 0), &weights.dims[..]) {
            (0, _) => transposed(weights)?,
            (_, [_, inner]) => Matrix::new(*inner, weights.floats()),
            (_, dims) => return Err(format!("its weights have the axes {dims:?}")),
        };
        let (alpha, beta) = (float(node, "alpha", 1.0), float(node, "beta", 1.0));
        weights.values.iter_mut().for_each(|w| *w *= alpha);
        let outputs = weights.height();
        let bias = match node.input.get(2).filter(|name| !name.is_empty()) {
            Some(_) => self.constant(node, 2)?.channels(outputs).ok_or("its bias does not fit")?,
            None => vec![0.0; outputs],
        };
        let bias = bias.into_iter().map(|b| b * beta).collect();
        self.add(node, Op::Linear(weights, bias))
    }

    fn conv(&mut self, node: &NodeProto) -> Result<Value, String> {
        let weights = self.constant(node, 1)?;
        let &[outputs, inner, height, width] = &weights.dims[..] else {
            return Err(format!("only images are convolved, its weights have {:?}", weights.dims));
        };
        let weights = Matrix::new(inner * height * width, weights.floats());
        let bias = match node.input.get(2).filter(|name| !name.is_empty()) {
            Some(_) => self.constant(node, 2)?.channels(outputs).ok_or("its bias does not fit")?,
            None => vec![0.0; outputs],
        };
        let window = self.window(node, [height, width])?;
        let groups = usize::try_from(int(node, "group", 1)).unwrap_or(0);
        self.add(node, Op::Conv(weights, bias, window, groups))
    }

    /// The window of a node that moves one over the image of its first operand.
    fn window(&self, node: &NodeProto, size: [usize; 2]) -> Result<Window, String> {
        if ints(node, "dilations").iter().any(|step| *step != 1) {
            return Err("its window is dilated".into());
        }
        if int(node, "ceil_mode", 0) != 0 {
            return Err("it rounds sizes up (ceil_mode): pad the image instead".into());
        }
        let side = |list: &[i64], at: usize, default: usize| match list.get(at) {
            Some(side) => usize::try_from(*side).ok().filter(|side| *side <= MAX_WINDOW),
            None => Some(default),
        };
        let pair = |list: &[i64], from: usize, default: usize| {
            let sides = side(list, from, default).zip(side(list, from + 1, default));
            sides.map(|(a, b)| [a, b]).ok_or("a side, stride or padding is out of range")
        };
        if size.iter().any(|side| *side == 0 || *side > MAX_WINDOW) {
            return Err("its window's sides are out of range".into());
        }
        let stride = pair(ints(node, "strides"), 0, 1)?;
        let pads = ints(node, "pads");
        let (mut before, mut after) = (pair(pads, 0, 0)?, pair(pads, 2, 0)?);
        let auto = text(node, "auto_pad");
        if auto.starts_with("SAME") {
            let dims = &self.graph.node(self.value(node, 0)?).dims;
            for axis in 0..2 {
                let length = *dims.get(axis + 1).ok_or("its operand is no image")?;
                let step = stride[axis].max(1);
                let padding =
                    ((length.div_ceil(step) - 1) * step + size[axis]).saturating_sub(length);
                let (less, more) = (padding / 2, padding.div_ceil(2));
                let lower = auto == "SAME_LOWER";
                (before[axis], after[axis]) = if lower { (more, less) } else { (less, more) };
            }
        }
        Ok(Window { size, stride, before, after })
    }

    fn batch_norm(&mut self, node: &NodeProto) -> Result<Value, String> {
        let count = self.constant(node, 1)?.values.len();
        let mut lists = Vec::new();
        for operand in 1..5 {
            let list = self.constant(node, operand)?.channels(count);
            lists.push(list.ok_or("its lists have different lengths")?);
        }
        let epsilon = float(node, "epsilon", 1e-5);
        let scale: Vec<f32> =
            (0..count).map(|at| lists[0][at] / (lists[3][at] + epsilon).sqrt()).collect();
        let shift: Vec<f32> =
            (0..count).map(|at| lists[1][at] - lists[2][at] * scale[at]).collect();
        self.check_channels(node, 0, count)?;
        self.affine(name(node), &node.input[0], (&scale, &shift))
    }

    /// Checks that an operand has so many channels.
    fn check_channels(&self, node: &NodeProto, operand: usize, count: usize) -> Result<(), String> {
        let dims = &self.graph.node(self.value(node, operand)?).dims;
        match dims.first() == Some(&count) {
            true => Ok(()),
            false => Err(format!("{count} constants do not fit rows of {dims:?}")),
        }
    }

    fn arithmetic(&mut self, node: &NodeProto) -> Result<Value, String> {
        let constant = |at: usize| node.input.get(at).and_then(|name| self.constants.get(name));
        let (constant, value) = match (constant(0), constant(1)) {
            (None, Some(constant)) => (constant, 0),
            (Some(constant), None) if node.op_type != "Div" => (constant, 1),
            (None, None) => {
                let op = match &node.op_type[..] {
                    "Add" => Op::Add,
                    "Mul" => Op::Mul,
                    _ => return Err("two computed values are only added or multiplied".into()),
                };
                let (a, b) = (self.value(node, 0)?, self.value(node, 1)?);
                return self.graph.add(name(node), op, &[a, b]).map_err(reason);
            }
            _ => return Err("its operands are constants".into()),
        };
        let dims = &self.graph.node(self.value(node, value)?).dims;
        let count = *dims.first().ok_or("its operand has no channels")?;
        let cells = constant.channels(count);
        let cells =
            cells.ok_or_else(|| format!("{:?} constants do not fit {dims:?}", constant.dims))?;
        // Constants of more than one value must run along the channels.
        let trailing = constant.dims.iter().rev().take(dims.len() - 1).all(|dim| *dim == 1);
        if constant.values.len() > 1 && dims.len() > 1 && !trailing {
            return Err("its constants run along another axis than the channels'".into());
        }
        let (ones, zeros) = (vec![1.0; count], vec![0.0; count]);
        let negative = |list: &[f32]| list.iter().map(|x| -x).collect::<Vec<f32>>();
        let (scale, shift) = match (&node.op_type[..], value) {
            ("Add", _) => (ones, cells),
            ("Sub", 0) => (ones, negative(&cells)),
            ("Sub", _) => (negative(&ones), cells),
            ("Mul", _) => (cells, zeros),
            _ => (cells.iter().map(|x| 1.0 / x).collect(), zeros),
        };
        if !scale.iter().all(|x| x.is_finite()) {
            return Err("it divides by zero".into());
        }
        self.affine(name(node), &node.input[value], (&scale, &shift))
    }

    fn clip(&mut self, node: &NodeProto) -> Result<Value, String> {
        let bound = |at: usize, attribute: &str, default: f32| match node.input.get(at) {
            Some(input) if !input.is_empty() => {
                let constant = self.constant(node, at)?;
                constant.values.first().map(|x| *x as f32).ok_or("a bound is empty".to_owned())
            }
            _ => Ok(float(node, attribute, default)),
        };
        let (low, high) = (bound(1, "min", f32::MIN)?, bound(2, "max", f32::MAX)?);
        self.add(node, Op::Apply(Function::Clip(low, high)))
    }

    fn pool(&mut self, node: &NodeProto) -> Result<Value, String> {
        let size: Vec<usize> =
            ints(node, "kernel_shape").iter().filter_map(|x| usize::try_from(*x).ok()).collect();
        let &[height, width] = &size[..] else {
            return Err("only images are pooled".into());
        };
        let window = self.window(node, [height, width])?;
        let padded = window.before != [0; 2] || window.after != [0; 2];
        if padded && int(node, "count_include_pad", 0) != 0 {
            return Err("it counts cells outside the image (count_include_pad)".into());
        }
        match &node.op_type[..] {
            "MaxPool" => self.add(node, Op::MaxPool(window)),
            _ => self.add(node, Op::AvgPool(window)),
        }
    }

    fn global_pool(&mut self, node: &NodeProto) -> Result<Value, String> {
        let &[_, height, width] = &self.graph.node(self.value(node, 0)?).dims[..] else {
            return Err("only images are pooled".into());
        };
        let size = [height, width];
        let window = Window { size, stride: [1; 2], before: [0; 2], after: [0; 2] };
        match &node.op_type[..] {
            "GlobalMaxPool" => self.add(node, Op::MaxPool(window)),
            _ => self.add(node, Op::AvgPool(window)),
        }
    }

    fn reshape(&mut self, node: &NodeProto) -> Result<Value, String> {
        let x = self.value(node, 0)?;
        let cells = self.graph.node(x).width();
        let dims = if node.op_type == "Flatten" {
            if int(node, "axis", 1) != 1 {
                return Err("it joins the batch with other axes".into());
            }
            vec![cells]
        } else {
            let shape = self.constant(node, 1).map_err(|error| {
                format!("{error}: export torch.flatten(x, 1) rather than x.view(x.size(0), -1)")
            })?;
            rest_of(&shape.values, cells)?
        };
        self.graph.reshape(name(node), x, dims).map_err(reason)
    }

    fn layer_norm(&mut self, node: &NodeProto) -> Result<Value, String> {
        let gain = self.constant(node, 1)?.floats();
        let bias = match node.input.get(2).filter(|name| !name.is_empty()) {
            Some(_) => {
                self.constant(node, 2)?.channels(gain.len()).ok_or("its bias does not fit")?
            }
            None => vec![0.0; gain.len()],
        };
        let epsilon = float(node, "epsilon", 1e-5);
        self.add(node, Op::LayerNorm(gain, bias, epsilon))
    }

    fn along_last(
        &mut self,
        node: &NodeProto,
        op: Op,
        attribute: &str,
        default: i64,
    ) -> Result<Value, String> {
        let axis = int(node, attribute, default);
        let x = self.value(node, 0)?;
        match self.graph.node(x).dims.len() == 1 && (axis == 1 || axis == -1) {
            true => self.add(node, op),
            false => Err(format!("it runs along axis {axis}: only rows of classes are taken")),
        }
    }
}

fn reason(error: ConvertError) -> String {
    match error {
        ConvertError::Node { reason, .. } => reason,
        other => other.to_string(),
    }
}

/// Weights of inputs × outputs as outputs × inputs.
fn transposed(weights: &Constant) -> Result<Matrix, String> {
    let &[inner, outputs] = &weights.dims[..] else {
        return Err(format!("its weights have the axes {:?}, two are taken", weights.dims));
    };
    let cell = |at: usize| weights.values[at % inner * outputs + at / inner] as f32;
    Ok(Matrix::new(inner, (0..inner * outputs).map(cell).collect()))
}

/// The axes after the batch's that a shape asks for.
fn rest_of(shape: &[f64], cells: usize) -> Result<Vec<usize>, String> {
    let rest = shape.get(1..).filter(|rest| !rest.is_empty() && rest.len() <= 3);
    let rest = rest.ok_or("its shape has no axis beside the batch's, or too many")?;
    let known: usize = rest.iter().filter(|side| **side > 0.0).map(|side| *side as usize).product();
    if rest.iter().filter(|side| **side <= 0.0).count() > 1 {
        return Err("its shape leaves more than one axis open".into());
    }
    let open = cells / known.max(1);
    Ok(rest.iter().map(|side| if *side > 0.0 { *side as usize } else { open }).collect())
}
