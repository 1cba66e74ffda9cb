use super::*;
use crate::{CpuBackend, DeviceInfo, Layer};

#[test]
fn the_reference_passes_its_own_test() {
    assert_eq!(self_test(&CpuBackend::new()), Ok(()));
}

/// A device with one fault.
#[derive(Debug)]
struct Faulty {
    right: CpuBackend,
    fault: Fault,
}

#[derive(Debug, PartialEq, Eq)]
enum Fault {
    /// Sums stop after this many products, as on a driver that ends long loops.
    ShortLoops(usize),
    /// Sums saturate at 24 bits, as in some matrix units.
    NarrowSums,
    /// The lowest bit of large sums is lost, as in matrix units that keep 23 bits of a float.
    LowestBit,
    /// Negative values are shifted instead of rounded.
    Requantisation,
}

impl Backend for Faulty {
    fn info(&self) -> &DeviceInfo {
        self.right.info()
    }

    fn gemm_i8(&self, a: &[i8], b: &[i8], shape: GemmShape) -> Result<Vec<i32>, GpuError> {
        let mut a = a.to_vec();
        if let Fault::ShortLoops(limit) = self.fault {
            for row in a.chunks_mut(shape.k) {
                let end = row.len().min(limit);
                row[end..].fill(0);
            }
        }
        let mut c = self.right.gemm_i8(&a, b, shape)?;
        if self.fault == Fault::NarrowSums {
            c.iter_mut().for_each(|sum| *sum = (*sum).clamp(-(1 << 24), 1 << 24));
        }
        if self.fault == Fault::LowestBit {
            c.iter_mut().filter(|sum| sum.abs() >= 1 << 23).for_each(|sum| *sum &= !1);
        }
        Ok(c)
    }

    fn linear(&self, layer: &Layer<'_>, x: &[i8]) -> Result<Option<Vec<i8>>, GpuError> {
        if self.fault != Fault::Requantisation {
            return Ok(None);
        }
        let shape = GemmShape { m: x.len() / layer.depth, n: layer.outputs(), k: layer.depth };
        let sums = self.right.gemm_i8(x, layer.weights, shape)?;
        let shifted = sums.iter().enumerate().map(|(at, z)| {
            let scale = layer.scale(at % shape.n);
            let z = z + layer.bias.map_or(0, |bias| bias[at % shape.n]);
            let shifted = (i64::from(z) * i64::from(scale.multiplier())) >> scale.shift();
            shifted.clamp(layer.finish.low.into(), 127) as i8
        });
        Ok(Some(shifted.collect()))
    }
}

#[test]
fn a_device_with_a_fault_is_refused_with_the_check_that_found_it() {
    let cases = [
        (Fault::ShortLoops(65_535), "random matrices"),
        (Fault::NarrowSums, "matrices of -128"),
        (Fault::LowestBit, "matrices of 126 and 127"),
        (Fault::Requantisation, "a small network"),
    ];
    for (fault, expected) in cases {
        let faulty = Faulty { right: CpuBackend::new(), fault };
        match self_test(&faulty) {
            Err(GpuError::Refused { check, .. }) => assert_eq!(check, expected, "{faulty:?}"),
            passed => panic!("{faulty:?}: {passed:?}"),
        }
    }
}
