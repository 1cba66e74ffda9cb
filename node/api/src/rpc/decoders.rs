//! Read a body as the server does, without a server: what fuzzing feeds.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use alloy_primitives::{Address, B256, Bytes};

use super::{
    envelope,
    logs::FilterParams,
    params::{BlockId, CallParams, FirstOf, Params, Quantity},
};
use crate::limits::MAX_BATCH;

/// Reads a request or a batch, and each parameter as everything that a method may take it for. Returns how many were
/// something.
pub fn read_body(body: &[u8]) -> usize {
    match serde_json::from_slice::<FirstOf<'_, MAX_BATCH>>(body) {
        Ok(batch) => batch.items.iter().map(|text| read_request(text.get().as_bytes())).sum(),
        Err(_) => read_request(body),
    }
}

fn read_request(text: &[u8]) -> usize {
    let Ok(request) = envelope::read(text) else { return 0 };
    let answer =
        envelope::write(request.id.unwrap_or(RawValue::NULL), Ok(RawValue::NULL.to_owned()));
    debug_assert!(serde_json::from_str::<&RawValue>(&answer).is_ok());
    let Ok(params) = Params::read(request.params) else { return 0 };
    (0..3).map(|index| read_parameter(&params, index)).sum()
}

fn read_parameter(params: &Params<'_>, index: usize) -> usize {
    fn is<T: DeserializeOwned>(params: &Params<'_>, index: usize) -> bool {
        matches!(params.optional::<T>(index, "any"), Ok(Some(_)))
    }
    let call = params.optional::<CallParams>(index, "call").ok().flatten();
    let filter = params.optional::<FilterParams>(index, "filter").ok().flatten();
    let quantity = params.optional::<Quantity>(index, "quantity").ok().flatten();
    let read = [
        call.is_some_and(|call| call.into_request(1).is_ok()),
        filter.is_some_and(|filter| filter.check().is_ok()),
        quantity.is_some_and(|quantity| quantity.to_u64().is_ok()),
        is::<BlockId>(params, index),
        is::<Address>(params, index),
        is::<B256>(params, index),
        is::<Bytes>(params, index),
        is::<Vec<f64>>(params, index),
    ];
    read.into_iter().filter(|read| *read).count()
}
