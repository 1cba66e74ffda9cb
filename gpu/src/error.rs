//! Name everything that can go wrong with a device or a request to it.

use neura_int8::ModelError;
use std::time::Duration;

/// Why a device could not be opened, or a request to it not be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GpuError {
    /// The machine shows no adapter at all.
    #[error(
        "no GPU adapter was found: install the GPU's Vulkan driver, or Mesa's software one \
         (Debian: apt install libvulkan1 mesa-vulkan-drivers)"
    )]
    NoAdapter,
    /// No adapter matches what was asked for.
    #[error("no GPU adapter matches '{selector}'; there are: {available}")]
    NoMatch {
        /// What was asked for.
        selector: String,
        /// The names of the adapters there are.
        available: String,
    },
    /// The driver would not open the adapter.
    #[error("'{adapter}' could not be opened: {reason}")]
    Open {
        /// Name of the adapter.
        adapter: String,
        /// What the driver said.
        reason: String,
    },
    /// The device gives wrong results and is not used.
    #[error("'{adapter}' is refused, it failed the self-test '{check}': {reason}")]
    Refused {
        /// Name of the adapter.
        adapter: String,
        /// The check that failed.
        check: &'static str,
        /// What was wrong.
        reason: String,
    },
    /// A variant of the product was asked for that needs what the adapter has not.
    #[error(
        "'{adapter}' cannot run the product's variant '{kernel}': 'subgroup' needs subgroups of one size, at least 8, and \
         'matrix' such that multiply 8 x 8 or 16 x 16 16-bit floats, summed in 32 bits: choose another variant"
    )]
    NotOffered {
        /// Name of the adapter.
        adapter: String,
        /// Name of the variant.
        kernel: &'static str,
    },
    /// The matrices do not have the sizes that the shape asks for.
    #[error("matrix {matrix} has {found} values, and its shape asks for {expected}")]
    Shape {
        /// `A` or `B`.
        matrix: &'static str,
        /// Values given.
        found: usize,
        /// Values the shape asks for.
        expected: usize,
    },
    /// A dimension or product is over its bound.
    #[error("{what} is {value}, at most {max} is possible")]
    TooLarge {
        /// The dimension or product.
        what: &'static str,
        /// Its value.
        value: u64,
        /// Its bound.
        max: u64,
    },
    /// The job does not fit the memory it may use; nothing was dispatched.
    #[error("the job needs {needed} bytes of device memory, and its budget is {budget}")]
    OverBudget {
        /// Bytes needed.
        needed: u64,
        /// Bytes allowed.
        budget: u64,
    },
    /// The device has no memory left.
    #[error("the device is out of memory: {reason}")]
    OutOfMemory {
        /// What the driver said.
        reason: String,
    },
    /// The work was not done in time. Work in flight cannot be stopped: end the process.
    #[error("the device did not finish within {limit:?}")]
    Timeout {
        /// The time that was allowed.
        limit: Duration,
    },
    /// The device is gone, or is not to be used any more. Open it again in a new process.
    #[error("the device is lost: {reason}")]
    Lost {
        /// Why.
        reason: String,
    },
    /// The driver reported another error.
    #[error("the driver reported an error: {reason}")]
    Driver {
        /// What it said.
        reason: String,
    },
    /// An invocation of a user's kernel made more loop iterations than it may.
    #[error(
        "the kernel was stopped: an invocation made {fuel} loop iterations, {asked} \
         are allowed to the job, and this device's driver may allow fewer"
    )]
    OutOfFuel {
        /// What it had.
        fuel: u32,
        /// What the job asked for.
        asked: u32,
    },
    /// An operator that there is no kernel for: it is computed on the processor.
    #[error("there is no kernel for the operator {op} on the device")]
    NoKernel {
        /// The operator.
        op: &'static str,
    },
    /// A user's kernel is not allowed.
    #[error(transparent)]
    Kernel(crate::KernelError),
    /// The model and its inputs do not fit each other.
    #[error(transparent)]
    Model(#[from] ModelError),
}
