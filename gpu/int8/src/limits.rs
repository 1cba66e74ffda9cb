//! Hold every bound of the formats, each with its reason.

/// Greatest length of an axis, in values: vocabularies of today's models have up to 2^18 entries.
pub const MAX_DIM: usize = 1 << 18;

/// Greatest number of axes of a row of a value (channels, height, width); parameters have one more.
pub const MAX_RANK: usize = 3;

/// Greatest number of rows of a run: a batch of images, the tokens of a text.
pub const MAX_ROWS: usize = 1 << 20;

/// Greatest number of rows that attend to each other: sums of so many softmax terms fit 32 bits.
pub const MAX_CONTEXT: usize = 1 << 16;

/// Greatest number of values of one tensor: 1 GiB of 32-bit ones.
pub const MAX_CELLS: usize = 1 << 28;

/// Greatest number of nodes of a model: a decoder of 128 layers has about 3,000.
pub const MAX_NODES: usize = 4_096;

/// Greatest number of operands of a node: what a concatenation may join.
pub const MAX_OPERANDS: usize = 16;

/// Greatest number of inputs of a model, and of outputs.
pub const MAX_PORTS: usize = 16;

/// Greatest number of parameters of a model: four for every node.
pub const MAX_PARAMS: usize = 16_384;

/// Greatest length of a name, in bytes: the longest in public checkpoints are below 100.
pub const MAX_NAME: usize = 128;

/// Greatest encoded manifest, in bytes: what the greatest numbers above amount to, rounded up.
pub const MAX_MANIFEST_BYTES: usize = 8 << 20;

/// Greatest encoded model, in bytes: what a worker may have to hold and check at once.
pub const MAX_MODEL_BYTES: usize = 64 << 20;

/// Greatest encoding of a job's requests, in bytes, for the same reason.
pub const MAX_REQUESTS_BYTES: usize = 64 << 20;

/// Greatest encoded job: a model and requests of the greatest sizes, and the header.
pub const MAX_JOB_BYTES: usize = MAX_MODEL_BYTES + MAX_REQUESTS_BYTES + 64;

/// Greatest number of requests of a job: one for each sentence of a small corpus.
pub const MAX_REQUESTS: usize = 1 << 16;

/// Greatest encoded result, in bytes: what a store takes as one object.
pub const MAX_RESULT_BYTES: usize = 64 << 20;

/// Greatest side of the window of a convolution or a pooling.
pub const MAX_WINDOW: usize = 256;
