// Values of parameters, which lie as they are stored: little-endian, of 8, 16 or 32 bits.

const I8: u32 = 0u;
const I16: u32 = 1u;
const U16: u32 = 2u;

// The word that value `at` lies in.
fn word_of(at: u32, kind: u32) -> u32 {
    switch kind {
        case I8: { return at / 4u; }
        case I16, U16: { return at / 2u; }
        default: { return at; }
    }
}

// Value `at`, of its word.
fn value_in(word: u32, at: u32, kind: u32) -> i32 {
    switch kind {
        case I8: { return extractBits(bitcast<i32>(word), (at % 4u) * 8u, 8u); }
        case I16: { return extractBits(bitcast<i32>(word), (at % 2u) * 16u, 16u); }
        case U16: { return i32(extractBits(word, (at % 2u) * 16u, 16u)); }
        default: { return bitcast<i32>(word); }
    }
}
