//! Headers of records that claim what is not there.

use haul::space::log::wal::WalHeader;

use super::space::STORE;

/// A header with right checksum that claims this many bytes of payload.
pub fn header(sequence: u64, payload_bytes: u32) -> Vec<u8> {
    WalHeader {
        sequence,
        timestamp_ns: 7,
        entry_type: STORE,
        payload_len_bytes: payload_bytes,
        payload_crc: 1,
        reserved: [0; 20],
        pad: [0; 8],
    }
    .encode()
    .to_vec()
}
