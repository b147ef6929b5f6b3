//! Tests of errors and costs. A comparison with CPython is in `tests/it/structs.rs`.
#![allow(clippy::unwrap_used)]

use super::*;

fn refused(format: &str) -> FormatError {
    Format::parse(format).unwrap_err()
}

fn pack(format: &str, values: &[Value<'_>]) -> Result<Vec<u8>, PackError> {
    let format = Format::parse(format).unwrap();
    let mut out = vec![0xaa; format.size()];
    format.pack(values, &mut out).map(|()| out)
}

#[test]
fn a_bad_format_is_refused_with_the_position() {
    let character = |character, position| FormatError::BadCharacter { character, position };
    assert_eq!(refused("iz"), character('z', 1));
    assert_eq!(refused("<>i"), character('>', 1));
    assert_eq!(refused(" <i"), character('<', 1));
    assert_eq!(refused("i\0"), character('\0', 1));
    assert_eq!(refused("ié"), character('é', 1));
    // Spaces may stand between codes, but not between a count and its code.
    assert_eq!(refused("4 i"), character(' ', 1));
    assert_eq!(refused("i 12"), FormatError::CountWithoutCode { position: 2 });
    assert_eq!(refused("<in"), FormatError::NativeOnly { character: 'n', position: 2, prefix: '<' });
    assert!(matches!(refused("x9223372036854775807x"), FormatError::TooLong { position: 1, .. }));
    assert!(matches!(refused("99999999999999999999x"), FormatError::TooLong { position: 0, .. }));
    assert_eq!(refused("z").to_string(), "'z' at 0 is not a format character");
}

#[test]
fn byte_values_are_counted() {
    for (format, count, bytes) in
        [("", 0, 0), ("4B", 4, 0), ("<B20sBc", 4, 2), ("3c", 3, 3), ("4x0sp", 2, 2), ("2d?e", 4, 0)]
    {
        let format = Format::parse(format).unwrap();
        assert_eq!((format.count(), format.byte_values()), (count, bytes), "{format:?}");
    }
}

#[test]
fn the_longest_struct_is_as_long_as_in_python() {
    assert_eq!(Format::parse(&format!("{MAX}x", MAX = isize::MAX)).unwrap().size(), isize::MAX as usize);
    assert!(matches!(refused(&format!("{MAX}xx", MAX = isize::MAX)), FormatError::TooLong { .. }));
}

/// `struct.pack("P", -1)` of CPython packs it.
#[test]
fn a_pointer_may_be_negative() {
    for value in [0, -1, i64::MIN, i64::MAX] {
        assert_eq!(pack("P", &[Value::Int(value)]).unwrap(), value.to_ne_bytes(), "{value}");
    }
}

/// Each native code is aligned as C aligns its type.
#[test]
fn native_codes_are_aligned() {
    for (code, align) in [
        ('h', align_of::<std::ffi::c_short>()),
        ('H', align_of::<std::ffi::c_short>()),
        ('i', align_of::<std::ffi::c_int>()),
        ('I', align_of::<std::ffi::c_int>()),
        ('l', align_of::<std::ffi::c_long>()),
        ('L', align_of::<std::ffi::c_long>()),
        ('q', align_of::<std::ffi::c_longlong>()),
        ('Q', align_of::<std::ffi::c_longlong>()),
        ('n', align_of::<isize>()),
        ('N', align_of::<usize>()),
        ('P', align_of::<*const u8>()),
        ('e', align_of::<std::ffi::c_short>()),
        ('f', align_of::<f32>()),
        ('d', align_of::<f64>()),
    ] {
        let size_of_one = Format::parse(&code.to_string()).unwrap().size();
        for prefix in ["", "@"] {
            let size = Format::parse(&format!("{prefix}b{code}")).unwrap().size();
            assert_eq!(size, align + size_of_one, "{prefix}{code}");
        }
        if !"nNP".contains(code) {
            assert_eq!(Format::parse(&format!("=b{code}")).unwrap().items[1].offset, 1, "{code}");
        }
    }
}

#[test]
fn prefixes_are_byte_orders() {
    for (prefix, bytes) in
        [("<", [1, 0]), (">", [0, 1]), ("!", [0, 1]), ("=", 1_u16.to_ne_bytes()), ("@", 1_u16.to_ne_bytes())]
    {
        assert_eq!(pack(&format!("{prefix}H"), &[Value::Int(1)]).unwrap(), bytes, "{prefix}");
    }
}

#[test]
fn a_huge_count_costs_nothing() {
    let format = Format::parse("1000000000B1000000000x").unwrap();
    assert_eq!((format.size(), format.count()), (2_000_000_000, 1_000_000_000));
    assert_eq!(format.items.len(), 1);
    assert_eq!(format.unpack(&[0; 4]).unwrap_err(), WrongLength { expected: 2_000_000_000, given: 4 });
    assert_eq!(
        format.pack(&[Value::Int(1)], &mut []),
        Err(PackError::WrongCount { expected: 1_000_000_000, given: 1 })
    );
}

#[test]
fn only_native_formats_are_aligned() {
    #[repr(C)]
    struct Native {
        a: i8,
        b: i32,
        c: i8,
        d: f64,
        e: i16,
    }
    assert_eq!(Format::parse("<bibdh").unwrap().size(), 16);
    assert_eq!(Format::parse("@bibdh0d").unwrap().size(), size_of::<Native>());
    assert_eq!(Format::parse("bl").unwrap().size(), 2 * size_of::<std::ffi::c_long>());
}

#[test]
fn pack_errors_name_the_value_and_the_code() {
    let wrong = pack("<bi", &[Value::Int(1), Value::Float(2.0)]).unwrap_err();
    assert_eq!(wrong.to_string(), "value 1 must be an integer for 'i', not a float");
    let wrong = pack("<H", &[Value::Int(-1)]).unwrap_err();
    assert_eq!(wrong.to_string(), "value 0 must be from 0 to 65535 for 'H', not -1");
    let wrong = pack("<e", &[Value::Float(65520.0)]).unwrap_err();
    assert_eq!(wrong.to_string(), "value 0 is too large for 'e': 6.552e4");
    let wrong = pack("c", &[Value::Bytes(b"ab")]).unwrap_err();
    assert_eq!(wrong, PackError::NotOneByte { index: 0, length: 2 });
    let mut short = [0; 3];
    let wrong = Format::parse("<i").unwrap().pack(&[Value::Int(1)], &mut short).unwrap_err();
    assert_eq!(wrong.to_string(), "the format describes 4 bytes, not 3");
}

#[test]
fn padding_is_zeroed() {
    assert_eq!(pack("<bxb2x", &[Value::Int(1), Value::Int(2)]).unwrap(), [1, 0, 2, 0, 0]);
}

#[test]
fn a_negative_value_is_the_upper_half_of_64_bits() {
    let bytes = pack("<Q", &[Value::Int(-2)]).unwrap();
    assert_eq!(bytes, (u64::MAX - 1).to_le_bytes());
    let format = Format::parse("<Q").unwrap();
    assert_eq!(format.unpack(&bytes).unwrap().next(), Some(Value::Int(-2)));
    assert!(pack("<L", &[Value::Int(-2)]).is_err());
}

#[test]
fn unpack_counts_the_values_that_are_left() {
    let format = Format::parse("<2h0h3s0s").unwrap();
    let mut values = format.unpack(&[1, 0, 2, 0, b'a', b'b', b'c']).unwrap();
    assert_eq!(values.len(), 4);
    assert_eq!(values.next(), Some(Value::Int(1)));
    assert_eq!(values.len(), 3);
    assert_eq!(values.by_ref().last(), Some(Value::Bytes(b"")));
    assert_eq!((values.len(), values.next()), (0, None));
}
