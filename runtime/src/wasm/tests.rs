//! WASM contracts in blocks: deployed by transactions, called by and calling everything else.

mod calls;
mod creation;
mod traces;

use alloy_primitives::{Address, U256};
use neura_types::Receipt;
use neura_wasm_abi::{HOOKS, Hook, Type, header};

use crate::{
    revert_reason,
    testing::{Draft, World},
};

/// A module of `fields`, with a memory of one page and all hooks under their names.
fn module(fields: &str) -> Vec<u8> {
    let imports: String = HOOKS.iter().map(import).collect();
    let text = format!("(module {imports} (memory (export \"memory\") 1) {fields})");
    wat::parse_str(text).expect("the text is a module")
}

fn import(hook: &Hook) -> String {
    let name = |ty: &Type| if *ty == Type::I32 { " i32" } else { " i64" };
    let parameters: String = hook.parameters.iter().map(name).collect();
    let result: String = hook.result.iter().map(name).collect();
    format!(
        "(import \"vm_hooks\" \"{0}\" (func ${0} (param{parameters}) (result{result})))",
        hook.name
    )
}

/// A module whose entry point runs `body`, which leaves a status, with the arguments at 0 and their `$length`; `$failed`
/// and `$size` are free.
fn contract(body: &str) -> Vec<u8> {
    module(&format!(
        "(func (export \"user_entrypoint\") (param $length i32) (result i32)
            (local $failed i32) (local $size i32) (call $read_args (i32.const 0)) {body})"
    ))
}

/// Init code of a module and its constructor's arguments.
fn init_code(module: &[u8], arguments: &[u8]) -> Vec<u8> {
    let length = u32::try_from(module.len()).expect("a short module");
    [&header(length), module, arguments].concat()
}

/// Gas that deploys what tests deploy.
const DEPLOY_GAS: u64 = 5_000_000;

fn deploy(world: &mut World, module: &[u8]) -> Address {
    let raw = world.tx(1).gas(DEPLOY_GAS).create(init_code(module, &[]));
    let receipt = world.run(raw);
    receipt.contract.unwrap_or_else(|| panic!("{:?}", reason(&receipt)))
}

fn reason(receipt: &Receipt) -> String {
    revert_reason(&receipt.revert_data).map_or_else(String::new, |reason| reason.message)
}

/// Adds one to word 7, logs a topic of zeros and the arguments, returns the sender; reverts with the arguments if they
/// begin with 1.
fn worker() -> Vec<u8> {
    contract(
        "(i32.store8 (i32.const 1031) (i32.const 7))
        (call $storage_load_bytes32 (i32.const 1000) (i32.const 1100))
        (i32.store8 (i32.const 1131) (i32.add (i32.const 1) (i32.load8_u (i32.const 1131))))
        (call $storage_cache_bytes32 (i32.const 1000) (i32.const 1100))
        (memory.copy (i32.const 2032) (i32.const 0) (local.get $length))
        (call $emit_log (i32.const 2000) (i32.add (i32.const 32) (local.get $length)) (i32.const 1))
        (call $msg_sender (i32.const 3012)) (call $write_result (i32.const 3000) (i32.const 32))
        (if (i32.eq (i32.load8_u (i32.const 0)) (i32.const 1)) (then
            (call $write_result (i32.const 0) (local.get $length))
            (call $exit_early (i32.const 1))))
        i32.const 0",
    )
}

/// Calls the address in the first 20 bytes of its arguments with the rest and its value, and passes on what comes
/// back; `hook` is how.
fn proxy(hook: &str) -> Vec<u8> {
    let value = if hook == "call_contract" { "(i32.const 5000)" } else { "" };
    contract(&format!(
        "(call $msg_value (i32.const 5000))
        (local.set $failed (call ${hook} (i32.const 0) (i32.const 20)
            (i32.sub (local.get $length) (i32.const 20)) {value} (i64.const -1) (i32.const 5100)))
        (local.set $size (call $read_return_data (i32.const 6000) (i32.const 0) (i32.load (i32.const 5100))))
        (call $write_result (i32.const 6000) (local.get $size))
        (local.get $failed)"
    ))
}

/// Arguments that make proxies call one another and the last of them call with `input`.
fn path(hops: &[Address], input: &[u8]) -> Vec<u8> {
    let mut arguments: Vec<u8> = hops.iter().flat_map(|hop| hop.into_array()).collect();
    arguments.extend(input);
    arguments
}

fn count(world: &World, contract: Address) -> U256 {
    world.word(contract, 7)
}

fn rich(draft: Draft) -> Draft {
    draft.gas(8_000_000)
}
