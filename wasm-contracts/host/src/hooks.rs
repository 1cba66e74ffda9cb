//! The hooks: what contracts import.
//!
//! One that needs the chain checks and copies its arguments, then stops the contract with the [`Request`] and the
//! [`Place`] in its memory where the answer goes.

mod chain;
mod context;

use alloy_primitives::{Address, B256, Bytes, U256};
use neura_wasm_abi::{HOOK_MODULE, HOOKS};
use wasmi::{Caller, Error, Linker, Memory, Store, Val, errors::HostError};

use crate::{
    frame::State,
    price::{FUEL_PER_GAS, WORD_GAS, per_word},
    request::{Answer, Request},
};

/// Why a hook stopped the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pause {
    /// It needs the chain.
    Ask(Request, Place),
    /// It is done, by `exit_early`.
    Exit(bool),
    /// Its gas does not suffice.
    OutOfGas,
    /// Its arguments make no sense.
    Fault(&'static str),
}

impl std::fmt::Display for Pause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

impl HostError for Pause {}

impl From<Pause> for Error {
    fn from(pause: Pause) -> Self {
        Self::host(pause)
    }
}

/// Where an answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nowhere.
    None,
    /// A word at an offset.
    Word(u32),
    /// The hook's result.
    Result,
    /// Bytes at an offset; the hook's result is their number.
    Bytes(u32),
    /// The hook's result says whether a call failed; the length of its data goes to an offset.
    Called(u32),
    /// An address at one offset, the length of revert data at another.
    Created(u32, u32),
}

/// A hook's result, if it has one.
pub(crate) struct Returned(Option<Val>);

impl Returned {
    pub(crate) fn as_slice(&self) -> &[Val] {
        self.0.as_slice()
    }

    fn number(value: u32) -> Self {
        Self(Some(Val::I32(value.cast_signed())))
    }
}

const OUT_OF_BOUNDS: Pause = Pause::Fault("a hook's argument is out of memory's bounds");

impl Place {
    /// Puts an answer where it belongs.
    pub(crate) fn put(self, store: &mut Store<State>, answer: Answer) -> Result<Returned, Pause> {
        let memory = store.data().memory.ok_or(OUT_OF_BOUNDS)?;
        let mut write = |at: u32, bytes: &[u8]| write_at(memory, store, at, bytes);
        match (self, answer) {
            (Self::None, Answer::Done) => Ok(Returned(None)),
            (Self::Word(at), Answer::Word(word)) => {
                write(at, &word.to_be_bytes::<32>())?;
                Ok(Returned(None))
            }
            (Self::Result, Answer::Size(size)) => Ok(Returned::number(size)),
            (Self::Bytes(at), Answer::Data(data)) => {
                write(at, &data)?;
                Ok(Returned::number(length_of(&data)))
            }
            (Self::Called(at), Answer::Called { success, data }) => {
                write(at, &length_of(&data).to_le_bytes())?;
                store.data_mut().return_data = data;
                Ok(Returned::number(u32::from(!success)))
            }
            (Self::Created(at, length_at), Answer::Created { address, data }) => {
                write(at, address.unwrap_or_default().as_slice())?;
                write(length_at, &length_of(&data).to_le_bytes())?;
                store.data_mut().return_data = data;
                Ok(Returned(None))
            }
            _ => Err(Pause::Fault("the answer is not to this request")),
        }
    }
}

fn write_at(memory: Memory, store: &mut Store<State>, at: u32, bytes: &[u8]) -> Result<(), Pause> {
    let at = usize::try_from(at).map_err(|_| OUT_OF_BOUNDS)?;
    memory.write(store, at, bytes).map_err(|_| OUT_OF_BOUNDS)
}

fn length_of(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

/// A hook's view of the contract that called it.
struct Hooked<'a, 'b> {
    caller: &'a mut Caller<'b, State>,
}

impl<'a, 'b> Hooked<'a, 'b> {
    /// Charges the call of the hook `name`.
    fn enter(caller: &'a mut Caller<'b, State>, gas: u64) -> Result<Self, Error> {
        let mut hooked = Self { caller };
        hooked.charge(gas)?;
        Ok(hooked)
    }

    fn charge(&mut self, gas: u64) -> Result<(), Error> {
        let fuel = self.caller.get_fuel()?;
        match fuel.checked_sub(gas.saturating_mul(FUEL_PER_GAS)) {
            Some(rest) => self.caller.set_fuel(rest),
            None => Err(Pause::OutOfGas.into()),
        }
    }

    fn state(&self) -> &State {
        self.caller.data()
    }

    /// `length` bytes at `at`, paid by the word before they are copied.
    fn read(&mut self, at: u32, length: u32) -> Result<Bytes, Error> {
        self.charge(per_word(length, WORD_GAS))?;
        let range = usize::try_from(at).ok().zip(usize::try_from(length).ok());
        let memory = self.caller.data().memory.ok_or(OUT_OF_BOUNDS)?;
        let bytes = range
            .and_then(|(at, length)| memory.data(&*self.caller).get(at..at.checked_add(length)?));
        Ok(Bytes::copy_from_slice(bytes.ok_or(OUT_OF_BOUNDS)?))
    }

    fn read_array<const N: usize>(&mut self, at: u32) -> Result<[u8; N], Error> {
        let memory = self.caller.data().memory.ok_or(OUT_OF_BOUNDS)?;
        let mut bytes = [0; N];
        let at = usize::try_from(at).map_err(|_| OUT_OF_BOUNDS)?;
        memory.read(&*self.caller, at, &mut bytes).map_err(|_| OUT_OF_BOUNDS)?;
        Ok(bytes)
    }

    fn word(&mut self, at: u32) -> Result<U256, Error> {
        self.read_array::<32>(at).map(U256::from_be_bytes)
    }

    fn topic(&mut self, at: u32) -> Result<B256, Error> {
        self.read_array::<32>(at).map(B256::from)
    }

    fn address(&mut self, at: u32) -> Result<Address, Error> {
        self.read_array::<20>(at).map(Address::from)
    }

    fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), Error> {
        let memory = self.caller.data().memory.ok_or(OUT_OF_BOUNDS)?;
        let at = usize::try_from(at).map_err(|_| OUT_OF_BOUNDS)?;
        memory.write(&mut *self.caller, at, bytes).map_err(|_| OUT_OF_BOUNDS.into())
    }

    /// [`Self::write`] of bytes whose number the contract chooses, paid by the word.
    fn write_paid(&mut self, at: u32, bytes: &[u8]) -> Result<(), Error> {
        self.charge(per_word(length_of(bytes), WORD_GAS))?;
        self.write(at, bytes)
    }
}

/// Stops the contract with a request.
fn ask<T>(request: Request, place: Place) -> Result<T, Error> {
    Err(Pause::Ask(request, place).into())
}

/// Gas of every call of a hook; the highest number for a name that is none, so that it fails at once.
fn gas_of(name: &str) -> u64 {
    HOOKS.iter().find(|hook| hook.name == name).map_or(u64::MAX, |hook| hook.gas)
}

/// Defines a hook: charges its call, then runs the body with a view of the contract.
macro_rules! hook {
    ($linker:ident, $name:literal, |$host:ident $(, $arg:ident: $type:ty)*| -> $out:ty $body:block) => {{
        let gas = gas_of($name);
        $linker.func_wrap(
            HOOK_MODULE,
            $name,
            move |mut caller: Caller<'_, State> $(, $arg: $type)*| -> Result<$out, Error> {
                let $host = &mut Hooked::enter(&mut caller, gas)?;
                $body
            },
        )?;
    }};
}
use hook;

/// Defines all hooks.
pub(crate) fn link(linker: &mut Linker<State>) -> Result<(), Error> {
    context::link(linker)?;
    chain::link(linker)
}
