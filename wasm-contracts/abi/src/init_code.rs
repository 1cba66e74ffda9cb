//! The init code that creates a WASM contract: `CODE_PREFIX ‖ length of the module (4 bytes, big endian) ‖ module ‖
//! arguments of the constructor`.

use crate::CODE_PREFIX;

/// Bytes before the module.
const HEADER_BYTES: usize = 8;

/// Init code, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InitCode<'a> {
    /// The module.
    pub module: &'a [u8],
    /// What its constructor is called with.
    pub arguments: &'a [u8],
}

/// Why init code with our prefix cannot be taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitCodeError {
    /// The prefix is not followed by a length.
    NoLength,
    /// There are fewer bytes than the length says.
    Truncated {
        /// Bytes announced.
        announced: u32,
        /// Bytes that follow.
        found: usize,
    },
}

impl core::fmt::Display for InitCodeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NoLength => {
                f.write_str("the prefix is not followed by the module's length (4 bytes)")
            }
            Self::Truncated { announced, found } => {
                write!(f, "a module of {announced} bytes is announced and {found} bytes follow")
            }
        }
    }
}

impl core::error::Error for InitCodeError {}

impl<'a> InitCode<'a> {
    /// Takes init code apart that begins with the prefix; none if it does not.
    ///
    /// # Errors
    /// If it begins with the prefix and its length is wrong.
    pub fn split(init_code: &'a [u8]) -> Option<Result<Self, InitCodeError>> {
        let rest = init_code.strip_prefix(&CODE_PREFIX)?;
        let Some((length, rest)) = rest.split_first_chunk::<4>() else {
            return Some(Err(InitCodeError::NoLength));
        };
        let announced = u32::from_be_bytes(*length);
        let parts =
            usize::try_from(announced).ok().and_then(|length| rest.split_at_checked(length));
        Some(match parts {
            Some((module, arguments)) => Ok(Self { module, arguments }),
            None => Err(InitCodeError::Truncated { announced, found: rest.len() }),
        })
    }
}

/// What init code has before a module of `length` bytes.
pub const fn header(length: u32) -> [u8; HEADER_BYTES] {
    let [a, b, c, d] = CODE_PREFIX;
    let [e, f, g, h] = length.to_be_bytes();
    [a, b, c, d, e, f, g, h]
}
