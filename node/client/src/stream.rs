//! Streams of events and of notes, read again from where they broke off.

#[cfg(test)]
mod tests;

use std::{collections::VecDeque, time::Duration};

use neura_types::{note::TaskNote, rest::ChainEvent, task::TaskId};
use reqwest::Response;
use serde::de::DeserializeOwned;

use crate::{Client, ClientError};

/// Most bytes of one event: the longest is some hundred bytes; a later version's may be longer.
const MAX_EVENT: usize = 1 << 20;
/// Without a byte for so long the connection counts as broken; the server sends comments in between.
const SILENCE: Duration = Duration::from_secs(45);

/// Events of the chain as they happen. After a broken connection, [`EventStream::next`] gives an error once and
/// reconnects at the next call, from the last event seen. Where events were lost in between, [`ChainEvent::Missed`]
/// comes first.
#[derive(Debug)]
pub struct EventStream<T = ChainEvent> {
    client: Client,
    path: String,
    response: Option<Response>,
    parser: Parser<T>,
}

impl EventStream {
    /// A stream from the moment it is first opened or read.
    pub fn new(client: Client) -> Self {
        Self::at(client, "/v1/events".into())
    }
}

impl EventStream<TaskNote> {
    /// What a task's provider says to its owner: the last notes that the node has, then those to come. Whether they
    /// are the provider's is for the reader to check.
    pub fn notes(client: Client, task: TaskId) -> Self {
        Self::at(client, format!("/v1/tasks/{task}/notes"))
    }
}

impl<T: DeserializeOwned> EventStream<T> {
    fn at(client: Client, path: String) -> Self {
        Self { client, path, response: None, parser: Parser::default() }
    }

    /// Connects, if it is not connected: every event from now on will be given by [`EventStream::next`].
    ///
    /// # Errors
    /// If no node answers.
    pub async fn open(&mut self) -> Result<(), ClientError> {
        if self.response.is_none() {
            self.parser.restart();
            let last = self.parser.id.as_deref();
            self.response = Some(self.client.open_stream(&self.path, last).await?);
        }
        Ok(())
    }

    /// The next event.
    ///
    /// # Errors
    /// If the connection cannot be made or breaks; call again to reconnect.
    pub async fn next(&mut self) -> Result<T, ClientError> {
        loop {
            if let Some(event) = self.parser.ready.pop_front() {
                return Ok(event);
            }
            self.open().await?;
            self.read_more().await?;
        }
    }

    async fn read_more(&mut self) -> Result<(), ClientError> {
        let Some(response) = &mut self.response else { return Ok(()) };
        let cause = match tokio::time::timeout(SILENCE, response.chunk()).await {
            Ok(Ok(Some(part))) => match self.parser.feed(&part) {
                Ok(()) => return Ok(()),
                Err(TooLong) => format!("an event is longer than {MAX_EVENT} bytes"),
            },
            Ok(Ok(None)) => "the stream ended".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("the stream was silent for {} s", SILENCE.as_secs()),
        };
        self.response = None;
        Err(ClientError::Unreachable { urls: self.client.url().to_string(), cause })
    }
}

/// An event exceeds [`MAX_EVENT`].
#[derive(Debug, PartialEq, Eq)]
struct TooLong;

/// Takes events out of the bytes of a server-sent event stream, however they are cut.
#[derive(Debug)]
struct Parser<T> {
    /// Bytes of a line that has not ended.
    line: Vec<u8>,
    /// `data` of an event that has not ended.
    data: String,
    /// `id` of that event.
    pending_id: Option<String>,
    /// `id` of the last whole event.
    id: Option<String>,
    ready: VecDeque<T>,
}

impl<T> Default for Parser<T> {
    fn default() -> Self {
        let (line, data, ready) = (Vec::new(), String::new(), VecDeque::new());
        Self { line, data, pending_id: None, id: None, ready }
    }
}

impl<T: DeserializeOwned> Parser<T> {
    /// Forgets what a broken connection left unfinished.
    fn restart(&mut self) {
        self.line.clear();
        self.data.clear();
        self.pending_id = None;
    }

    fn feed(&mut self, mut bytes: &[u8]) -> Result<(), TooLong> {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.line.extend_from_slice(&bytes[..end]);
            bytes = &bytes[end + 1..];
            let line = std::mem::take(&mut self.line);
            self.take_line(String::from_utf8_lossy(&line).trim_end_matches('\r'));
            if self.data.len() > MAX_EVENT {
                return Err(TooLong);
            }
        }
        self.line.extend_from_slice(bytes);
        if self.line.len() > MAX_EVENT { Err(TooLong) } else { Ok(()) }
    }

    /// An empty line ends an event.
    fn take_line(&mut self, line: &str) {
        if line.is_empty() {
            self.id = self.pending_id.take().or(self.id.take());
            // What this version does not know is no event for it.
            if let Ok(event) = serde_json::from_str(&std::mem::take(&mut self.data)) {
                self.ready.push_back(event);
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" if self.data.is_empty() => self.data.push_str(value),
            "data" => self.data.extend(["\n", value]),
            "id" => self.pending_id = Some(value.to_owned()),
            _ => {}
        }
    }
}
