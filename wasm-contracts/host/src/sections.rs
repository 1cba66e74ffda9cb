//! Count what a module's sections hold, and the locals that its functions declare.
//!
//! Locals are written run-length encoded, so a few bytes can declare tens of thousands, which every call of the
//! function has to clear. The interpreter does not bound them; its parser judges everything else.

/// Magic number and version.
const HEADER: &[u8] = b"\0asm\x01\0\0\0";
const FUNCTION_SECTION: u8 = 3;
const TABLE_SECTION: u8 = 4;
const GLOBAL_SECTION: u8 = 6;
const ELEMENT_SECTION: u8 = 9;
const CODE_SECTION: u8 = 10;
const DATA_SECTION: u8 = 11;

/// The module ends early, or a number is longer than it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is malformed or ends early")]
pub(crate) struct SectionError;

/// What a module holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sections {
    pub(crate) functions: u32,
    pub(crate) tables: u32,
    pub(crate) globals: u32,
    pub(crate) elements: u32,
    pub(crate) data: u32,
    /// Most locals that any function declares, parameters aside.
    pub(crate) most_locals: u64,
}

impl Sections {
    pub(crate) fn read(wasm: &[u8]) -> Result<Self, SectionError> {
        let mut rest = wasm.strip_prefix(HEADER).ok_or(SectionError)?;
        let mut sections = Self::default();
        while let Some((id, after)) = rest.split_first() {
            rest = after;
            let length = number(&mut rest)?;
            let mut section = take(&mut rest, length)?;
            match *id {
                FUNCTION_SECTION => sections.functions = number(&mut section)?,
                TABLE_SECTION => sections.tables = number(&mut section)?,
                GLOBAL_SECTION => sections.globals = number(&mut section)?,
                ELEMENT_SECTION => sections.elements = number(&mut section)?,
                DATA_SECTION => sections.data = number(&mut section)?,
                CODE_SECTION => sections.most_locals = most_locals(&mut section)?,
                _ => {}
            }
        }
        Ok(sections)
    }
}

fn most_locals(section: &mut &[u8]) -> Result<u64, SectionError> {
    let mut most = 0;
    for _ in 0..number(section)? {
        let length = number(section)?;
        let mut body = take(section, length)?;
        most = most.max(locals(&mut body)?);
    }
    Ok(most)
}

fn locals(body: &mut &[u8]) -> Result<u64, SectionError> {
    let mut sum = 0u64;
    for _ in 0..number(body)? {
        sum = sum.saturating_add(u64::from(number(body)?));
        // The type of the run; longer ones are of features that the parser refuses.
        take(body, 1)?;
    }
    Ok(sum)
}

fn take<'a>(from: &mut &'a [u8], length: u32) -> Result<&'a [u8], SectionError> {
    let length = usize::try_from(length).map_err(|_| SectionError)?;
    let (taken, rest) = from.split_at_checked(length).ok_or(SectionError)?;
    *from = rest;
    Ok(taken)
}

/// An unsigned LEB128 number of 32 bits.
fn number(from: &mut &[u8]) -> Result<u32, SectionError> {
    let mut value = 0u64;
    for shift in [0u32, 7, 14, 21, 28] {
        let (byte, rest) = from.split_first().ok_or(SectionError)?;
        *from = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return u32::try_from(value).map_err(|_| SectionError);
        }
    }
    Err(SectionError)
}
