//! What a machine keeps beside the journal: modules of this block, contracts that wait for a call of theirs.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use alloy_primitives::{Address, B256, Bytes};
use neura_wasm_host::{Frame, Host, Module, Refused};
use revm::{context::LocalContext, context_interface::LocalContextTr};

/// A contract that waits for the end of a call or creation that it asked for.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// Depth of its frame.
    pub(super) depth: usize,
    /// The account that it acts for.
    pub(super) contract: Address,
    pub(super) frame: Frame,
    /// Whether a creation was asked for.
    pub(super) for_creation: bool,
    /// The code to store, if this is the run of a constructor.
    pub(super) code: Option<Bytes>,
}

/// revm's local state, and that of WASM contracts.
#[derive(Debug, Default)]
pub(crate) struct ChainLocal {
    inner: LocalContext,
    host: Option<Host>,
    modules: BTreeMap<B256, Module>,
    /// Modules that the running transaction has paid for.
    loaded: BTreeSet<B256>,
    /// Outermost first.
    pub(super) waiting: Vec<Waiting>,
}

impl ChainLocal {
    /// The interpreter, set up on first use: most blocks and calls need none.
    pub(super) fn host(&mut self) -> Result<&Host, Refused> {
        let host = match self.host.take() {
            Some(host) => host,
            None => Host::new()?,
        };
        Ok(self.host.insert(host))
    }

    /// Whether the running transaction has yet to pay for the module with this hash of code.
    pub(super) fn is_first(&mut self, code_hash: B256) -> bool {
        self.loaded.insert(code_hash)
    }

    /// A module, judged and translated unless this machine has it. Gas bounds how many there can be in a block.
    pub(super) fn module(&mut self, code_hash: B256, wasm: &[u8]) -> Result<Module, Refused> {
        if let Some(module) = self.modules.get(&code_hash) {
            return Ok(module.clone());
        }
        let module = self.host()?.module(wasm)?;
        self.modules.insert(code_hash, module.clone());
        Ok(module)
    }

    /// Pages of memory that waiting contracts hold.
    pub(super) fn open_pages(&self) -> u32 {
        self.waiting.iter().fold(0, |sum, waiting| sum.saturating_add(waiting.frame.pages()))
    }
}

impl LocalContextTr for ChainLocal {
    fn shared_memory_buffer(&self) -> &Rc<RefCell<Vec<u8>>> {
        self.inner.shared_memory_buffer()
    }

    fn clear(&mut self) {
        self.inner.clear();
        self.loaded.clear();
        self.waiting.clear();
    }

    fn set_precompile_error_context(&mut self, output: String) {
        self.inner.set_precompile_error_context(output);
    }

    fn take_precompile_error_context(&mut self) -> Option<String> {
        self.inner.take_precompile_error_context()
    }
}
