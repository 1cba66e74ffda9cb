//! The bytes of a safety file. The README draws them.

/// Bytes of a sector: the unit that a disk writes as a whole.
pub(super) const SECTOR_BYTES: usize = 512;
/// Sectors of a slot: room for the record of 256 validators.
pub(super) const SLOT_SECTORS: usize = 144;
/// Sectors that the shortest record fills: what a torn write leaves of them tells it from a damaged record.
pub(super) const LEAST_SECTORS: usize = 16;
/// Bytes of a slot.
pub(super) const SLOT_BYTES: usize = SECTOR_BYTES * SLOT_SECTORS;
/// Bytes of the file: two slots.
pub(super) const FILE_BYTES: usize = 2 * SLOT_BYTES;
/// Longest record, in bytes: the payload of all sectors of a slot.
pub const MAX_RECORD_BYTES: usize = PAYLOAD_BYTES * SLOT_SECTORS;

const MAGIC: [u8; 4] = *b"NSR2";
const SLOT_AT: usize = 4;
const PLACE_AT: usize = 5;
const SEQUENCE_AT: usize = 8;
const LENGTH_AT: usize = 16;
const DIGEST_AT: usize = 20;
const PAYLOAD_AT: usize = 52;
const CRC_AT: usize = SECTOR_BYTES - 4;
const PAYLOAD_BYTES: usize = CRC_AT - PAYLOAD_AT;
/// Context of BLAKE3's key derivation for the digest of a record.
const DIGEST_CONTEXT: &str = "neura v1 safety record";

/// A sector whose checksum holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sector<'a> {
    pub(super) sequence: u64,
    length: u32,
    digest: [u8; 32],
    payload: &'a [u8],
}

impl Sector<'_> {
    /// Sectors that its record fills: more than a slot has, if the length is a lie.
    pub(super) fn filled(&self) -> usize {
        usize::try_from(self.length).map_or(usize::MAX, sectors_of)
    }
}

fn digest_of(sequence: u64, record: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(DIGEST_CONTEXT);
    hasher.update(&sequence.to_le_bytes());
    hasher.update(record);
    *hasher.finalize().as_bytes()
}

/// Sectors that a record of a length fills.
pub(super) fn sectors_of(length: usize) -> usize {
    length.div_ceil(PAYLOAD_BYTES).max(LEAST_SECTORS)
}

/// The sectors that a record fills, from the start of a slot on; none if it is too long.
pub(super) fn encode_record(slot: usize, sequence: u64, record: &[u8]) -> Option<Vec<u8>> {
    encode_sectors(slot, sequence, record, sectors_of(record.len()))
}

/// A whole slot with a record: its other sectors are sound too, so that a later write that fills them is seen to be torn.
fn encode_slot(slot: usize, sequence: u64, record: &[u8]) -> Option<Vec<u8>> {
    encode_sectors(slot, sequence, record, SLOT_SECTORS)
}

fn encode_sectors(slot: usize, sequence: u64, record: &[u8], sectors: usize) -> Option<Vec<u8>> {
    if record.len() > MAX_RECORD_BYTES {
        return None;
    }
    let length = u32::try_from(record.len()).ok()?;
    let digest = digest_of(sequence, record);
    let mut bytes = vec![0; sectors * SECTOR_BYTES];
    let mut parts = record.chunks(PAYLOAD_BYTES);
    for (place, sector) in (0u8..).zip(bytes.chunks_exact_mut(SECTOR_BYTES)) {
        sector[..SLOT_AT].copy_from_slice(&MAGIC);
        sector[SLOT_AT] = u8::from(slot == 1);
        sector[PLACE_AT] = place;
        sector[SEQUENCE_AT..LENGTH_AT].copy_from_slice(&sequence.to_le_bytes());
        sector[LENGTH_AT..DIGEST_AT].copy_from_slice(&length.to_le_bytes());
        sector[DIGEST_AT..PAYLOAD_AT].copy_from_slice(&digest);
        let part = parts.next().unwrap_or_default();
        sector[PAYLOAD_AT..PAYLOAD_AT + part.len()].copy_from_slice(part);
        reseal(sector);
    }
    Some(bytes)
}

/// Writes the checksum of a sector.
pub(super) fn reseal(sector: &mut [u8]) {
    let crc = crc32fast::hash(&sector[..CRC_AT]);
    sector[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
}

/// Bytes of a fresh file: the record in both slots, with this sequence and, newer, the next; none if it is too long.
pub(super) fn fresh_file(sequence: u64, record: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = encode_slot(0, sequence, record)?;
    bytes.extend(encode_slot(1, sequence.saturating_add(1), record)?);
    Some(bytes)
}

/// The sectors of a slot, in place; none for each that fails its checksum or stands where it does not belong.
pub(super) fn decode_slot(slot: usize, bytes: &[u8]) -> Vec<Option<Sector<'_>>> {
    let sectors = bytes.chunks_exact(SECTOR_BYTES);
    (0u8..).zip(sectors).map(|(place, bytes)| decode_sector(slot, place, bytes)).collect()
}

fn decode_sector(slot: usize, place: u8, bytes: &[u8]) -> Option<Sector<'_>> {
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    let header = [MAGIC.as_slice(), &[u8::from(slot == 1), place, 0, 0]].concat();
    if crc32fast::hash(body).to_le_bytes() != *crc || !body.starts_with(&header) {
        return None;
    }
    Some(Sector {
        sequence: u64::from_le_bytes(body.get(SEQUENCE_AT..LENGTH_AT)?.try_into().ok()?),
        length: u32::from_le_bytes(body.get(LENGTH_AT..DIGEST_AT)?.try_into().ok()?),
        digest: body.get(DIGEST_AT..PAYLOAD_AT)?.try_into().ok()?,
        payload: body.get(PAYLOAD_AT..)?,
    })
}

/// Sequence and record of a slot in which every sector that the record fills is sound and of the same write.
pub(super) fn whole_record(sectors: &[Option<Sector<'_>>]) -> Option<(u64, Vec<u8>)> {
    let first = (*sectors.first()?)?;
    let filled = sectors.get(..first.filled())?;
    let mut record = Vec::with_capacity(filled.len() * PAYLOAD_BYTES);
    for sector in filled {
        let sector = (*sector)?;
        let one_write = (sector.sequence, sector.length, sector.digest)
            == (first.sequence, first.length, first.digest);
        if !one_write {
            return None;
        }
        record.extend_from_slice(sector.payload);
    }
    record.truncate(usize::try_from(first.length).ok()?);
    (digest_of(first.sequence, &record) == first.digest).then_some((first.sequence, record))
}
