//! What a module may hold and use. Each bound is part of the chain's rules.

/// Bytes of a page of memory.
pub const PAGE_BYTES: u32 = 65_536;
/// Pages that one contract may have: 8 MiB, more than gas can fill usefully.
pub const MAX_PAGES: u32 = 128;
/// Pages that all open calls of a transaction may have together: 32 MiB, what a node gives one transaction.
pub const MAX_OPEN_PAGES: u32 = 512;
/// Elements of the table that indirect calls go through.
pub const MAX_TABLE_ELEMENTS: u32 = 1_024;
/// Globals of a module; compilers need a handful.
pub const MAX_GLOBALS: u32 = 256;
/// Functions of a module: more do not fit the size of a contract in earnest.
pub const MAX_FUNCTIONS: u32 = 2_048;
/// Data segments, and element segments, of a module.
pub const MAX_SEGMENTS: u32 = 256;
/// Parameters, and results, of a function or block.
pub const MAX_PARAMETERS: usize = 32;
/// Locals of one function. Entering it clears them all for the price of one call.
pub const MAX_LOCALS: u32 = 512;
/// Nested calls inside one module.
pub const MAX_RECURSION: usize = 256;
/// Bytes of values (locals and operands) that the nested calls of one module may hold.
pub const MAX_STACK_BYTES: usize = 65_536;
/// Topics of a log.
pub const MAX_TOPICS: u32 = 4;
