//! Hooks that the host answers by itself: the call, the block, results, hashes.

use alloy_primitives::{U256, keccak256};
use wasmi::{Caller, Error, Linker};

use super::{HOOK_MODULE, Hooked, Pause, State, gas_of, hook};
use crate::price::{FUEL_PER_GAS, HASH_GAS, HASH_WORD_GAS, per_word};

pub(super) fn link(linker: &mut Linker<State>) -> Result<(), Error> {
    link_call(linker)?;
    link_block(linker)?;
    hook!(linker, "native_keccak256", |host, at: u32, length: u32, to: u32| -> () {
        host.charge(HASH_GAS.saturating_add(per_word(length, HASH_WORD_GAS)))?;
        let hash = keccak256(host.read(at, length)?);
        host.write(to, hash.as_slice())
    });
    hook!(linker, "evm_gas_left", |host| -> u64 {
        Ok(host.caller.get_fuel()?.checked_div(FUEL_PER_GAS).unwrap_or(0))
    });
    // Growing is metered by the instruction itself; contracts built for Stylus import this.
    hook!(linker, "pay_for_memory_grow", |_host, _pages: u32| -> () { Ok(()) });
    Ok(())
}

fn link_call(linker: &mut Linker<State>) -> Result<(), Error> {
    hook!(linker, "read_args", |host, to: u32| -> () {
        let input = host.state().call.input.clone();
        host.write_paid(to, &input)
    });
    hook!(linker, "write_result", |host, at: u32, length: u32| -> () {
        let output = host.read(at, length)?;
        host.caller.data_mut().output = output;
        Ok(())
    });
    hook!(linker, "exit_early", |_host, status: u32| -> () {
        Err(Pause::Exit(status == 0).into())
    });
    hook!(linker, "read_return_data", |host, to: u32, offset: u32, size: u32| -> u32 {
        let data = host.state().return_data.clone();
        let part = part_of(&data, offset, size);
        host.write_paid(to, part)?;
        Ok(super::length_of(part))
    });
    hook!(linker, "return_data_size", |host| -> u32 {
        Ok(super::length_of(&host.state().return_data))
    });
    hook!(linker, "contract_address", |host, to: u32| -> () {
        let address = host.state().call.contract;
        host.write(to, address.as_slice())
    });
    hook!(linker, "msg_sender", |host, to: u32| -> () {
        let address = host.state().call.caller;
        host.write(to, address.as_slice())
    });
    hook!(linker, "msg_value", |host, to: u32| -> () {
        let value = host.state().call.value;
        host.write(to, &value.to_be_bytes::<32>())
    });
    hook!(linker, "msg_reentrant", |host| -> u32 { Ok(u32::from(host.state().call.is_reentrant)) });
    Ok(())
}

fn link_block(linker: &mut Linker<State>) -> Result<(), Error> {
    hook!(linker, "block_basefee", |host, to: u32| -> () {
        let fee: U256 = host.state().scene.base_fee;
        host.write(to, &fee.to_be_bytes::<32>())
    });
    hook!(linker, "block_coinbase", |host, to: u32| -> () {
        let address = host.state().scene.coinbase;
        host.write(to, address.as_slice())
    });
    hook!(linker, "block_prevrandao", |host, to: u32| -> () {
        let randomness = host.state().scene.randomness;
        host.write(to, randomness.as_slice())
    });
    hook!(linker, "block_gas_limit", |host| -> u64 { Ok(host.state().scene.gas_limit) });
    hook!(linker, "block_number", |host| -> u64 { Ok(host.state().scene.number) });
    hook!(linker, "block_timestamp", |host| -> u64 { Ok(host.state().scene.timestamp) });
    hook!(linker, "chainid", |host| -> u64 { Ok(host.state().scene.chain_id) });
    hook!(linker, "tx_gas_price", |host, to: u32| -> () {
        let price = host.state().scene.gas_price;
        host.write(to, &price.to_be_bytes::<32>())
    });
    hook!(linker, "tx_origin", |host, to: u32| -> () {
        let address = host.state().scene.origin;
        host.write(to, address.as_slice())
    });
    Ok(())
}

/// The part of `data` from `offset`, of at most `size` bytes.
fn part_of(data: &[u8], offset: u32, size: u32) -> &[u8] {
    let offset = usize::try_from(offset).unwrap_or(usize::MAX);
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let rest = data.get(offset..).unwrap_or_default();
    rest.get(..size).unwrap_or(rest)
}
