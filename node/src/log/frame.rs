//! The frame: the unit that one write puts on disk and that is either whole or not there.
//!
//! Pure bytes, no files. The layout is documented in [`super`]. Appending builds frames, recovery
//! parses them.

use super::{MAX_FRAME_BODY, Record};

/// Checksum, length and sequence in front of the records, in bytes.
pub(super) const FRAME_HEADER: usize = 16;
/// Length and kind in front of each payload, in bytes.
pub(super) const RECORD_HEADER: usize = 5;
/// The smallest frame: one record without payload, in bytes.
const LEAST: usize = FRAME_HEADER + RECORD_HEADER;

/// The bit of the length that marks a *loose* frame: not all frames before it were on disk when it
/// was written. Lengths have no use for it.
const LOOSE: u32 = 1 << 31;
const _: () = assert!(MAX_FRAME_BODY < LOOSE as usize);

/// Where a frame stands. It is part of the checksum, so bytes that were valid elsewhere, in
/// another segment or at another offset, are not valid here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) segment: u64,
    pub(super) offset: u64,
}

/// A frame whose checksum is right.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    pub(super) sequence: u64,
    /// Whether frames before it may be gone although it is there.
    pub(super) is_loose: bool,
    pub(super) body: &'a [u8],
}

/// Why the bytes at a place are not a frame.
#[derive(Debug)]
pub(super) enum Flaw {
    /// The length is zero: the end, if only zeros follow.
    End,
    /// The length is more than a frame may have, or more than is left in the segment.
    Length(u32),
    /// The checksum does not match.
    Checksum { stored: u32, computed: u32 },
    /// An intact frame, and not the next one.
    Gap { expected: u64, got: u64 },
}

impl std::fmt::Display for Flaw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Flaw::End => write!(f, "a length of 0"),
            Flaw::Length(length) => write!(f, "a length of {length} bytes"),
            Flaw::Checksum { stored, computed } => {
                write!(f, "checksum {stored:08x} over bytes that sum to {computed:08x}")
            }
            Flaw::Gap { got, .. } => write!(f, "frame {got}; those between are gone"),
        }
    }
}

/// Empties the buffer and leaves room for the frame's header.
pub(super) fn begin(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.resize(FRAME_HEADER, 0);
}

/// Adds a record. The caller has checked the payload against the limits, so its length fits.
pub(super) fn push(buffer: &mut Vec<u8>, record: &Record) {
    buffer.extend_from_slice(&(record.payload.len() as u32).to_le_bytes());
    buffer.push(record.kind);
    buffer.extend_from_slice(&record.payload);
}

/// Fills in the header over the records in the buffer, which then holds a whole frame.
pub(super) fn seal(buffer: &mut [u8], place: Place, sequence: u64, is_loose: bool) {
    let length = (buffer.len() - FRAME_HEADER) as u32 | if is_loose { LOOSE } else { 0 };
    buffer[4..8].copy_from_slice(&length.to_le_bytes());
    buffer[8..16].copy_from_slice(&sequence.to_le_bytes());
    let sum = checksum(&buffer[4..], place);
    buffer[..4].copy_from_slice(&sum.to_le_bytes());
}

/// The frame at the start of `bytes`, which reach from `place` to the end of the segment.
pub(super) fn parse(bytes: &[u8], place: Place) -> Result<Frame<'_>, Flaw> {
    let Some((header, rest)) = bytes.split_first_chunk::<FRAME_HEADER>() else {
        return Err(Flaw::End);
    };
    let (length, is_loose) = length_of(u32_at(header, 4));
    if length == 0 {
        return Err(Flaw::End);
    }
    let size = length as usize;
    if size > MAX_FRAME_BODY || size > rest.len() {
        return Err(Flaw::Length(length));
    }
    let stored = u32_at(header, 0);
    let computed = checksum(&bytes[4..FRAME_HEADER + size], place);
    if stored != computed {
        return Err(Flaw::Checksum { stored, computed });
    }
    Ok(Frame { sequence: u64_at(header, 8), is_loose, body: &rest[..size] })
}

/// A length without its mark, and the mark.
fn length_of(field: u32) -> (u32, bool) {
    (field & !LOOSE, field & LOOSE != 0)
}

/// The frame that [`parse`] refused for its checksum, taken all the same: for plants.
pub(super) fn believe(bytes: &[u8]) -> Frame<'_> {
    let (length, is_loose) = length_of(u32_at(bytes, 4));
    let end = FRAME_HEADER + length as usize;
    Frame { sequence: u64_at(bytes, 8), is_loose, body: &bytes[FRAME_HEADER..end] }
}

/// The offset in `bytes` of an intact frame that starts before byte `used`, if there is one: of one
/// that is loose or of one that is not. `bytes` reach from `place` to the end of the segment; `last`
/// is the sequence of the last frame before `place` that is known, and `gap` the number of bytes of
/// segments between the two.
///
/// Frames have consecutive sequences and at least 21 bytes each, so only a small window of
/// sequences can stand at an offset. It is looked at first: that keeps the search linear, and a
/// chance match out of the question.
pub(super) fn find_intact(
    bytes: &[u8],
    used: usize,
    place: Place,
    (last, gap): (u64, u64),
    is_loose: bool,
) -> Option<usize> {
    (0..used.min(bytes.len().saturating_sub(LEAST - 1))).find(|&at| {
        let sequence = u64_at(&bytes[at..], 8);
        let most = last.saturating_add(1 + (gap + at as u64) / LEAST as u64);
        let there = Place { offset: place.offset + at as u64, ..place };
        let is_near = sequence > last && sequence <= most;
        is_near && parse(&bytes[at..], there).is_ok_and(|frame| frame.is_loose == is_loose)
    })
}

/// Appends the records of a frame's body to `records`. `None`: the body is not a list of records.
pub(super) fn decode(mut body: &[u8], records: &mut Vec<Record>) -> Option<()> {
    while !body.is_empty() {
        let (header, rest) = body.split_first_chunk::<RECORD_HEADER>()?;
        let (payload, rest) = rest.split_at_checked(u32_at(header, 0) as usize)?;
        records.push(Record { kind: header[4], payload: payload.to_vec() });
        body = rest;
    }
    Some(())
}

/// CRC32C over segment number, offset and everything in the frame behind the checksum itself.
fn checksum(behind: &[u8], place: Place) -> u32 {
    let mut seed = [0; 16];
    seed[..8].copy_from_slice(&place.segment.to_le_bytes());
    seed[8..].copy_from_slice(&place.offset.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&seed), behind)
}

/// The little-endian number at `at`. Panics when `bytes` are too short; callers have checked.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// The little-endian number at `at`. Panics when `bytes` are too short; callers have checked.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place { segment: 3, offset: 4096 };

    fn sealed(place: Place, sequence: u64, payloads: &[&[u8]]) -> Vec<u8> {
        let mut buffer = Vec::new();
        begin(&mut buffer);
        for payload in payloads {
            push(&mut buffer, &Record { kind: 7, payload: payload.to_vec() });
        }
        seal(&mut buffer, place, sequence, false);
        buffer
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let frame = sealed(PLACE, 9, &[b"abc"]);
        let mut sum = crc32c::crc32c(&3u64.to_le_bytes());
        sum = crc32c::crc32c_append(sum, &4096u64.to_le_bytes());
        sum = crc32c::crc32c_append(sum, b"\x08\0\0\0\x09\0\0\0\0\0\0\0\x03\0\0\0\x07abc");
        assert_eq!(frame[..4], sum.to_le_bytes());
        assert_eq!(&frame[4..], b"\x08\0\0\0\x09\0\0\0\0\0\0\0\x03\0\0\0\x07abc");
    }

    #[test]
    fn a_frame_is_valid_only_in_its_own_segment_and_at_its_own_offset() {
        let frame = sealed(PLACE, 9, &[b"abc", b""]);
        let mut records = Vec::new();
        decode(parse(&frame, PLACE).unwrap().body, &mut records).unwrap();
        assert_eq!(records.len(), 2);
        for other in [Place { segment: 4, ..PLACE }, Place { offset: 4097, ..PLACE }] {
            assert!(matches!(parse(&frame, other), Err(Flaw::Checksum { .. })));
        }
    }

    #[test]
    fn an_intact_frame_is_found_at_any_later_byte_and_a_stale_one_is_not() {
        for gap in 1..64 {
            let there = Place { offset: PLACE.offset + gap as u64, ..PLACE };
            let mut bytes = vec![0xA5; gap];
            bytes.extend(sealed(there, 6, &[b"x"]));
            assert_eq!(find_intact(&bytes, bytes.len(), PLACE, (5, 0), false), Some(gap));
            let older = find_intact(&bytes, bytes.len(), PLACE, (6, 0), false);
            assert_eq!(older, None, "an older sequence does not count");
        }
    }

    #[test]
    fn a_body_that_is_no_list_of_records_is_noticed() {
        assert!(decode(&[9, 0, 0, 0, 1, 2], &mut Vec::new()).is_none());
        assert!(decode(&[0, 0], &mut Vec::new()).is_none());
    }
}
