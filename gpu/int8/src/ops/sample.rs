//! Draw tokens: the greatest of logits with seeded Gumbel noise.

use super::{
    Cells, Operator, Ranging, Site, Typing, read_row,
    reduce::{argmax, index_type},
};
use crate::{
    ModelError, NodeProblem, Scale,
    codec::{Reader, Writer},
    graph::ValueType,
    num,
    range::Interval,
    sampling::{MAX_TEMPERATURE, Sampling},
    tables::gumbel,
};

/// Greatest magnitude of a scaled logit, so that noise can be added in 32 bits.
const MAX_LOGIT: i32 = 1 << 30;

/// A token for each row of logits along the last axis, i32, drawn as the run's [`Sampling`] says.
///
/// `l[v] = clamp(scale(x[v]), -2^30, 2^30)`, in units of 2^-16 of a natural logarithm;
/// `g[v] = (gumbel(w[v]) * temperature + 2^15) >> 16`, where `w[v]` is the little-endian 32-bit word `v`
/// of BLAKE3's output keyed with the seed, of the index of the row of logits among those of the
/// run as 8 bytes, and [`gumbel`] is of the
/// same units; `y` is the lowest `v` for which `l[v] + g[v]` is greatest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// From units of logits to 2^-16 of a natural logarithm.
    pub scale: Scale,
}

impl Sample {
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        Ok(Sample { scale: Scale::decode(reader)? })
    }

    /// The token of one row of logits, the row's index among all being `row`.
    #[must_use]
    pub fn token(&self, logits: &[i32], row: usize, sampling: &Sampling) -> i32 {
        let scaled = logits.iter().map(|x| num::clamp(self.scale.apply(*x), -MAX_LOGIT, MAX_LOGIT));
        if sampling.temperature == 0 {
            return argmax(scaled);
        }
        let mut hasher = blake3::Hasher::new_keyed(&sampling.seed);
        let mut stream = hasher.update(&num::wide(row).to_le_bytes()).finalize_xof();
        let temperature = i64::from(sampling.temperature.min(MAX_TEMPERATURE));
        let noisy: Vec<i64> = scaled
            .map(|logit| {
                let mut word = [0; 4];
                stream.fill(&mut word);
                let noise = gumbel(u32::from_le_bytes(word)).wrapping_mul(temperature);
                i64::from(logit).wrapping_add(noise.wrapping_add(1 << 15) >> 16)
            })
            .collect();
        argmax(noisy.into_iter())
    }
}

impl Operator for Sample {
    fn output(&self, typing: &Typing<'_>) -> Result<ValueType, NodeProblem> {
        let [x] = typing.operands()?;
        index_type(x)
    }

    fn range(&self, ranging: &Ranging<'_>) -> Result<Interval, NodeProblem> {
        Ok(Interval::new(0, num::signed(ranging.site.last(0)).wrapping_sub(1)))
    }

    fn cell(
        &self,
        site: &Site<'_>,
        index: usize,
        cells: &mut dyn Cells,
    ) -> Result<i32, ModelError> {
        let length = site.last(0);
        let row = read_row(cells, 0, index.saturating_mul(length), length)?;
        Ok(self.token(&row, index, &cells.sampling()))
    }

    fn work(&self, site: &Site<'_>) -> u64 {
        num::wide(site.width(0)).saturating_mul(num::wide(site.rows))
    }

    fn encode(&self, out: &mut Writer) {
        self.scale.encode(out);
    }
}
