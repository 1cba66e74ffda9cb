//! Hold a model without its parameters: ports, table of parameters, graph, root; and name it.

use crate::{
    DType, MAX_MANIFEST_BYTES, MAX_NODES, MAX_OPERANDS, MAX_PARAMS, MAX_PORTS, MAX_RANK, MAX_ROWS,
    ModelError, Node, NodeProblem, ParamSpec, Rows, ValueId, ValueType,
    codec::{HEADER_BYTES, MAGIC_BYTES, Reader, Writer, check_name},
    error::{bounded, within},
    num,
    ops::{Cells, Site, Table, Typing},
};
use std::collections::BTreeSet;

const WHAT: &str = "a manifest of an int8 model";
const MAGIC: &[u8; MAGIC_BYTES] = b"NEURAI8G";

/// The domain of a model's id, a BLAKE3 key-derivation context.
pub const MODEL_DOMAIN: &str = "neura:int8:model:v2";

/// What a model takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// The type of its cells.
    pub dtype: DType,
    /// The axes of one of its rows; none for a list of tokens.
    pub dims: Vec<usize>,
    /// Least value taken.
    pub low: i32,
    /// Greatest value taken.
    pub high: i32,
}

impl Input {
    /// The type of the value that it becomes.
    #[must_use]
    pub fn value_type(&self) -> ValueType {
        let (dtype, dims) = (self.dtype, self.dims.clone());
        ValueType { dtype, rows: Rows::Many, dims, context: false }
    }

    fn check(&self) -> Result<(), NodeProblem> {
        let (least, greatest) = self.dtype.limits();
        within("the greatest value", self.high.into(), least.into(), greatest.into())?;
        within("the least value", self.low.into(), least.into(), self.high.into())?;
        self.value_type().check()
    }
}

/// What a model gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// The value given.
    pub value: ValueId,
}

/// What a manifest is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// Greatest number of rows of a run.
    pub max_rows: usize,
    /// What the model takes.
    pub inputs: Vec<Input>,
    /// The table of parameters.
    pub params: Vec<ParamSpec>,
    /// The graph, each node after those whose values it takes.
    pub nodes: Vec<Node>,
    /// What the model gives.
    pub outputs: Vec<Output>,
    /// The root over the parameters.
    pub root: [u8; 32],
}

/// A model without its parameters: everything that is needed to recompute one cell from others.
///
/// Its types and shapes are right; that nothing overflows is proved by [`Model`](crate::Model),
/// which knows the parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    parts: Parts,
    /// The type of every value, by its index.
    types: Vec<ValueType>,
}

impl Manifest {
    /// Checks the parts against each other and finds every value's type.
    ///
    /// # Errors
    /// [`ModelError`] naming what does not fit.
    pub fn new(parts: Parts) -> Result<Self, ModelError> {
        bounded("the greatest number of rows", parts.max_rows, 1, MAX_ROWS)?;
        bounded("the number of inputs", parts.inputs.len(), 1, MAX_PORTS)?;
        bounded("the number of outputs", parts.outputs.len(), 1, MAX_PORTS)?;
        bounded("the number of parameters", parts.params.len(), 0, MAX_PARAMS)?;
        bounded("the number of nodes", parts.nodes.len(), 0, MAX_NODES)?;
        unique(parts.inputs.iter().map(|input| &input.name))?;
        unique(parts.outputs.iter().map(|output| &output.name))?;
        unique(parts.params.iter().map(|param| &param.name))?;
        for input in &parts.inputs {
            let refused = |problem| ModelError::Input { name: input.name.clone(), problem };
            input.check().map_err(refused)?;
        }
        parts.params.iter().try_for_each(ParamSpec::check)?;
        let mut manifest = Manifest { types: Vec::new(), parts };
        manifest.types = manifest.infer()?;
        for output in &manifest.parts.outputs {
            known("an output", output.value, manifest.types.len())?;
        }
        let size = manifest.encode().len();
        bounded("the size of an encoded manifest", size, 0, MAX_MANIFEST_BYTES)?;
        Ok(manifest)
    }

    fn infer(&self) -> Result<Vec<ValueType>, ModelError> {
        let mut types: Vec<_> = self.parts.inputs.iter().map(Input::value_type).collect();
        for (index, node) in self.parts.nodes.iter().enumerate() {
            let made = node_type(&self.parts, &types, node, index)?;
            types.push(made);
        }
        Ok(types)
    }

    /// Greatest number of rows of a run.
    #[must_use]
    pub fn max_rows(&self) -> usize {
        self.parts.max_rows
    }

    /// What the model takes.
    #[must_use]
    pub fn inputs(&self) -> &[Input] {
        &self.parts.inputs
    }

    /// The table of parameters.
    #[must_use]
    pub fn params(&self) -> &[ParamSpec] {
        &self.parts.params
    }

    /// The graph.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.parts.nodes
    }

    /// What the model gives.
    #[must_use]
    pub fn outputs(&self) -> &[Output] {
        &self.parts.outputs
    }

    /// The root over the parameters.
    #[must_use]
    pub fn root(&self) -> &[u8; 32] {
        &self.parts.root
    }

    /// The type of every value, inputs first, then what each node makes.
    #[must_use]
    pub fn types(&self) -> &[ValueType] {
        &self.types
    }

    /// The type of one value.
    #[must_use]
    pub fn value_type(&self, value: ValueId) -> Option<&ValueType> {
        self.types.get(value.index())
    }

    /// The value that a node makes.
    #[must_use]
    pub fn made_by(&self, node: usize) -> ValueId {
        ValueId(num::word(self.parts.inputs.len().saturating_add(node)))
    }

    /// The types of a node's operands.
    #[must_use]
    pub fn operand_types(&self, node: &Node) -> Vec<&ValueType> {
        node.inputs.iter().filter_map(|input| self.value_type(*input)).collect()
    }

    /// The model's id: a commitment to this manifest, and by its root to the parameters.
    #[must_use]
    pub fn id(&self) -> [u8; 32] {
        blake3::derive_key(MODEL_DOMAIN, &self.encode())
    }

    /// Recomputes cell `index` of what node `node` makes in a run of `rows` rows, from cells of
    /// its operands and of parameters.
    ///
    /// # Errors
    /// [`ModelError::Cell`] for a node or a cell that does not exist; what `cells` reports.
    pub fn recompute_cell(
        &self,
        rows: usize,
        (node, index): (usize, usize),
        cells: &mut dyn Cells,
    ) -> Result<i32, ModelError> {
        bounded("the number of rows", rows, 1, self.max_rows())?;
        let missing = ModelError::Cell { what: "a node's output", index };
        let found = self.parts.nodes.get(node);
        let output = self.value_type(self.made_by(node)).filter(|y| index < y.cells(rows, rows));
        let (Some(found), Some(output)) = (found, output) else { return Err(missing) };
        let inputs = self.operand_types(found);
        let site = Site { inputs: &inputs, params: self.params(), output, rows };
        found.op.operator().cell(&site, index, cells)
    }

    /// The one encoding.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let parts = &self.parts;
        let mut out = Writer::open(MAGIC, HEADER_BYTES);
        out.bytes(&parts.root);
        out.count(parts.max_rows);
        out.count(parts.inputs.len());
        for input in &parts.inputs {
            out.name(&input.name);
            out.u8(input.dtype.code());
            out.u8(u8::try_from(input.dims.len()).unwrap_or(u8::MAX));
            input.dims.iter().for_each(|dim| out.count(*dim));
            out.i32(input.low);
            out.i32(input.high);
        }
        out.count(parts.params.len());
        parts.params.iter().for_each(|param| param.encode(&mut out));
        out.count(parts.nodes.len());
        parts.nodes.iter().for_each(|node| node.encode(&mut out));
        out.count(parts.outputs.len());
        for output in &parts.outputs {
            out.name(&output.name);
            out.u32(output.value.0);
        }
        out.finish()
    }

    /// Decodes a manifest; the inverse of [`Manifest::encode`], accepting nothing else.
    ///
    /// # Errors
    /// [`ModelError`] for anything that is not the canonical encoding of a valid manifest.
    pub fn decode(bytes: &[u8]) -> Result<Self, ModelError> {
        bounded("the size of an encoded manifest", bytes.len(), 0, MAX_MANIFEST_BYTES)?;
        let mut reader = Reader::open(WHAT, MAGIC, bytes)?;
        let root = reader.array()?;
        let max_rows = reader.count()?;
        let inputs = list(&mut reader, ("the number of inputs", 1, MAX_PORTS), decode_input)?;
        let most = ("the number of parameters", 0, MAX_PARAMS);
        let params = list(&mut reader, most, ParamSpec::decode)?;
        let nodes = list(&mut reader, ("the number of nodes", 0, MAX_NODES), Node::decode)?;
        let outputs = list(&mut reader, ("the number of outputs", 1, MAX_PORTS), |reader| {
            Ok(Output { name: reader.name()?, value: ValueId(reader.u32()?) })
        })?;
        reader.finish()?;
        Manifest::new(Parts { max_rows, inputs, params, nodes, outputs, root })
    }
}

/// A bounded list of items. Nothing is allocated before it is read.
fn list<T>(
    reader: &mut Reader<'_>,
    (what, min, max): (&'static str, usize, usize),
    item: impl Fn(&mut Reader<'_>) -> Result<T, ModelError>,
) -> Result<Vec<T>, ModelError> {
    let count = reader.bounded(what, min, max)?;
    (0..count).map(|_| item(reader)).collect()
}

fn decode_input(reader: &mut Reader<'_>) -> Result<Input, ModelError> {
    let name = reader.name()?;
    let dtype = DType::decode(reader)?;
    let rank = usize::from(reader.u8()?);
    bounded("the number of axes", rank, 0, MAX_RANK)?;
    let dims = (0..rank).map(|_| reader.count()).collect::<Result<_, _>>()?;
    Ok(Input { name, dtype, dims, low: reader.i32()?, high: reader.i32()? })
}

/// The type of what a node makes, the types of all values before it being known.
pub(crate) fn node_type(
    parts: &Parts,
    types: &[ValueType],
    node: &Node,
    index: usize,
) -> Result<ValueType, ModelError> {
    bounded("the number of operands", node.inputs.len(), 0, MAX_OPERANDS)?;
    for input in &node.inputs {
        known("a node", *input, types.len())?;
    }
    let inputs: Vec<_> = node.inputs.iter().filter_map(|id| types.get(id.index())).collect();
    let typing = Typing { inputs: &inputs, params: Table(&parts.params), max_rows: parts.max_rows };
    let made = node.op.operator().output(&typing);
    let made = made.and_then(|made| made.check().map(|()| made));
    made.map_err(|problem| ModelError::Node { node: index, op: node.op.name(), problem })
}

fn known(what: &'static str, value: ValueId, known: usize) -> Result<(), ModelError> {
    if value.index() < known {
        return Ok(());
    }
    Err(ModelError::Value { what, value: value.0, known })
}

fn unique<'a>(names: impl Iterator<Item = &'a String>) -> Result<(), ModelError> {
    let mut seen = BTreeSet::new();
    for name in names {
        check_name(name)?;
        if !seen.insert(name) {
            return Err(ModelError::Twice { name: name.clone() });
        }
    }
    Ok(())
}
