//! Multiply by a matrix of weights.

use super::{Call, Cells, Operator, Ranging, Site, Table, Typing};
use crate::{
    DType, Data, Kernels, ModelError, NodeProblem, ParamId, Product, Requant, Scale,
    codec::{Reader, Writer},
    error::fits,
    graph::ValueType,
    num,
    range::{ACCUMULATOR, Interval, weighted},
};

/// A linear layer along the last axis.
///
/// `z[j] = bias[j] + sum over k of x[k] * weights[j][k]`, in 32 bits; `y = z`, or
/// `finish(z[j])` with the factor of channel `j`. One operand, i8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linear {
    /// i8, N × K: K is the length of the operand's last axis, N of the output's.
    pub weights: ParamId,
    /// i32, N; zeros if there is none.
    pub bias: Option<ParamId>,
    /// How accumulators become values; i32 accumulators themselves if not given.
    pub finish: Option<Requant>,
}

impl Linear {
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        Ok(Linear {
            weights: ParamId(reader.u32()?),
            bias: decode_bias(reader)?,
            finish: decode_finish(reader)?,
        })
    }
}

impl Operator for Linear {
    fn output(&self, typing: &Typing<'_>) -> Result<ValueType, NodeProblem> {
        let [x] = typing.operands()?;
        x.expect(0, &[DType::I8])?;
        let (inner, outer) = x.plain()?.split_last().map_or((1, &[][..]), |(k, rest)| (*k, rest));
        let spec = typing.params.find(self.weights, "weights")?;
        let outputs = spec.dims.first().copied().unwrap_or(0);
        typing.params.expect(self.weights, "weights", DType::I8, &[outputs, inner])?;
        check_finish(typing.params, self.bias, self.finish.as_ref(), outputs)?;
        let dims = outer.iter().copied().chain([outputs]).collect();
        Ok(ValueType { dtype: finished(self.finish.as_ref()), dims, ..x.clone() })
    }

    fn range(&self, ranging: &Ranging<'_>) -> Result<Interval, NodeProblem> {
        let inner = ranging.site.param_dim(self.weights, 1);
        channels_range(ranging, (self.weights, inner), self.bias, self.finish.as_ref())
    }

    fn cell(
        &self,
        site: &Site<'_>,
        index: usize,
        cells: &mut dyn Cells,
    ) -> Result<i32, ModelError> {
        let (outputs, inner) = (site.param_dim(self.weights, 0), site.param_dim(self.weights, 1));
        let (outer, channel) = num::split(index, outputs);
        let mut z = bias_cell(self.bias, channel, cells)?;
        for k in 0..inner {
            let x = cells.input(0, num::join(outer, inner, k))?;
            let weight = cells.param(self.weights, num::join(channel, inner, k))?;
            z = z.wrapping_add(x.wrapping_mul(weight));
        }
        finish_cell(self.finish.as_ref(), z, channel, cells)
    }

    fn run(&self, call: &Call<'_>, kernels: &dyn Kernels) -> Result<Data, ModelError> {
        let depth = call.site.param_dim(self.weights, 1);
        let (a, b) = (call.data(0)?.i8s(), call.params.i8s(self.weights));
        let sums = kernels.product(Product { a, b, depth })?;
        let bias = self.bias.map(|bias| call.params.i32s(bias));
        let factors = factors(self.finish.as_ref(), call)?;
        let channels = call.site.param_dim(self.weights, 0);
        Ok(finish_rows(sums, channels, bias, self.finish.as_ref(), &factors))
    }

    fn work(&self, site: &Site<'_>) -> u64 {
        let inner = num::wide(site.param_dim(self.weights, 1));
        num::wide(site.output.cells(site.rows, site.rows)).saturating_mul(inner)
    }

    fn encode(&self, out: &mut Writer) {
        out.u32(self.weights.0);
        encode_bias(self.bias, out);
        encode_finish(self.finish.as_ref(), out);
    }
}

/// The type that a finish makes.
pub(super) fn finished(finish: Option<&Requant>) -> DType {
    finish.map_or(DType::I32, |finish| finish.dtype)
}

pub(super) fn check_finish(
    params: Table<'_>,
    bias: Option<ParamId>,
    finish: Option<&Requant>,
    channels: usize,
) -> Result<(), NodeProblem> {
    if let Some(bias) = bias {
        params.expect(bias, "bias", DType::I32, &[channels])?;
    }
    finish.map_or(Ok(()), |finish| finish.check(&params, channels))
}

/// The factors of a finish, one or one per channel; none without a finish.
pub(super) fn factors(finish: Option<&Requant>, call: &Call<'_>) -> Result<Vec<Scale>, ModelError> {
    finish.map_or(Ok(Vec::new()), |finish| finish.factors(call.params))
}

/// Proves each channel's accumulator, and finds where the finished values end up.
pub(super) fn channels_range(
    ranging: &Ranging<'_>,
    (weights, depth): (ParamId, usize),
    bias: Option<ParamId>,
    finish: Option<&Requant>,
) -> Result<Interval, NodeProblem> {
    let input = ranging.operand(0);
    let bias = bias.map_or(&[][..], |bias| ranging.params.i32s(bias));
    let factors = match finish {
        Some(finish) => checked_factors(finish, ranging)?,
        None => Vec::new(),
    };
    let mut hull: Option<Interval> = None;
    for (channel, row) in ranging.params.i8s(weights).chunks(depth.max(1)).enumerate() {
        let bias = bias.get(channel).copied().unwrap_or(0);
        let (sums, reach) = weighted(row, bias, input);
        fits("an accumulator", reach, ACCUMULATOR)?;
        let values = match (finish, factors.get(channel).or(factors.first())) {
            (Some(finish), Some(scale)) => finish.interval(*scale, sums),
            _ => sums,
        };
        hull = Some(hull.map_or(values, |hull| hull.hull(values)));
    }
    Ok(hull.unwrap_or(Interval::new(0, 0)))
}

/// The factors of a finish, or which one is wrong.
pub(super) fn checked_factors(
    finish: &Requant,
    ranging: &Ranging<'_>,
) -> Result<Vec<Scale>, NodeProblem> {
    finish.factors(ranging.params).map_err(|_| match finish.scales {
        crate::Scales::Channels { multipliers, shifts } => {
            let pairs = ranging.params.i32s(multipliers).iter().zip(ranging.params.i8s(shifts));
            let pairs = pairs.map(|(multiplier, shift)| (*multiplier, i32::from(*shift)));
            let wrong = pairs.enumerate().find(|(_, (multiplier, shift))| {
                let multiplier = u32::try_from(*multiplier).unwrap_or(0);
                Scale::new(multiplier, u8::try_from(*shift).unwrap_or(u8::MAX)).is_err()
            });
            let (channel, (multiplier, shift)) = wrong.unwrap_or_default();
            NodeProblem::Scale { channel, multiplier, shift }
        }
        crate::Scales::One(_) => NodeProblem::Scale { channel: 0, multiplier: 0, shift: 0 },
    })
}

/// Rows of accumulators, `channels` each, as finished values.
pub(super) fn finish_rows(
    mut sums: Vec<i32>,
    channels: usize,
    bias: Option<&[i32]>,
    finish: Option<&Requant>,
    factors: &[Scale],
) -> Data {
    if let Some(bias) = bias {
        for row in sums.chunks_mut(channels.max(1)) {
            row.iter_mut().zip(bias).for_each(|(z, bias)| *z = z.wrapping_add(*bias));
        }
    }
    let Some(finish) = finish else { return Data::I32(sums) };
    if let [scale] = factors {
        return Data::collect(finish.dtype, sums.into_iter().map(|z| finish.apply(*scale, z)));
    }
    let rows = sums.chunks(channels.max(1));
    let values = rows.flat_map(|row| row.iter().zip(factors).map(|(z, s)| finish.apply(*s, *z)));
    Data::collect(finish.dtype, values)
}

pub(super) fn bias_cell(
    bias: Option<ParamId>,
    channel: usize,
    cells: &mut dyn Cells,
) -> Result<i32, ModelError> {
    bias.map_or(Ok(0), |bias| cells.param(bias, channel))
}

pub(super) fn finish_cell(
    finish: Option<&Requant>,
    z: i32,
    channel: usize,
    cells: &mut dyn Cells,
) -> Result<i32, ModelError> {
    finish.map_or(Ok(z), |finish| finish.cell(z, channel, cells))
}

pub(super) fn encode_bias(bias: Option<ParamId>, out: &mut Writer) {
    out.flag(bias.is_some());
    if let Some(bias) = bias {
        out.u32(bias.0);
    }
}

pub(super) fn decode_bias(reader: &mut Reader<'_>) -> Result<Option<ParamId>, ModelError> {
    Ok(if reader.flag()? { Some(ParamId(reader.u32()?)) } else { None })
}

pub(super) fn encode_finish(finish: Option<&Requant>, out: &mut Writer) {
    out.flag(finish.is_some());
    if let Some(finish) = finish {
        finish.encode(out);
    }
}

pub(super) fn decode_finish(reader: &mut Reader<'_>) -> Result<Option<Requant>, ModelError> {
    Ok(if reader.flag()? { Some(Requant::decode(reader)?) } else { None })
}
