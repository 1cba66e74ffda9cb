//! Code of contracts that call a module, written instruction by instruction.

use alloy_primitives::Address;

const CALLVALUE: u8 = 0x34;
const CALLDATASIZE: u8 = 0x36;
const CALLDATACOPY: u8 = 0x37;
const CODECOPY: u8 = 0x39;
const RETURNDATASIZE: u8 = 0x3d;
const RETURNDATACOPY: u8 = 0x3e;
const ISZERO: u8 = 0x15;
const POP: u8 = 0x50;
const SSTORE: u8 = 0x55;
const JUMPI: u8 = 0x57;
const GAS: u8 = 0x5a;
const JUMPDEST: u8 = 0x5b;
const TLOAD: u8 = 0x5c;
const TSTORE: u8 = 0x5d;
const PUSH0: u8 = 0x5f;
const PUSH1: u8 = 0x60;
const PUSH2: u8 = 0x61;
const PUSH20: u8 = 0x73;
const RETURN: u8 = 0xf3;
const REVERT: u8 = 0xfd;

/// How a contract calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Scheme {
    Call = 0xf1,
    CallCode = 0xf2,
    DelegateCall = 0xf4,
    StaticCall = 0xfa,
}

/// Copies the call data to memory and calls with it and with the value; leaves the success on the stack.
fn forwarding(scheme: Scheme, target: Address) -> Vec<u8> {
    let mut code = vec![CALLDATASIZE, PUSH0, PUSH0, CALLDATACOPY];
    code.extend([PUSH0, PUSH0, CALLDATASIZE, PUSH0]);
    code.extend(calling(scheme, target));
    code
}

fn calling(scheme: Scheme, target: Address) -> Vec<u8> {
    let mut code = Vec::new();
    if matches!(scheme, Scheme::Call | Scheme::CallCode) {
        code.push(CALLVALUE);
    }
    code.push(PUSH20);
    code.extend(target.as_slice());
    code.extend([GAS, scheme as u8]);
    code
}

/// Returns or reverts with what came back; to stand at `position`.
fn propagating(position: usize) -> Vec<u8> {
    let target = u8::try_from(position + 11).expect("a short code");
    vec![
        RETURNDATASIZE,
        PUSH0,
        PUSH0,
        RETURNDATACOPY,
        ISZERO,
        PUSH1,
        target,
        JUMPI,
        RETURNDATASIZE,
        PUSH0,
        RETURN,
        JUMPDEST,
        RETURNDATASIZE,
        PUSH0,
        REVERT,
    ]
}

/// A contract that passes its calls on.
pub(crate) fn forwarder(scheme: Scheme, target: Address) -> Vec<u8> {
    let mut code = forwarding(scheme, target);
    code.extend(propagating(code.len()));
    code
}

/// A contract that passes its calls on and then reverts, whatever became of them.
pub(crate) fn reverter(target: Address) -> Vec<u8> {
    let mut code = forwarding(Scheme::Call, target);
    code.extend([POP, PUSH0, PUSH0, REVERT]);
    code
}

/// A contract that passes its calls on and swallows a failure.
pub(crate) fn catcher(target: Address) -> Vec<u8> {
    let mut code = forwarding(Scheme::Call, target);
    code.extend([POP, 0x00]);
    code
}

/// A contract that calls a module, then `helper`, which calls it back: the module is called again while the first
/// call's frame is open. Successes go to slots 0 and 1.
pub(crate) fn reentrant(module: Address, helper: Address) -> Vec<u8> {
    let note = |slot: u8| [PUSH1, slot, SSTORE];
    let mut first = vec![PUSH1, 1, PUSH0, TSTORE];
    first.extend(forwarding(Scheme::Call, module));
    first.extend(note(0));
    first.extend(forwarding(Scheme::Call, helper));
    first.extend([POP, 0x00]);
    let leaf = u8::try_from(5 + first.len()).expect("a short code");
    let mut code = vec![PUSH0, TLOAD, PUSH1, leaf, JUMPI];
    code.extend(first);
    code.push(JUMPDEST);
    code.extend(forwarding(Scheme::Call, module));
    code.extend(note(1));
    code.push(0x00);
    code
}

/// Creation code that calls a module with `input` and its value; it returns no code, or reverts with what came back.
pub(crate) fn constructor(module: Address, input: &[u8]) -> Vec<u8> {
    let length = u16::try_from(input.len()).expect("a short input").to_be_bytes();
    let body = |start: [u8; 2]| {
        let mut code =
            vec![PUSH2, length[0], length[1], PUSH2, start[0], start[1], PUSH0, CODECOPY];
        code.extend([PUSH0, PUSH0, PUSH2, length[0], length[1], PUSH0]);
        code.extend(calling(Scheme::Call, module));
        let target = u8::try_from(code.len() + 7).expect("a short code");
        code.extend([ISZERO, PUSH1, target, JUMPI, PUSH0, PUSH0, RETURN, JUMPDEST]);
        code.extend([RETURNDATASIZE, PUSH0, PUSH0, RETURNDATACOPY, RETURNDATASIZE, PUSH0, REVERT]);
        code
    };
    let start = u16::try_from(body([0, 0]).len()).expect("a short code").to_be_bytes();
    [body(start), input.to_vec()].concat()
}
