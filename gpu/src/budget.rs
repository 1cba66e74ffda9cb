//! Bound what one request may use of a device.

use std::time::Duration;

/// Memory of a request unless told otherwise: fits the smallest devices in use.
pub const DEFAULT_MAX_BYTES: u64 = 2 << 30;

/// Time of a request unless told otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(120);

/// What one request may use of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Device memory, in bytes, checked before the first dispatch.
    pub max_bytes: u64,
    /// Wall-clock time. A device that does not keep it is not used again.
    pub timeout: Duration,
}

impl Default for Budget {
    fn default() -> Self {
        Budget { max_bytes: DEFAULT_MAX_BYTES, timeout: DEFAULT_TIMEOUT }
    }
}
