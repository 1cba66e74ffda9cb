//! Proofs on the disk until they are settled: one file each, durable before anything is done with it.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

use neura_runtime::modules::staking::{Gravity, MAX_EVIDENCE_BYTES};
use neura_types::{codec, vote::Evidence};

use crate::bounded;

/// Proofs that are taken up: three epochs in which evidence counts, in each a third of the largest set, lightly and
/// gravely.
pub(super) const MAX_PROOFS: usize = 512;
/// How the name of a proof ends.
const ENDING: &str = "bin";

/// The folder of proofs.
#[derive(Debug)]
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    /// The proofs that an earlier run left, in order of their names, with their files. What is no proof stays where it is.
    pub(super) fn read(&self) -> Vec<(Evidence, PathBuf)> {
        let Ok(entries) = std::fs::read_dir(&self.0) else { return Vec::new() };
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|ending| ending == ENDING));
        paths.sort();
        paths.truncate(MAX_PROOFS);
        paths.into_iter().filter_map(|path| Some((read(&path)?, path))).collect()
    }

    /// Keeps a proof: returns when it is durable, with its file.
    pub(super) fn keep(&self, evidence: &Evidence) -> io::Result<PathBuf> {
        let path = self.0.join(name(evidence));
        if path.exists() {
            return Ok(path);
        }
        std::fs::create_dir_all(&self.0)?;
        let draft = path.with_extension("new");
        let mut file = File::create(&draft)?;
        file.write_all(&codec::encode(evidence))?;
        file.sync_all()?;
        std::fs::rename(&draft, &path)?;
        File::open(&self.0)?.sync_all()?;
        if let Some(data) = self.0.parent() {
            File::open(data)?.sync_all()?;
        }
        Ok(path)
    }
}

/// A grave offence has another name than a light one of the same validator, so that none hides the other.
pub(super) fn name(evidence: &Evidence) -> String {
    let (epoch, author) = (evidence.first.epoch, evidence.first.author);
    let gravity = match Gravity::of(evidence) {
        Gravity::Jail => "jail",
        Gravity::Slash => "slash",
    };
    format!("epoch-{epoch}-validator-{author}-{gravity}.{ENDING}")
}

fn read(path: &Path) -> Option<Evidence> {
    let bytes = bounded::read(path, MAX_EVIDENCE_BYTES as u64);
    let decoded = bytes.and_then(|bytes| Ok(codec::decode(&bytes)?));
    decoded
        .inspect_err(|error| {
            let error = format!("{error:#}");
            tracing::warn!(path = %path.display(), error, "this file holds no evidence: passed over");
        })
        .ok()
}

#[cfg(test)]
mod tests {
    use neura_types::{
        B256,
        keys::SecretKey,
        vote::{ChainContext, Signed, Statement},
    };

    use super::*;

    fn evidence(statement: impl Fn(B256) -> Statement) -> Evidence {
        let chain = ChainContext { chain_id: 1, genesis: B256::ZERO };
        let key = SecretKey::from_seed(&[1; 32]);
        let [first, second] = [1, 2].map(|byte| {
            let statement = statement(B256::repeat_byte(byte));
            let signature = key.sign(statement.digest(&chain, 3).as_slice());
            Signed { epoch: 3, author: 0, statement, signature }
        });
        Evidence { first, second }
    }

    fn votes() -> Evidence {
        evidence(|block| Statement::Vote { view: 5, block, parent_view: 4 })
    }

    #[test]
    fn a_lighter_offence_hides_no_graver_one() {
        let data = tempfile::tempdir().unwrap();
        let folder = Folder(data.path().join("evidence"));
        assert!(folder.read().is_empty());
        let proposals = evidence(|block| Statement::Propose { view: 5, block });
        let light = folder.keep(&proposals).unwrap();
        let grave = folder.keep(&votes()).unwrap();
        assert_eq!(folder.keep(&votes()).unwrap(), grave);
        assert_eq!(folder.read(), [(proposals, light.clone()), (votes(), grave.clone())]);
        std::fs::remove_file(light).unwrap();
        assert_eq!(folder.read(), [(votes(), grave)]);
    }

    #[test]
    fn what_is_no_proof_is_passed_over_and_stays() {
        let data = tempfile::tempdir().unwrap();
        let folder = Folder(data.path().to_path_buf());
        let proof = folder.keep(&votes()).unwrap();
        let bytes = std::fs::read(&proof).unwrap();
        for (name, content) in [
            ("cut.bin", &bytes[..bytes.len() - 1]),
            ("empty.bin", &[]),
            ("long.bin", &[0; MAX_EVIDENCE_BYTES + 1]),
            ("draft.new", &bytes),
        ] {
            std::fs::write(data.path().join(name), content).unwrap();
        }
        std::fs::create_dir(data.path().join("folder.bin")).unwrap();
        assert_eq!(folder.read(), [(votes(), proof)]);
        assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 6);
    }
}
