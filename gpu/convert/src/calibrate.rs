//! Find how great values get: run the float model over data and keep magnitudes.

use rayon::prelude::*;

use crate::{ConvertError, Graph, Sample, Value};

/// Bits of a float that name its bin: exponent and five bits of mantissa, steps of about 3 %.
const BIN_SHIFT: u32 = 18;
/// Bins of magnitudes.
const BINS: usize = 1 << (31 - BIN_SHIFT);

/// Magnitudes of one value over all data.
#[derive(Debug, Clone, PartialEq)]
struct Magnitudes {
    /// The greatest of each channel of the last axis, for rows of one or two; of all cells else.
    channels: Vec<f32>,
    /// How many cells fall into each bin.
    bins: Vec<u64>,
}

impl Magnitudes {
    fn take_in(&mut self, other: &Magnitudes) {
        let pairs = self.channels.iter_mut().zip(&other.channels);
        pairs.for_each(|(a, b)| *a = a.max(*b));
        self.bins.iter_mut().zip(&other.bins).for_each(|(a, b)| *a += b);
    }
}

/// How great every value of a graph gets.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    values: Vec<Magnitudes>,
}

/// Runs a graph over samples and keeps the magnitudes of every value.
///
/// # Errors
/// [`ConvertError::NoData`] without samples, [`ConvertError::Sample`] for one that does not fit,
/// [`ConvertError::Infinite`] if a value is not a finite number.
pub fn calibrate(graph: &Graph, samples: &[Sample]) -> Result<Calibration, ConvertError> {
    if samples.is_empty() {
        return Err(ConvertError::NoData);
    }
    let nothing = || Calibration::nothing(graph);
    let parts = samples.par_iter().enumerate().try_fold(nothing, |mut found, (index, sample)| {
        let values = graph.values(sample).map_err(|error| error.of_sample(index))?;
        found.add(&values);
        Ok::<_, ConvertError>(found)
    });
    let mut found = parts.try_reduce(nothing, |a, b| Ok(a.join(&b)))?;
    graph.alike.iter().for_each(|alike| found.level(alike));
    Ok(found)
}

impl ConvertError {
    /// The same error, of a sample at a place.
    pub(crate) fn of_sample(self, index: usize) -> Self {
        match self {
            ConvertError::Sample { reason, .. } => ConvertError::Sample { index, reason },
            ConvertError::Infinite { node, op, .. } => ConvertError::Infinite { index, node, op },
            other => other,
        }
    }
}

fn bin(x: f32) -> usize {
    (x.abs().to_bits() >> BIN_SHIFT) as usize
}

impl Calibration {
    fn nothing(graph: &Graph) -> Self {
        let of = |node: &crate::Node| {
            let channels = match node.dims[..] {
                [width] | [_, width] => width,
                _ => 1,
            };
            Magnitudes { channels: vec![0.0; channels], bins: vec![0; BINS] }
        };
        Calibration { values: graph.nodes.iter().map(of).collect() }
    }

    /// Adds the cells of every value of a run.
    fn add(&mut self, values: &[Vec<f32>]) {
        for (found, cells) in self.values.iter_mut().zip(values) {
            for row in cells.chunks(found.channels.len().max(1)) {
                for (most, x) in found.channels.iter_mut().zip(row) {
                    *most = most.max(x.abs());
                }
                row.iter().for_each(|x| found.bins[bin(*x).min(BINS - 1)] += 1);
            }
        }
    }

    /// Gives values that are alike the magnitudes of all of them.
    fn level(&mut self, alike: &[Value]) {
        let Some((first, rest)) = alike.split_first() else { return };
        let mut all = self.values[first.0].clone();
        rest.iter().for_each(|value| all.take_in(&self.values[value.0]));
        alike.iter().for_each(|value| self.values[value.0].clone_from(&all));
    }

    fn join(mut self, other: &Calibration) -> Self {
        let pairs = self.values.iter_mut().zip(&other.values);
        pairs.for_each(|(mine, other)| mine.take_in(other));
        self
    }

    /// A magnitude that a share of a value's cells stays within; the greatest for a share of 1.
    /// Never 0, so that it can be divided by.
    pub(crate) fn limit(&self, value: Value, share: f64) -> f64 {
        let found = &self.values[value.0];
        let most = found.channels.iter().copied().fold(0.0, f32::max);
        let total: u64 = found.bins.iter().sum();
        let wanted = (total as f64 * share).ceil() as u64;
        let mut seen = 0;
        let at = found.bins.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        let edge = at.map_or(most, |at| f32::from_bits(((at as u32) + 1) << BIN_SHIFT));
        f64::from(if edge.is_finite() { edge.min(most) } else { most }).max(1e-9)
    }

    /// The greatest magnitude of each channel of a value with rows of one or two axes.
    pub(crate) fn channels(&self, value: Value) -> &[f32] {
        &self.values[value.0].channels
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Function, Op};

    #[test]
    fn limits_follow_the_share_of_cells_and_channels_their_greatest() {
        let (mut graph, x) = Graph::new(2_000, "x", Op::Features, vec![2]);
        graph.add("relu", Op::Apply(Function::Relu), &[x]).unwrap();
        let mut values: Vec<f32> =
            (0..2_000).map(|n| if n % 2 == 0 { 1.0 } else { -2.0 }).collect();
        values[10] = 100.0;
        let sample = Sample::Features { width: 2, values };
        let found = calibrate(&graph, &[sample]).unwrap();
        assert_eq!(found.channels(x), [100.0, 2.0]);
        assert_eq!(found.limit(x, 1.0), 100.0);
        let most = found.limit(x, 0.999);
        assert!((2.0..2.1).contains(&most), "{most}");
        assert_eq!(found.channels(Value(1)), [100.0, 0.0]);
    }

    #[test]
    fn no_data_and_data_that_does_not_fit_are_refused() {
        let (graph, _) = Graph::new(8, "x", Op::Tokens(5), vec![]);
        assert!(matches!(calibrate(&graph, &[]), Err(ConvertError::NoData)));
        let samples = [Sample::Tokens(vec![1]), Sample::Tokens(vec![5])];
        let error = calibrate(&graph, &samples).unwrap_err();
        assert!(matches!(error, ConvertError::Sample { index: 1, .. }), "{error}");
    }
}
