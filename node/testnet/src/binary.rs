//! Find the `neura` binary that is put to the test.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

/// Names the binary to run in place of the one beside this program.
pub const NODE_VARIABLE: &str = "NEURA_NODE";

/// The binary: `given`, else what [`NODE_VARIABLE`] names, else `neura` in the build folder of the running program.
///
/// # Errors
/// If there is none; the text says how to build it.
pub fn find(given: Option<&Path>) -> Result<PathBuf> {
    let named =
        given.map(Path::to_owned).or_else(|| std::env::var_os(NODE_VARIABLE).map(Into::into));
    if let Some(path) = named {
        ensure!(path.is_file(), "there is no node binary {}", path.display());
        return Ok(std::path::absolute(path)?);
    }
    let own = std::env::current_exe().context("finding this program")?;
    // A test's executable lies one folder below the binaries.
    for folder in own.ancestors().skip(1).take(2) {
        let candidate = folder.join("neura");
        if candidate.is_file() {
            return Ok(candidate);
        }
    }
    bail!(
        "there is no `neura` beside {}: build it with `cargo build --bin neura`, or name one in {NODE_VARIABLE}",
        own.display()
    )
}
