//! Multiply on registers alone: what the units that multiply can do when no memory holds them up.

#[cfg(target_arch = "x86_64")]
use crate::Level;
use crate::Native;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;
use std::hint::black_box;

/// Chains of products under way at a time: more than an instruction takes cycles, on two units.
const CHAINS: usize = 12;

impl Native {
    /// Has all cores do `rounds` rounds of the level's products, each of what the one before it
    /// made. Gives the multiply-accumulates done; none at a level without vectors of its own.
    #[allow(unsafe_code, reason = "instructions that were found to be there")]
    pub fn multiply_registers(self, rounds: u32) -> Option<u64> {
        let (lanes, chains): (u64, fn(u32) -> i32) = match self.level() {
            // SAFETY: a level is used only where its instructions are available.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512Vnni => (64, |rounds| unsafe { avx512(rounds) }),
            // SAFETY: a level is used only where its instructions are available.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => (16, |rounds| unsafe { avx2(rounds) }),
            _ => return None,
        };
        let threads = rayon::broadcast(|_| black_box(chains(rounds))).len();
        Some(u64::from(rounds) * (threads * CHAINS) as u64 * lanes)
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vnni")]
fn avx512(rounds: u32) -> i32 {
    let weights = black_box(_mm512_set1_epi32(0x0102_0304));
    let mut chains = [weights; CHAINS];
    for _ in 0..rounds {
        for x in &mut chains {
            *x = _mm512_dpbusd_epi32(*x, *x, weights);
        }
    }
    chains.into_iter().fold(0, |all, x| all ^ _mm512_reduce_add_epi32(x))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2(rounds: u32) -> i32 {
    let weights = black_box(_mm256_set1_epi16(3));
    let mut chains = [weights; CHAINS];
    for _ in 0..rounds {
        for x in &mut chains {
            *x = _mm256_add_epi32(*x, _mm256_madd_epi16(*x, weights));
        }
    }
    chains.into_iter().fold(0, |all, x| all ^ _mm256_extract_epi32::<0>(x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_grows_with_rounds_where_there_are_vectors() {
        for native in Level::ALL.into_iter().filter_map(Native::with) {
            let once = native.multiply_registers(1);
            assert_eq!(native.multiply_registers(10), once.map(|once| 10 * once));
            assert_eq!(once.is_none(), native.level() == Level::Portable);
        }
    }
}
