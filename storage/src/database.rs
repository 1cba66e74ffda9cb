//! Open RocksDB with what each column needs.

use std::path::Path;

use rocksdb::{
    BlockBasedOptions, Cache, ChecksumType, ColumnFamilyDescriptor, DB, DBCompressionType,
    DBRecoveryMode, DataBlockIndexType, LogLevel, MemtableFactory, Options, SliceTransform,
};

use crate::{columns::Column, config::StoreConfig};

/// Memory of one column's write buffer, as a part of all: a busy column may use a quarter before it is flushed.
const WRITE_BUFFER_PARTS: usize = 4;
/// Write-ahead log kept at most before the oldest column is flushed, in write buffers.
const WAL_BUFFERS: u64 = 2;
/// Table files held open; bounds file descriptors and their index memory.
const MAX_OPEN_FILES: i32 = 256;
/// Bits per key of the bloom filters: one false positive in a hundred.
const BLOOM_BITS: f64 = 10.0;
/// Bytes after which RocksDB starts to hand written tables and log to the disk, so that a sync has little left to wait for.
const BYTES_PER_SYNC: u64 = 1 << 20;
/// RocksDB rewrites the tables of the last level when the snapshots are gone that were held while they were made, only to
/// leave out the numbers of their rows. Every read of the state holds one: it would rewrite the whole state again and again.
/// A day, in seconds; there is no function for it.
const REWRITE_DELAY: &str = "bottommost_file_compaction_delay=86400";
/// Bytes of a hashed write buffer for each of its buckets: about as many buckets as it gets keys before it is flushed, in a
/// thirtieth of its memory.
const BYTES_PER_BUCKET: usize = 256;
/// Levels of a bucket's skip list, and how many entries of one come to one of the next: quick for a few thousand.
const BUCKET_HEIGHT: i32 = 6;
const BUCKET_BRANCHING: i32 = 4;

/// Opens the database in a folder, or makes it.
pub(crate) fn open_database(path: &Path, config: &StoreConfig) -> Result<DB, rocksdb::Error> {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    // A torn last record is a crash; anything else is damage and must not be skipped. A synced record that was cut off
    // looks the same: see `durable`.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    // Only the newest log may end early: the others were closed, and are checked against what the manifest says.
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_paranoid_checks(true);
    // Hashed write buffers take one writer at a time; writers queue up in one group anyway.
    options.set_allow_concurrent_memtable_write(false);
    options.set_db_write_buffer_size(config.write_buffer_bytes);
    options.set_max_total_wal_size(WAL_BUFFERS.saturating_mul(config.write_buffer_bytes as u64));
    options.set_max_open_files(MAX_OPEN_FILES);
    options.set_max_background_jobs(2);
    options.set_bytes_per_sync(BYTES_PER_SYNC);
    options.set_wal_bytes_per_sync(BYTES_PER_SYNC);
    options.set_log_level(LogLevel::Warn);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(4 << 20);
    // Readers of this one do not wait for each other.
    let cache = Cache::new_hyper_clock_cache(config.cache_bytes, 0);
    let columns = Column::ALL.map(|column| {
        let options = column_options(column, &cache, config)?;
        Ok(ColumnFamilyDescriptor::new(column.name(), options))
    });
    let columns = columns.into_iter().collect::<Result<Vec<_>, rocksdb::Error>>()?;
    DB::open_cf_descriptors(&options, path, columns)
}

fn column_options(
    column: Column,
    cache: &Cache,
    config: &StoreConfig,
) -> Result<Options, rocksdb::Error> {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    // CRC-32C costs more than the read where it is not done in hardware.
    table.set_checksum_type(ChecksumType::XXH3);
    if column.point_lookups() {
        table.set_bloom_filter(BLOOM_BITS, false);
        table.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
    }
    let mut options = Options::default().get_options_from_string(REWRITE_DELAY)?;
    options.set_block_based_table_factory(&table);
    // Hashes do not shrink.
    let compression = match column {
        Column::TreeNodes | Column::TxIndex => DBCompressionType::None,
        _ => DBCompressionType::Lz4,
    };
    options.set_compression_type(compression);
    let write_buffer = config.write_buffer_bytes / WRITE_BUFFER_PARTS;
    options.set_write_buffer_size(write_buffer);
    hash_write_buffer(&mut options, column, (write_buffer / BYTES_PER_BUCKET).max(1));
    Ok(options)
}

/// For the columns into which a block writes at many random places: a key's place in the write buffer is found by hash,
/// in one step. Whoever goes through such a column in order asks for the total order.
fn hash_write_buffer(options: &mut Options, column: Column, bucket_count: usize) {
    let (prefix, factory) = match column {
        // The newest value of a key stands first.
        Column::State | Column::TxIndex => {
            let list = MemtableFactory::HashLinkList { bucket_count };
            (SliceTransform::create("key", |key| key, None), list)
        }
        // All heights of a state key stand together, the newest last: behind thousands, for one that every block changes.
        Column::History => {
            let skip_list = MemtableFactory::HashSkipList {
                bucket_count,
                height: BUCKET_HEIGHT,
                branching_factor: BUCKET_BRANCHING,
            };
            (SliceTransform::create("state key", state_key, None), skip_list)
        }
        _ => return,
    };
    options.set_prefix_extractor(prefix);
    options.set_memtable_factory(factory);
}

/// A key of `history` without its height.
fn state_key(key: &[u8]) -> &[u8] {
    key.split_last_chunk::<8>().map_or(key, |(state_key, _)| state_key)
}
