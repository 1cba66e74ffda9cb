//! Judge a module before it becomes a contract.

use neura_wasm_abi::{CONSTRUCTOR, ENTRYPOINT, HOOK_MODULE, HOOKS, Hook, MEMORY, Type, limits};
use wasmi::{ExternType, FuncType, ValType};

use crate::sections::{SectionError, Sections};

/// Why a module cannot be a contract.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is no module, or uses what contracts may not: the text of the parser says where.
    #[error("not a module that contracts may be (no floats, SIMD, threads, start function): {0}")]
    Invalid(String),
    /// A function declares too many locals.
    #[error("a function has {found} locals, at most {} are allowed", limits::MAX_LOCALS)]
    Locals {
        /// Locals of that function.
        found: u64,
    },
    /// It has too many of something.
    #[error("{found} {what}, at most {most} are allowed")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many it has.
        found: u32,
        /// How many it may have.
        most: u32,
    },
    /// It imports what no host offers.
    #[error("import {module}.{name} does not exist: import hooks from {HOOK_MODULE}")]
    Import {
        /// Module that is imported from.
        module: String,
        /// Name of the import.
        name: String,
    },
    /// It imports a hook with the wrong parameters or results.
    #[error("hook {0} is imported with a type that is not its own")]
    HookType(String),
    /// A required export is missing or has the wrong type.
    #[error("export {0} is missing or of the wrong type")]
    Export(&'static str),
    /// Its memory begins with too many pages.
    #[error("memory begins with {found} pages, at most {} are allowed", limits::MAX_PAGES)]
    Pages {
        /// Pages it begins with.
        found: u64,
    },
    /// A segment lies outside of its memory or table, or a table is too large.
    #[error("the module cannot be instantiated: {0}")]
    Instance(String),
}

impl From<SectionError> for Refused {
    fn from(error: SectionError) -> Self {
        Self::Invalid(error.to_string())
    }
}

/// Checks what the parser does not, before it spends time on the module.
pub(crate) fn check_sections(wasm: &[u8]) -> Result<(), Refused> {
    let Sections { functions, tables, globals, elements, data, most_locals } =
        Sections::read(wasm)?;
    for (what, found, most) in [
        ("functions", functions, limits::MAX_FUNCTIONS),
        ("tables", tables, 1),
        ("globals", globals, limits::MAX_GLOBALS),
        ("element segments", elements, limits::MAX_SEGMENTS),
        ("data segments", data, limits::MAX_SEGMENTS),
    ] {
        if found > most {
            return Err(Refused::TooMany { what, found, most });
        }
    }
    if most_locals > u64::from(limits::MAX_LOCALS) {
        return Err(Refused::Locals { found: most_locals });
    }
    Ok(())
}

/// Checks imports and exports. Returns the pages of memory that it begins with, and whether it has a constructor.
pub(crate) fn check_interface(module: &wasmi::Module) -> Result<(u32, bool), Refused> {
    for import in module.imports() {
        let hook = HOOKS.iter().find(|hook| hook.name == import.name());
        let Some(hook) = hook.filter(|_| import.module() == HOOK_MODULE) else {
            let (module, name) = (import.module().to_owned(), import.name().to_owned());
            return Err(Refused::Import { module, name });
        };
        if !import.ty().func().is_some_and(|found| is_type_of(found, hook)) {
            return Err(Refused::HookType(hook.name.to_owned()));
        }
    }
    let is_entry = |name| match module.get_export(name) {
        Some(ExternType::Func(found)) => {
            found.params() == [ValType::I32] && found.results() == [ValType::I32]
        }
        _ => false,
    };
    if !is_entry(ENTRYPOINT) {
        return Err(Refused::Export(ENTRYPOINT));
    }
    let has_constructor = module.get_export(CONSTRUCTOR).is_some();
    if has_constructor && !is_entry(CONSTRUCTOR) {
        return Err(Refused::Export(CONSTRUCTOR));
    }
    let Some(ExternType::Memory(memory)) = module.get_export(MEMORY) else {
        return Err(Refused::Export(MEMORY));
    };
    let found = memory.minimum();
    match u32::try_from(found) {
        Ok(pages) if pages <= limits::MAX_PAGES => Ok((pages, has_constructor)),
        _ => Err(Refused::Pages { found }),
    }
}

fn is_type_of(found: &FuncType, hook: &Hook) -> bool {
    let value = |ty: &Type| match ty {
        Type::I32 => ValType::I32,
        Type::I64 => ValType::I64,
    };
    found.params().iter().copied().eq(hook.parameters.iter().map(value))
        && found.results().iter().copied().eq(hook.result.iter().map(value))
}
