//! Hooks that the chain answers: storage, accounts, logs, calls, creations.

use alloy_primitives::U256;
use neura_wasm_abi::limits;
use wasmi::{Caller, Error, Linker};

use super::{HOOK_MODULE, Hooked, Pause, Place, State, ask, gas_of, hook};
use crate::request::{CallKind, CallRequest, CreateRequest, Request};

pub(super) fn link(linker: &mut Linker<State>) -> Result<(), Error> {
    link_words(linker)?;
    link_accounts(linker)?;
    link_calls(linker)?;
    link_creations(linker)
}

fn link_words(linker: &mut Linker<State>) -> Result<(), Error> {
    hook!(linker, "storage_load_bytes32", |host, key: u32, to: u32| -> () {
        ask(Request::Load(host.word(key)?), Place::Word(to))
    });
    hook!(linker, "storage_cache_bytes32", |host, key: u32, value: u32| -> () {
        ask(Request::Store(host.word(key)?, host.word(value)?), Place::None)
    });
    // Words are written when they are cached: the EVM's prices make a second write of a word cheap already.
    hook!(linker, "storage_flush_cache", |_host, _clear: u32| -> () { Ok(()) });
    hook!(linker, "transient_load_bytes32", |host, key: u32, to: u32| -> () {
        ask(Request::TransientLoad(host.word(key)?), Place::Word(to))
    });
    hook!(linker, "transient_store_bytes32", |host, key: u32, value: u32| -> () {
        ask(Request::TransientStore(host.word(key)?, host.word(value)?), Place::None)
    });
    hook!(linker, "emit_log", |host, at: u32, length: u32, topics: u32| -> () {
        if topics > limits::MAX_TOPICS {
            return Err(Pause::Fault("a log has at most four topics").into());
        }
        let topic_bytes = topics.saturating_mul(32);
        let Some(rest) = length.checked_sub(topic_bytes) else {
            return Err(Pause::Fault("a log's data is shorter than its topics").into());
        };
        let mut found = Vec::new();
        for index in 0..topics {
            found.push(host.topic(at.saturating_add(index.saturating_mul(32)))?);
        }
        let data = host.read(at.saturating_add(topic_bytes), rest)?;
        ask(Request::Log(found, data), Place::None)
    });
    Ok(())
}

fn link_accounts(linker: &mut Linker<State>) -> Result<(), Error> {
    hook!(linker, "account_balance", |host, address: u32, to: u32| -> () {
        ask(Request::Balance(host.address(address)?), Place::Word(to))
    });
    hook!(linker, "account_codehash", |host, address: u32, to: u32| -> () {
        ask(Request::CodeHash(host.address(address)?), Place::Word(to))
    });
    hook!(linker, "account_code_size", |host, address: u32| -> u32 {
        ask(Request::CodeSize(host.address(address)?), Place::Result)
    });
    hook!(linker, "account_code", |host, address: u32, offset: u32, size: u32, to: u32| -> u32 {
        let address = host.address(address)?;
        ask(Request::Code { address, offset, size }, Place::Bytes(to))
    });
    Ok(())
}

/// Where a call's arguments lie.
struct CallPlaces {
    to: u32,
    input: u32,
    length: u32,
    value: Option<u32>,
    gas: u64,
}

fn call(host: &mut Hooked<'_, '_>, kind: CallKind, at: &CallPlaces) -> Result<Request, Error> {
    let to = host.address(at.to)?;
    let value = at.value.map_or(Ok(U256::ZERO), |value| host.word(value))?;
    let input = host.read(at.input, at.length)?;
    Ok(Request::Call(CallRequest { kind, to, value, input, gas: at.gas }))
}

fn link_calls(linker: &mut Linker<State>) -> Result<(), Error> {
    hook!(linker, "call_contract", |host,
                                    to: u32,
                                    input: u32,
                                    length: u32,
                                    value: u32,
                                    gas: u64,
                                    returned: u32|
     -> u32 {
        let places = CallPlaces { to, input, length, value: Some(value), gas };
        ask(call(host, CallKind::Call, &places)?, Place::Called(returned))
    });
    hook!(linker, "delegate_call_contract", |host,
                                             to: u32,
                                             input: u32,
                                             length: u32,
                                             gas: u64,
                                             returned: u32|
     -> u32 {
        let places = CallPlaces { to, input, length, value: None, gas };
        ask(call(host, CallKind::Delegate, &places)?, Place::Called(returned))
    });
    hook!(linker, "static_call_contract", |host,
                                           to: u32,
                                           input: u32,
                                           length: u32,
                                           gas: u64,
                                           returned: u32|
     -> u32 {
        let places = CallPlaces { to, input, length, value: None, gas };
        ask(call(host, CallKind::Static, &places)?, Place::Called(returned))
    });
    Ok(())
}

fn link_creations(linker: &mut Linker<State>) -> Result<(), Error> {
    hook!(linker, "create1", |host,
                              code: u32,
                              length: u32,
                              value: u32,
                              to: u32,
                              revert_length: u32|
     -> () {
        let value = host.word(value)?;
        let init_code = host.read(code, length)?;
        let request = CreateRequest { init_code, value, salt: None };
        ask(Request::Create(request), Place::Created(to, revert_length))
    });
    hook!(linker, "create2", |host,
                              code: u32,
                              length: u32,
                              value: u32,
                              salt: u32,
                              to: u32,
                              revert: u32|
     -> () {
        let (value, salt) = (host.word(value)?, Some(host.word(salt)?));
        let init_code = host.read(code, length)?;
        let request = CreateRequest { init_code, value, salt };
        ask(Request::Create(request), Place::Created(to, revert))
    });
    Ok(())
}
