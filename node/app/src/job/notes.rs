//! Read what a provider says while it works.

use std::{convert::Infallible, time::Duration};

use neura_blobs::{EncryptionSecretKey, Purpose, open};
use neura_client::{Client, ClientError, EventStream};
use neura_provider::envelope_context;
use neura_types::{
    ChainId,
    keys::PublicKey,
    note::{MAX_NOTE_BYTES, Remark, TaskNote},
    task::{Task, TaskId},
};

/// Pause before a broken stream is read again.
const RECONNECT: Duration = Duration::from_secs(1);

/// Whose notes are taken.
#[derive(Debug)]
struct Source {
    chain_id: ChainId,
    task: Task,
    provider: PublicKey,
}

impl Source {
    async fn find(client: &Client, id: TaskId) -> Result<Self, ClientError> {
        let task = client.existing_task(id).await?;
        let provider = client.existing_provider(task.terms.provider).await?.identity;
        Ok(Self { chain_id: client.status().await?.chain_id, task, provider })
    }

    /// What a note says, if it is the provider's and sealed to this key.
    fn read(&self, note: &TaskNote, key: &EncryptionSecretKey) -> Option<Vec<Remark>> {
        note.verify(self.chain_id, &self.provider).ok()?;
        let context = envelope_context(self.chain_id, &self.task, Purpose::Note);
        let plain = open(&context, key, &note.sealed, MAX_NOTE_BYTES as u64).ok()?;
        Remark::decode_list(&plain).ok()
    }
}

/// Tells what a task's provider says to its owner, for as long as it is polled. Notes that are not the provider's, or
/// not for this key, are passed over.
pub async fn read_notes(
    client: &Client,
    id: TaskId,
    key: &EncryptionSecretKey,
    mut on_remark: impl FnMut(Remark),
) -> Infallible {
    let mut stream = EventStream::notes(client.clone(), id);
    let mut source = None::<Source>;
    loop {
        let Ok(note) = stream.next().await else {
            tokio::time::sleep(RECONNECT).await;
            continue;
        };
        let mut said = source.as_ref().and_then(|source| source.read(&note, key));
        if said.is_none() {
            // The first note, or the first of another provider's that the task was given to.
            source = Source::find(client, id).await.ok();
            said = source.as_ref().and_then(|source| source.read(&note, key));
        }
        said.into_iter().flatten().for_each(&mut on_remark);
    }
}
