//! Blobs at somebody else's node, over HTTP.
//!
//! ```text
//! POST {base}/v1/blobs          body: the bytes   -> 200 or 201 {"locator": "neura:…", "size": n}
//! GET  {base}/v1/blobs/{hash}                     -> 200, the bytes
//! HEAD {base}/v1/blobs/{hash}                     -> 200, Content-Length
//! ```
//! `{hash}` is the 64 hexadecimal digits of the locator. 404: not held. 413: too large. 507: quota
//! full.
//!
//! The base URL may come from a stranger, and the answer always does. So: http and https only, no
//! redirects, no proxy, no private addresses (checked on the very addresses that are connected to),
//! limits on time and size while the bytes arrive, and content is hashed here before anybody sees
//! it.

mod client;
mod guard;
#[cfg(test)]
mod tests;

pub use client::{HttpConfig, HttpStore};
pub use guard::AddressClass;
