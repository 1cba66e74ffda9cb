//! The interpreter, set up so that every machine runs a module alike.

use neura_wasm_abi::limits;
use wasmi::{
    CompilationMode, Config, CustomFuelCosts, EnforcedLimits, Engine, Linker, StoreLimits,
    StoreLimitsBuilder,
};

use crate::{
    frame::{Call, Frame, Scene, State},
    hooks,
    price::BYTES_PER_FUEL,
    validate::{Refused, check_interface, check_sections},
};

/// The interpreter with all hooks. One serves any number of modules and frames.
pub struct Host {
    engine: Engine,
    linker: Linker<State>,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").finish_non_exhaustive()
    }
}

/// A module that may be a contract.
#[derive(Debug, Clone)]
pub struct Module {
    pub(crate) inner: wasmi::Module,
    pages: u32,
    has_constructor: bool,
}

impl Module {
    /// Pages of memory that it begins with.
    pub fn pages(&self) -> u32 {
        self.pages
    }

    /// Whether it wants to be called when it is created.
    pub fn has_constructor(&self) -> bool {
        self.has_constructor
    }
}

fn config() -> Config {
    let mut config = Config::default();
    config
        .floats(false)
        .wasm_multi_memory(false)
        .wasm_tail_call(false)
        .wasm_extended_const(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false)
        .allow_start_fn(false)
        .ignore_custom_sections(true)
        .consume_fuel(true)
        // Translating on first use would charge for it then, and a cached module would cost less than a fresh one.
        .compilation_mode(CompilationMode::Eager)
        .fuel_cost(CustomFuelCosts {
            bytes_copied_per_fuel: BYTES_PER_FUEL,
            fuel_per_bytes_translated: 0,
            fuel_per_bytes_validated: 0,
        })
        .enforced_limits(EnforcedLimits::strict())
        .set_max_stack_height(limits::MAX_STACK_BYTES);
    config.set_max_recursion_depth(limits::MAX_RECURSION);
    config
}

impl Host {
    /// Sets up the interpreter.
    ///
    /// # Errors
    /// If two hooks have one name: never, as tests show.
    pub fn new() -> Result<Self, Refused> {
        let engine = Engine::new(&config());
        let mut linker = Linker::new(&engine);
        hooks::link(&mut linker).map_err(|error| Refused::Instance(error.to_string()))?;
        Ok(Self { engine, linker })
    }

    /// Judges and translates a module.
    ///
    /// # Errors
    /// If it may not be a contract.
    pub fn module(&self, wasm: &[u8]) -> Result<Module, Refused> {
        check_sections(wasm)?;
        let inner = wasmi::Module::new(&self.engine, wasm)
            .map_err(|error| Refused::Invalid(error.to_string()))?;
        let (pages, has_constructor) = check_interface(&inner)?;
        Ok(Module { inner, pages, has_constructor })
    }

    /// An instance of a module, ready to run a call. Its memory may grow to `pages`, and to
    /// [`limits::MAX_PAGES`] at most.
    ///
    /// # Errors
    /// If a segment does not fit, or the module begins with more pages than that.
    pub fn frame(
        &self,
        module: &Module,
        call: Call,
        scene: Scene,
        pages: u32,
    ) -> Result<Frame, Refused> {
        Frame::new(&self.engine, &self.linker, module, State::new(call, scene, bounds(pages)))
    }
}

/// What an instance may hold.
fn bounds(pages: u32) -> StoreLimits {
    let bytes = pages.min(limits::MAX_PAGES).saturating_mul(limits::PAGE_BYTES);
    StoreLimitsBuilder::new()
        .memory_size(usize::try_from(bytes).unwrap_or(usize::MAX))
        .table_elements(usize::try_from(limits::MAX_TABLE_ELEMENTS).unwrap_or(usize::MAX))
        .instances(1)
        .tables(1)
        .memories(1)
        .build()
}
