//! Choose the variant of the product by measuring, once for each device.

use super::{Options, WgpuBackend};
use crate::{Backend, DeviceInfo, GemmKernel, GpuError, Selector};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    path::Path,
    time::{Duration, Instant},
};

/// Products measured with each variant.
const REPEATS: u32 = 4;
/// Once measuring has taken so long, no further variant is tried: a software driver may take minutes for one.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most devices that are remembered: more than any machine has, with several drivers each.
const MAX_DEVICES: usize = 64;
/// Longest file that is read, in bytes: some hundred for each device.
const MAX_FILE: u64 = 64 << 10;

/// The fastest variant of the product of each device that was measured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tuning {
    gemm_i8: BTreeMap<String, GemmKernel>,
}

/// A new driver may prefer another variant.
fn key(info: &DeviceInfo) -> String {
    format!("{} / {} / {}", info.name, info.backend, info.driver)
}

impl Tuning {
    /// What a file remembers; nothing if there is none. One that cannot be read, or that something else wrote, is
    /// passed over with a warning, as all of it can be measured again.
    #[must_use]
    pub fn read(file: &Path) -> Self {
        let mut text = Vec::new();
        let read = File::open(file).and_then(|file| file.take(MAX_FILE).read_to_end(&mut text));
        let parsed = read.and_then(|_| Ok(serde_json::from_slice::<Tuning>(&text)?));
        match parsed {
            Ok(tuning) => tuning,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::default(),
            Err(error) => {
                let file = file.display();
                tracing::warn!(%file, %error, "not a choice of kernels: it is measured anew");
                Self::default()
            }
        }
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// The file system's.
    pub fn write(&self, file: &Path) -> io::Result<()> {
        let beside = file.with_extension("new");
        fs::write(&beside, serde_json::to_vec_pretty(self)?)?;
        fs::rename(&beside, file)
    }

    /// The choice for a device, if it was measured.
    #[must_use]
    pub fn kernel(&self, info: &DeviceInfo) -> Option<GemmKernel> {
        let known = self.gemm_i8.get(&key(info)).copied();
        let has = |kernel| match kernel {
            GemmKernel::Matrix => info.has_matrix_units(),
            GemmKernel::Subgroup => info.has_subgroups(),
            _ => true,
        };
        known.filter(|kernel| GemmKernel::TUNED.contains(kernel) && has(*kernel))
    }

    fn remember(&mut self, info: &DeviceInfo, kernel: GemmKernel) {
        if self.gemm_i8.len() >= MAX_DEVICES {
            self.gemm_i8.clear();
        }
        self.gemm_i8.insert(key(info), kernel);
    }
}

impl WgpuBackend {
    /// Opens an adapter as [`WgpuBackend::with_options`] does, with the variant of the product that is the fastest on
    /// it: as `tuning` remembers, or measured now, within some seconds, and remembered.
    ///
    /// # Errors
    /// As [`WgpuBackend::with_options`].
    pub fn tuned(
        selector: &Selector,
        options: Options,
        tuning: &mut Tuning,
    ) -> Result<Self, GpuError> {
        let known = |info: &DeviceInfo| options.kernel.or_else(|| tuning.kernel(info));
        let mut backend =
            Self::open_first(selector, |info| Options { kernel: known(info), ..options })?;
        if known(backend.info()).is_some() {
            return Ok(backend);
        }
        let fastest = backend.fastest()?;
        if fastest != backend.kernel() {
            backend.use_kernel(fastest)?;
        }
        tuning.remember(backend.info(), fastest);
        Ok(backend)
    }

    /// Measures each variant while there is patience. One that does not work on the device is not chosen.
    fn fastest(&mut self) -> Result<GemmKernel, GpuError> {
        let started = Instant::now();
        let (first, side) = (self.kernel(), self.measured_side());
        let mut best = (self.measure_gemm(side, REPEATS)?.gops(), first);
        let others = self.kernels().filter(|kernel| *kernel != first);
        let others: Vec<_> = others.filter(|kernel| GemmKernel::TUNED.contains(kernel)).collect();
        for kernel in others {
            if started.elapsed() > PATIENCE {
                tracing::info!(kernel = kernel.name(), "this driver is slow: kernel not tried");
                continue;
            }
            let measured = self.use_kernel(kernel).and_then(|()| self.measure_gemm(side, REPEATS));
            match measured {
                Ok(measured) if measured.gops() > best.0 => best = (measured.gops(), kernel),
                Ok(_) => {}
                Err(error @ (GpuError::Lost { .. } | GpuError::Timeout { .. })) => {
                    return Err(error);
                }
                Err(error) => {
                    tracing::warn!(kernel = kernel.name(), %error, "kernel not used");
                }
            }
        }
        Ok(best.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(tuning: &mut Tuning) -> WgpuBackend {
        WgpuBackend::tuned(&Selector::Best, Options::default(), tuning).unwrap()
    }

    #[test]
    fn a_choice_is_made_by_measuring_and_holds() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kernels.json");
        let mut tuning = Tuning::read(&file);
        let backend = open(&mut tuning);
        assert_eq!(tuning.kernel(backend.info()), Some(backend.kernel()));
        tuning.write(&file).unwrap();
        assert_eq!(Tuning::read(&file), tuning);
        // What is remembered holds, whatever would be measured.
        for kernel in backend.kernels().filter(|kernel| GemmKernel::TUNED.contains(kernel)) {
            tuning.remember(backend.info(), kernel);
            assert_eq!(open(&mut tuning).kernel(), kernel);
        }
    }

    #[test]
    fn a_file_that_is_no_choice_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kernels.json");
        let unknown = r#"{"gemm_i8": {"a / vulkan / b": "of_a_later_version"}}"#;
        let foreign = r#"{"gemm_i8": {}, "network": "other"}"#;
        for text in ["", "nonsense", "{}", "[1]", "{\"gemm_i8\": 7}", unknown, foreign] {
            fs::write(&file, text).unwrap();
            assert_eq!(Tuning::read(&file), Tuning::default(), "{text}");
        }
        assert_eq!(Tuning::read(folder.path()), Tuning::default());
        assert_eq!(Tuning::read(&folder.path().join("none")), Tuning::default());
    }

    #[test]
    fn a_choice_of_another_device_or_of_a_kernel_for_comparison_is_none() {
        let info = crate::CpuBackend::new().info().clone();
        let mut tuning = Tuning::default();
        tuning.remember(&info, GemmKernel::Tiled);
        let updated = DeviceInfo { driver: "a later one".to_owned(), ..info.clone() };
        assert_eq!(tuning.kernel(&info), Some(GemmKernel::Tiled));
        assert_eq!(tuning.kernel(&updated), None);
        tuning.remember(&info, GemmKernel::Plain);
        assert_eq!(tuning.kernel(&info), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut tuning = Tuning::default();
        let info = crate::CpuBackend::new().info().clone();
        for number in 0..1_000 {
            let info = DeviceInfo { name: number.to_string(), ..info.clone() };
            tuning.remember(&info, GemmKernel::Wide);
            assert_eq!(tuning.kernel(&info), Some(GemmKernel::Wide));
            assert!(tuning.gemm_i8.len() <= MAX_DEVICES);
        }
    }
}
