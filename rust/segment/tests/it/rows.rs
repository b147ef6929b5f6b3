//! Rows at equal distances, as pictures have them: compared with a model, and refused where they don't fit.

use fastrand::Rng;
use shm_segment::{Access, Error, Options, Rows};

use crate::common::Name;
use crate::common::random::{rounds, seed};

const SIZE: usize = 5000;

/// Returns the offsets of `count` rows, if all of them lie in the segment.
fn offsets(first: u64, length: usize, stride: i64, count: usize) -> Option<Vec<usize>> {
    let offset = |row| i128::from(first) + i128::from(stride) * row as i128;
    let inside = |offset: i128| offset >= 0 && offset + length as i128 <= SIZE as i128;
    let all: Vec<i128> = (0..count).map(offset).collect();
    all.iter()
        .all(|offset| inside(*offset))
        .then(|| all.iter().map(|offset| usize::try_from(*offset).unwrap()).collect())
}

#[test]
fn rows_agree_with_a_model() {
    let mut rng = Rng::with_seed(seed());
    let name = Name::new();
    let ours = Options::new(&name).create(SIZE as u64).unwrap();
    // Not more than the size asked for, where the system has only whole pages.
    let theirs = Options::new(&name).open(SIZE as u64, Access::ReadOnly).unwrap();
    let mut model = vec![0; SIZE];
    let mut copied = 0;
    for round in 0..rounds(20_000) {
        let length = rng.usize(..300);
        let count = rng.usize(1..12);
        let distance = match rng.u8(..8) {
            0 => rng.i64(..),
            1 => [i64::MIN, i64::MAX, i64::MIN + 1, 0][rng.usize(..4)],
            _ => i64::try_from(length).unwrap() + rng.i64(-1..64),
        };
        let stride = if rng.bool() { distance } else { distance.wrapping_neg() };
        let first = if rng.u8(..16) == 0 { rng.u64(..) } else { rng.u64(..SIZE as u64 + 2) };
        let context = format!("round {round}: {count} rows of {length} from {first} by {stride}");
        let Some(rows) = Rows::new(first, length, stride) else {
            assert!(length == 0 || stride.unsigned_abs() < length as u64, "{context}");
            continue;
        };
        let data: Vec<u8> = (0..length * count).map(|_| rng.u8(..)).collect();
        let mut back = vec![7; data.len()];
        let Some(offsets) = offsets(first, length, stride, count) else {
            for result in [ours.write_rows(rows, &data), theirs.read_rows(rows, &mut back)] {
                assert!(matches!(result, Err(Error::RowsOutOfBounds { .. })), "{context}: {result:?}");
            }
            assert!(back.iter().all(|byte| *byte == 7), "{context}");
            continue;
        };
        copied += 1;
        ours.write_rows(rows, &data).unwrap();
        for (offset, row) in offsets.iter().zip(data.chunks(length)) {
            model[*offset..offset + length].copy_from_slice(row);
        }
        theirs.read_rows(rows, &mut back).unwrap();
        assert_eq!(back, data, "{context}");
        let mut all = vec![0; SIZE];
        theirs.read(0, &mut all).unwrap();
        assert_eq!(all, model, "{context}");
    }
    assert!(copied > 0);
}

#[test]
fn a_refusal_names_the_bytes_and_the_size() {
    let name = Name::new();
    let segment = Options::new(&name).create(64).unwrap();
    let rows = Rows::new(16, 8, -16).unwrap();
    let message = segment.write_rows(rows, &[0; 24]).unwrap_err().to_string();
    assert_eq!(message, "the rows take bytes -16 to 23, and the segment has bytes 0 to 63");
}

#[test]
fn a_reader_writes_no_rows() {
    let name = Name::new();
    let ours = Options::new(&name).create(64).unwrap();
    let theirs = Options::new(&name).open(64, Access::ReadOnly).unwrap();
    let rows = Rows::new(0, 8, 16).unwrap();
    assert!(matches!(theirs.write_rows(rows, &[1; 16]), Err(Error::ReadOnly { .. })));
    let mut back = [7; 16];
    ours.read_rows(rows, &mut back).unwrap();
    assert_eq!(back, [0; 16]);
}
