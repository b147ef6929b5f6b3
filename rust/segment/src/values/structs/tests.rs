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

/// Each mistake in a group, a name or a packing, with its text.
#[test]
fn a_bad_group_name_or_packing_is_refused_with_the_position() {
    use FormatError as E;
    let deep = |depth: usize| "T{".repeat(depth) + "B" + &"}".repeat(depth);
    let name = "a".to_owned();
    let (shallow, too_deep) = (deep(MAX_DEPTH), deep(MAX_DEPTH + 1));
    assert_eq!(Format::parse(&shallow).unwrap().count(), 1);
    let limit = MAX_VALUES;
    for (format, error, text) in [
        ("B T", E::NoBrace { position: 2 }, "the 'T' at 2 has no '{' after it"),
        ("2T {B}", E::NoBrace { position: 1 }, "the 'T' at 1 has no '{' after it"),
        ("B}", E::NotOpened { position: 1 }, "the '}' at 1 has no 'T{' before it"),
        ("T{B}}", E::NotOpened { position: 4 }, "the '}' at 4 has no 'T{' before it"),
        ("B 2T{T{B}", E::NotClosed { position: 3 }, "the group at 3 has no '}' at its end"),
        ("é}T{", E::BadCharacter { character: 'é', position: 0 }, "'é' at 0 is not a format character"),
        (
            "I car count",
            E::BadWord { character: 'a', position: 3 },
            "'a' at 3 is not a format character; a name has a ':' on each side, as in I:frame:, and may have \
             any characters except ':'",
        ),
        (
            "I:car count 3f:position:",
            E::BadWord { character: 'o', position: 16 },
            "'o' at 16 is not a format character; a name has a ':' on each side, as in I:frame:, and may have \
             any characters except ':'",
        ),
        ("T{B:é:} T{", E::NotClosed { position: 8 }, "the group at 8 has no '}' at its end"),
        ("2T{4x 0i}", E::EmptyGroup { position: 1 }, "the group at 1 has no values"),
        ("T{}", E::EmptyGroup { position: 0 }, "the group at 0 has no values"),
        (
            &too_deep,
            E::TooDeep { position: 32, limit: 16 },
            "the group at 32 is inside 16 others, and no more than 16 are allowed",
        ),
        (
            "B 16777216T{B}",
            E::TooManyValues { position: 2, limit },
            "with the code at 2, a format with groups has more than 16777216 values",
        ),
        (
            "T{B} 16777216B",
            E::TooManyValues { position: 5, limit },
            "with the code at 5, a format with groups has more than 16777216 values",
        ),
        (
            "99999999T{99999999T{9999T{0s}}}",
            E::TooManyValues { position: 10, limit },
            "with the code at 10, a format with groups has more than 16777216 values",
        ),
        (
            "<pack(3) B",
            E::BadPacking { position: 1 },
            "the packing at 1 must be pack(1), pack(2), pack(4), pack(8) or pack(16)",
        ),
        (
            "pack(4",
            E::BadPacking { position: 0 },
            "the packing at 0 must be pack(1), pack(2), pack(4), pack(8) or pack(16)",
        ),
        (
            "B pack(4)",
            E::LatePacking { position: 2 },
            "the packing at 2 must be at the beginning of the format or after 'T{'",
        ),
        (
            "T{B pack(4) B}",
            E::LatePacking { position: 4 },
            "the packing at 4 must be at the beginning of the format or after 'T{'",
        ),
        (
            "B:a",
            E::BadName { position: 1 },
            "the name at 1 must have a ':' before it, a ':' after it, and characters in between",
        ),
        (
            "B::",
            E::BadName { position: 1 },
            "the name at 1 must have a ':' before it, a ':' after it, and characters in between",
        ),
        (":a:B", E::NothingToName { position: 0 }, "the name at 0 has no value of its own before it"),
        ("B:a::b:", E::NothingToName { position: 4 }, "the name at 4 has no value of its own before it"),
        ("4x:a:", E::NothingToName { position: 2 }, "the name at 2 has no value of its own before it"),
        ("B0i:a:", E::NothingToName { position: 3 }, "the name at 3 has no value of its own before it"),
        ("0T{B}:a:", E::NothingToName { position: 5 }, "the name at 5 has no value of its own before it"),
        ("T{:a:B}", E::NothingToName { position: 2 }, "the name at 2 has no value of its own before it"),
        (
            "B:a:T{B:a:}:b:H:a:",
            E::DuplicateName { name, position: 15, first: 1 },
            "the name \"a\" at 15 is at 1 already",
        ),
    ] {
        assert_eq!(refused(format), error, "{format}");
        assert_eq!(error.to_string(), text);
    }
    let max = isize::MAX;
    assert!(matches!(refused(&format!("pack(8) {max}T{{Q}}")), FormatError::TooLong { position: 8, .. }));
    assert!(matches!(refused(&format!("pack(2) H{}x", max - 2)), FormatError::TooLong { .. }));
}

#[test]
fn a_group_is_aligned_and_padded_as_in_c() {
    #[repr(C)]
    struct Inner {
        a: u8,
        b: f64,
        c: u16,
    }
    #[repr(C)]
    struct Outer {
        a: u8,
        inner: [Inner; 3],
        b: u8,
    }
    let format = Format::parse("B 3T{B d H} B").unwrap();
    assert_eq!(format.fields()[1].offset, std::mem::offset_of!(Outer, inner));
    assert_eq!(format.fields()[1].size(), 3 * size_of::<Inner>());
    // Without a packing, the end is not padded, as in Python.
    assert_eq!(format.size(), std::mem::offset_of!(Outer, b) + 1);
    assert_eq!(Format::parse("pack(8) B 3T{B d H} B").unwrap().size(), size_of::<Outer>());
}

#[test]
fn a_packing_limits_alignments() {
    for (format, size) in [
        ("<T{B q}", 9),
        ("<pack(1) B q B", 10),
        ("<pack(2) B q B", 12),
        ("> pack(4) B q B", 16),
        ("=pack(8)B q B", 24),
        ("<pack(16) B q B", 24),
        ("<pack(8) B 16s H", 20),
        // The packing of a group is for groups inside as well, and not for the struct around it.
        ("<T{pack(4) B T{B q}} B q", 25),
        ("<pack(8) B T{pack(2) B q} B q", 24),
        ("<pack(2) B T{pack(8) B q} B", 20),
        ("<pack(8) B 0T{q} B", 16),
    ] {
        assert_eq!(Format::parse(format).unwrap().size(), size, "{format}");
    }
}

#[test]
fn fields_have_the_shape_of_the_format() {
    let format = Format::parse("<x B 2H:pair: 1s:text: 1I:one: 2T{3f:p:}:cars: T{c}").unwrap();
    let fields: Vec<_> =
        format.fields().iter().map(|f| (f.name(), f.count(), f.is_array(), f.is_bytes())).collect();
    assert_eq!(
        fields,
        [
            (None, 1, false, false),
            (Some("pair"), 2, true, false),
            (Some("text"), 1, false, true),
            (Some("one"), 1, true, false),
            (Some("cars"), 2, true, false),
            (None, 1, false, false),
        ]
    );
    assert_eq!((format.count(), format.outer_count()), (12, 7));
    let group = format.fields()[4].group().unwrap();
    assert_eq!((group.size(), group.fields()[0].name(), group.fields()[0].count()), (12, Some("p"), 3));
}

#[test]
fn values_of_groups_are_among_the_others() {
    let values = [1, 2, 3, 4, 5, 6].map(Value::Int);
    let bytes = pack(">B 2T{pack(2) B H} B", &values).unwrap();
    assert_eq!(bytes, [1, 2, 0, 0, 3, 4, 0, 0, 5, 6]);
    assert_eq!(Format::parse(">B 2T{pack(2) B H} B").unwrap().unpack(&bytes).unwrap(), values);
    let format = Format::parse("T{B}").unwrap();
    let wrong = format.fields()[0].put(0, &Value::Int(1), &mut [0]).unwrap_err();
    assert_eq!(wrong.to_string(), "must be a group for 'T', not an integer");
    assert_eq!(format.fields()[0].values(&[0]).count(), 0);
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
            assert_eq!(Format::parse(&format!("=b{code}")).unwrap().fields()[1].offset, 1, "{code}");
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
    assert_eq!(format.fields().len(), 1);
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
    assert_eq!(wrong.to_string(), "values[1] must be an integer for 'i', not a float");
    let wrong = pack("<H", &[Value::Int(-1)]).unwrap_err();
    assert_eq!(wrong.to_string(), "values[0] must be from 0 to 65535 for 'H', not -1");
    let wrong = pack("<e", &[Value::Float(65520.0)]).unwrap_err();
    assert_eq!(wrong.to_string(), "values[0] is too large for 'e': 6.552e4");
    let wrong = pack("c", &[Value::Bytes(b"ab")]).unwrap_err();
    assert_eq!(wrong, PackError::Value { index: 0, problem: ValueError::NotOneByte { length: 2 } });
    let wrong = pack("<2H", &[Value::Int(1)]).unwrap_err();
    assert_eq!(wrong.to_string(), "values must have 2 elements, not 1");
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
    assert_eq!(format.unpack(&bytes).unwrap(), [Value::Int(-2)]);
    assert!(pack("<L", &[Value::Int(-2)]).is_err());
}

#[test]
fn counts_of_zero_leave_only_strings() {
    let format = Format::parse("<2h0h3s0s").unwrap();
    let values = format.unpack(&[1, 0, 2, 0, b'a', b'b', b'c']).unwrap();
    assert_eq!(values, [Value::Int(1), Value::Int(2), Value::Bytes(b"abc"), Value::Bytes(b"")]);
}
