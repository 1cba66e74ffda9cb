//! The functions that a module may import.

/// Type of a hook's parameter or result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// An offset, a length, a small number, a truth value.
    I32,
    /// An amount of gas, a number of the chain.
    I64,
}

/// A function of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hook {
    /// Name that it is imported by.
    pub name: &'static str,
    /// Types of its parameters.
    pub parameters: &'static [Type],
    /// Type of its result, if it has one.
    pub result: Option<Type>,
    /// Gas of every call, before what the work costs that the hook asks for.
    pub gas: u64,
}

const P: Type = Type::I32;
const L: Type = Type::I64;

/// Asking the chain: the contract is halted and continued.
const ASK: u64 = 20;
/// Reading what the host has at hand.
const READ: u64 = 8;

const fn hook(
    name: &'static str,
    parameters: &'static [Type],
    result: Option<Type>,
    gas: u64,
) -> Hook {
    Hook { name, parameters, result, gas }
}

/// All hooks. Names, parameters and meaning are those of Arbitrum Stylus; `transient_*` and `block_prevrandao` are ours.
pub const HOOKS: &[Hook] = &[
    hook("read_args", &[P], None, READ),
    hook("write_result", &[P, P], None, READ),
    hook("exit_early", &[P], None, READ),
    hook("storage_load_bytes32", &[P, P], None, ASK),
    hook("storage_cache_bytes32", &[P, P], None, ASK),
    hook("storage_flush_cache", &[P], None, READ),
    hook("transient_load_bytes32", &[P, P], None, ASK),
    hook("transient_store_bytes32", &[P, P], None, ASK),
    hook("account_balance", &[P, P], None, ASK),
    hook("account_code", &[P, P, P, P], Some(P), ASK),
    hook("account_code_size", &[P], Some(P), ASK),
    hook("account_codehash", &[P, P], None, ASK),
    hook("call_contract", &[P, P, P, P, L, P], Some(P), ASK),
    hook("delegate_call_contract", &[P, P, P, L, P], Some(P), ASK),
    hook("static_call_contract", &[P, P, P, L, P], Some(P), ASK),
    hook("create1", &[P, P, P, P, P], None, ASK),
    hook("create2", &[P, P, P, P, P, P], None, ASK),
    hook("read_return_data", &[P, P, P], Some(P), READ),
    hook("return_data_size", &[], Some(P), READ),
    hook("emit_log", &[P, P, P], None, ASK),
    hook("native_keccak256", &[P, P, P], None, READ),
    hook("block_basefee", &[P], None, READ),
    hook("block_coinbase", &[P], None, READ),
    hook("block_gas_limit", &[], Some(L), READ),
    hook("block_number", &[], Some(L), READ),
    hook("block_prevrandao", &[P], None, READ),
    hook("block_timestamp", &[], Some(L), READ),
    hook("chainid", &[], Some(L), READ),
    hook("contract_address", &[P], None, READ),
    hook("evm_gas_left", &[], Some(L), READ),
    hook("msg_reentrant", &[], Some(P), READ),
    hook("msg_sender", &[P], None, READ),
    hook("msg_value", &[P], None, READ),
    hook("tx_gas_price", &[P], None, READ),
    hook("tx_origin", &[P], None, READ),
    hook("pay_for_memory_grow", &[P], None, READ),
];
