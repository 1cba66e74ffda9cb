//! Read the reason out of a revert's return data, in the words of geth.

use alloy_primitives::U256;

/// Selector of `Error(string)`.
const ERROR: [u8; 4] = [0x08, 0xc3, 0x79, 0xa0];
/// Selector of `Panic(uint256)`.
const PANIC: [u8; 4] = [0x4e, 0x48, 0x7b, 0x71];
/// Characters of a reason that are shown: a contract chooses them.
const MAX_REASON: usize = 1_024;

/// The reason in return data, if it is of `Error(string)` or `Panic(uint256)`.
pub fn reason(data: &[u8]) -> Option<String> {
    let (selector, arguments) = data.split_first_chunk::<4>()?;
    match *selector {
        ERROR => string(arguments),
        PANIC => word(arguments, 0).map(panic_reason),
        _ => None,
    }
}

/// `execution reverted`, with the reason if there is one.
pub(crate) fn message(data: &[u8]) -> String {
    match reason(data) {
        Some(reason) => format!("execution reverted: {reason}"),
        None => "execution reverted".to_owned(),
    }
}

fn word(bytes: &[u8], at: usize) -> Option<U256> {
    bytes.get(at..at.checked_add(32)?).map(U256::from_be_slice)
}

fn string(arguments: &[u8]) -> Option<String> {
    let offset = usize::try_from(word(arguments, 0)?).ok()?;
    let length = usize::try_from(word(arguments, offset)?).ok()?;
    let start = offset.checked_add(32)?;
    let text = arguments.get(start..start.checked_add(length)?)?;
    Some(std::str::from_utf8(text).ok()?.chars().take(MAX_REASON).collect())
}

fn panic_reason(code: U256) -> String {
    let known = match u8::try_from(code).ok() {
        Some(0x00) => "generic panic",
        Some(0x01) => "assert(false)",
        Some(0x11) => "arithmetic underflow or overflow",
        Some(0x12) => "division or modulo by zero",
        Some(0x21) => "enum overflow",
        Some(0x22) => "invalid encoded storage byte array accessed",
        Some(0x31) => "out-of-bounds array access; popping on an empty array",
        Some(0x32) => "out-of-bounds access of an array or bytesN",
        Some(0x41) => "out of memory",
        Some(0x51) => "uninitialized function",
        _ => return format!("unknown panic code: {code:#x}"),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_data(text: &[u8]) -> Vec<u8> {
        let mut data = ERROR.to_vec();
        data.extend(U256::from(32).to_be_bytes::<32>());
        data.extend(U256::from(text.len()).to_be_bytes::<32>());
        data.extend(text);
        data.resize(data.len().next_multiple_of(32) + 4, 0);
        data
    }

    #[test]
    fn the_string_of_an_error_is_its_reason() {
        let data = error_data(b"escrow_below_price: add 3 wei");
        assert_eq!(message(&data), "execution reverted: escrow_below_price: add 3 wei");
    }

    #[test]
    fn a_panic_is_put_in_words() {
        let mut data = PANIC.to_vec();
        data.extend(U256::from(0x11).to_be_bytes::<32>());
        assert_eq!(reason(&data).unwrap(), "arithmetic underflow or overflow");
        data[35] = 0x77;
        assert_eq!(reason(&data).unwrap(), "unknown panic code: 0x77");
    }

    #[test]
    fn data_that_lies_about_its_length_has_no_reason() {
        for (from, to) in [(4, 36), (36, 68)] {
            let mut data = error_data(b"abc");
            data[from..to].fill(0xff);
            assert_eq!(reason(&data), None);
        }
        assert_eq!(reason(&ERROR), None);
        assert_eq!(reason(&error_data(&[0xff, 0xfe])), None);
        assert_eq!(message(&[1, 2, 3, 4, 5]), "execution reverted");
    }

    #[test]
    fn a_long_reason_is_cut() {
        let data = error_data(&[b'x'; 5_000]);
        assert_eq!(reason(&data).unwrap().len(), MAX_REASON);
    }
}
