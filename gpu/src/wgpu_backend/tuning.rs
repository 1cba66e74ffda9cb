//! Choose the variant of the product by measuring, once for each device.

use super::{Options, WgpuBackend};
use crate::{Backend, DeviceInfo, GemmKernel, GpuError, Selector};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fs, path::Path};

/// Side of the products that are measured: enough work for all of a device, soon done on any.
const SIDE: usize = 512;
/// Products measured with each variant.
const REPEATS: u32 = 4;

/// The fastest variant of each device, by device and driver.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Choices {
    #[serde(default)]
    gemm_i8: BTreeMap<String, GemmKernel>,
}

/// A new driver may prefer another variant.
fn key(info: &DeviceInfo) -> String {
    format!("{} / {} / {}", info.name, info.backend, info.driver)
}

impl Choices {
    /// What is in the file; nothing if that cannot be read, as it can be measured again.
    fn read(file: &Path) -> Self {
        let text = fs::read(file).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Replaces the file. Without it the next start measures again: a failure is told, not more.
    fn write(&self, file: &Path) {
        let beside = file.with_extension("new");
        let written = serde_json::to_vec_pretty(self)
            .map_err(std::io::Error::from)
            .and_then(|text| fs::write(&beside, text))
            .and_then(|()| fs::rename(&beside, file));
        if let Err(error) = written {
            tracing::warn!(file = %file.display(), %error, "the choice of kernels is not kept");
        }
    }
}

impl WgpuBackend {
    /// Opens an adapter as [`WgpuBackend::with_options`] does, with the variant of the product that
    /// was found to be the fastest on it: now, or at an earlier time that `file` tells of.
    ///
    /// # Errors
    /// As [`WgpuBackend::with_options`].
    pub fn tuned(selector: &Selector, options: Options, file: &Path) -> Result<Self, GpuError> {
        let mut backend = Self::with_options(selector, options)?;
        if options.kernel.is_some() {
            return Ok(backend);
        }
        let mut choices = Choices::read(file);
        let key = key(backend.info());
        let known = choices.gemm_i8.get(&key).filter(|kernel| GemmKernel::TUNED.contains(kernel));
        if let Some(kernel) = known.copied() {
            if kernel != backend.kernel() {
                backend.use_kernel(kernel)?;
            }
            return Ok(backend);
        }
        let fastest = backend.fastest()?;
        if fastest != backend.kernel() {
            backend.use_kernel(fastest)?;
        }
        choices.gemm_i8.insert(key, fastest);
        choices.write(file);
        Ok(backend)
    }

    /// Measures each variant. One that does not work on the device is not chosen.
    fn fastest(&mut self) -> Result<GemmKernel, GpuError> {
        let first = self.kernel();
        let mut best = (self.measure_gemm(SIDE, REPEATS)?.gops(), first);
        for kernel in GemmKernel::TUNED.into_iter().filter(|kernel| *kernel != first) {
            let measured = self.use_kernel(kernel).and_then(|()| self.measure_gemm(SIDE, REPEATS));
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

    #[test]
    fn a_choice_is_made_by_measuring_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kernels.json");
        let open = || WgpuBackend::tuned(&Selector::Best, Options::default(), &file).unwrap();
        let backend = open();
        let choices = Choices::read(&file);
        assert_eq!(choices.gemm_i8.get(&key(backend.info())), Some(&backend.kernel()));
        // What the file says holds, whatever would be measured.
        for kernel in GemmKernel::TUNED {
            let choice = BTreeMap::from([(key(backend.info()), kernel)]);
            Choices { gemm_i8: choice }.write(&file);
            assert_eq!(open().kernel(), kernel);
        }
    }

    #[test]
    fn a_file_that_is_no_choice_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kernels.json");
        fs::write(&file, "nonsense").unwrap();
        let backend = WgpuBackend::tuned(&Selector::Best, Options::default(), &file).unwrap();
        assert_eq!(Choices::read(&file).gemm_i8.len(), 1);
        assert!(GemmKernel::TUNED.contains(&backend.kernel()));
    }
}
