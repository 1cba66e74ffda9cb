//! Find out which instructions the processor has.

/// A set of instructions that the kernels are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Plain Rust, for any processor.
    Portable,
    /// x86-64 with vectors of 256 bits.
    Avx2,
    /// x86-64 with vectors of 512 bits and products of bytes that sum themselves up.
    Avx512Vnni,
}

impl Level {
    /// All levels, the slowest first.
    pub const ALL: [Level; 3] = [Level::Portable, Level::Avx2, Level::Avx512Vnni];

    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Level::Portable => "portable",
            Level::Avx2 => "avx2",
            Level::Avx512Vnni => "avx512-vnni",
        }
    }

    /// Whether this processor, and the operating system, can do it.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            Level::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512Vnni => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512vnni")
            }
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    /// Runs plain code compiled for this level, which must be available. That holds for
    /// what is inlined: give the closure the attribute, and what it calls, and use no other in it.
    #[inline(always)]
    #[allow(unsafe_code, reason = "instructions that were found to be there")]
    pub(crate) fn run<R>(self, act: impl FnOnce() -> R) -> R {
        match self {
            // SAFETY: a level is used only where its instructions are available.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512Vnni => unsafe { run_avx512(act) },
            // SAFETY: a level is used only where its instructions are available.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { run_avx2(act) },
            _ => act(),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn run_avx512<R>(act: impl FnOnce() -> R) -> R {
    act()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn run_avx2<R>(act: impl FnOnce() -> R) -> R {
    act()
}
