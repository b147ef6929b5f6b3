//! Groups and packings, compared with a C compiler: random structs in structs, in random packings.
//!
//! `SHM_SEGMENT_ROUNDS` sets the number of structs, `SHM_SEGMENT_SEED` repeats a run.

use std::fmt::Write as _;
use std::process::Command;

use fastrand::Rng;
use shm_segment::values::structs::{Format, Value};

use crate::common::layouts::hex;
use crate::common::oracle::Oracle;
use crate::common::random::{rounds, seed};
use crate::structs::{Owned, ask};

/// Codes and their types in C. The last ones need native sizes.
const CODES: [(char, &str); 19] = [
    ('b', "int8_t"),
    ('B', "uint8_t"),
    ('c', "char"),
    ('?', "_Bool"),
    ('h', "int16_t"),
    ('H', "uint16_t"),
    ('e', "uint16_t"),
    ('i', "int32_t"),
    ('I', "uint32_t"),
    ('f', "float"),
    ('q', "int64_t"),
    ('Q', "uint64_t"),
    ('d', "double"),
    ('s', "char"),
    ('l', "long"),
    ('L', "unsigned long"),
    ('n', "ptrdiff_t"),
    ('N', "size_t"),
    ('P', "uintptr_t"),
];
const NATIVE_CODES: usize = 5;
/// The packing of C without a pragma.
const NATURAL: usize = 0;

/// Random structs as text of a format and of C, with a value for each leaf.
#[derive(Default)]
struct Structs {
    format: String,
    /// The definitions in C, inner ones first.
    definitions: String,
    names: usize,
    values: Vec<Leaf>,
}

/// A value, and its expression and its value in C.
struct Leaf {
    path: String,
    value: Owned,
    in_c: String,
}

impl Structs {
    /// Adds a struct, and returns its type in C and the paths of its leaves.
    fn add(
        &mut self,
        rng: &mut Rng,
        native: bool,
        packing: usize,
        depth: usize,
    ) -> (String, Vec<(String, Kind)>) {
        let mut members = String::new();
        let mut leaves = Vec::new();
        for member in 0..rng.usize(1..6) {
            self.space(rng);
            let mut count = (rng.u8(..3) == 0).then(|| rng.usize(1..4));
            let mut repeat = count.map(|count| count.to_string()).unwrap_or_default();
            let mut suffix = count.map(|count| format!("[{count}]")).unwrap_or_default();
            let (of_type, inner) = if depth > 0 && rng.u8(..3) == 0 {
                self.format.push_str(&repeat);
                self.format.push_str("T{");
                let own = (rng.u8(..4) == 0).then(|| [1, 2, 4, 8, 16][rng.usize(..5)]);
                if let Some(packing) = own {
                    self.space(rng);
                    write!(self.format, "pack({packing})").unwrap();
                }
                let inner = self.add(rng, native, own.unwrap_or(packing), depth - 1);
                self.format.push('}');
                inner
            } else {
                let all = CODES.len() - if native { 0 } else { NATIVE_CODES };
                let (code, of_type) = CODES[rng.usize(..all)];
                let length = if code == 's' { rng.usize(1..20) } else { 1 };
                if code == 's' {
                    (count, repeat, suffix) = (None, length.to_string(), format!("[{length}]"));
                }
                write!(self.format, "{repeat}{code}").unwrap();
                (of_type.to_owned(), vec![(String::new(), Kind { code, length })])
            };
            writeln!(members, "{of_type} m{member}{suffix};").unwrap();
            for nth in 0..count.unwrap_or(1) {
                let index = count.map(|_| format!("[{nth}]")).unwrap_or_default();
                leaves.extend(inner.iter().map(|(path, kind)| (format!(".m{member}{index}{path}"), *kind)));
            }
            if rng.bool() {
                self.space(rng);
                write!(self.format, ":m{member}:").unwrap();
            }
        }
        self.names += 1;
        let name = format!("struct s{}", self.names);
        let pragma = if packing == NATURAL { String::new() } else { packing.to_string() };
        write!(self.definitions, "#pragma pack({pragma})\n{name} {{\n{members}}};\n").unwrap();
        (name, leaves)
    }

    fn space(&mut self, rng: &mut Rng) {
        self.format.push_str(["", "", " ", "\n"][rng.usize(..4)]);
    }

    fn fill(&mut self, rng: &mut Rng, leaves: Vec<(String, Kind)>) {
        for (path, Kind { code, length }) in leaves {
            let (value, in_c) = some_value(rng, code, length);
            self.values.push(Leaf { path, value, in_c });
        }
    }
}

/// The code of a leaf, and the length of a text.
#[derive(Clone, Copy)]
struct Kind {
    code: char,
    length: usize,
}

/// Returns a random value of a code, and the same in C.
fn some_value(rng: &mut Rng, code: char, length: usize) -> (Owned, String) {
    let int = |value: i64| (Owned::Int(value), format!("{:#x}ULL", value.cast_unsigned()));
    let float = |value: f64| (Owned::Float(value), format!("{value:?}"));
    match code {
        'b' => int(rng.i8(..).into()),
        'B' => int(rng.u8(..).into()),
        'h' => int(rng.i16(..).into()),
        'H' => int(rng.u16(..).into()),
        'i' => int(rng.i32(..).into()),
        'I' => int(rng.u32(..).into()),
        // A `long` may have 32 bits.
        'l' => int(rng.i32(..).into()),
        'L' => int(rng.u32(..).into()),
        'n' | 'N' | 'P' if size_of::<usize>() == 4 => int(rng.u32(..1 << 31).into()),
        'q' | 'Q' | 'n' | 'N' | 'P' => int(rng.i64(..)),
        'f' => float(f64::from(rng.i32(-1 << 23..1 << 23)) / 8.0),
        'd' => float(f64::from(rng.i32(..)) / 7.0),
        // C has no type for 16-bit floats everywhere.
        'e' => (Owned::Float(1.5), "0x3e00".to_owned()),
        '?' => {
            let value = rng.bool();
            (Owned::Bool(value), u8::from(value).to_string())
        }
        _ => {
            let bytes: Vec<u8> = (0..length).map(|_| rng.u8(..)).collect();
            let in_c = if code == 'c' { format!("(char){}", bytes[0]) } else { list(&bytes) };
            (Owned::Bytes(bytes), in_c)
        }
    }
}

/// Returns an array of C.
fn list(bytes: &[u8]) -> String {
    format!("{{{}}}", bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(","))
}

/// Returns a function of C. It prints the size of the struct, the number of values that it finds wrong in our
/// bytes, and its own bytes.
fn function(structs: &Structs, name: &str, ours: &[u8], number: usize) -> String {
    let (mut set, mut check) = (String::new(), String::new());
    for Leaf { path, in_c, .. } in &structs.values {
        // A text is an array of C, which can't be assigned.
        if in_c.starts_with('{') {
            let text = format!("const unsigned char text[] = {in_c};");
            writeln!(set, "{{ {text} memcpy(a{path}, text, sizeof text); }}").unwrap();
            writeln!(check, "wrong += memcmp(a{path}, b{path}, sizeof a{path}) != 0;").unwrap();
        } else {
            writeln!(set, "a{path} = {in_c};").unwrap();
            writeln!(check, "wrong += a{path} != b{path};").unwrap();
        }
    }
    format!(
        "{definitions}#pragma pack()
static void test_{number}(void) {{
    {name} a, b;
    int wrong = 0;
    const unsigned char ours[] = {ours};
    memset(&a, 0, sizeof a);
    {set}
    memset(&b, 0, sizeof b);
    memcpy(&b, ours, sizeof b < sizeof ours ? sizeof b : sizeof ours);
    {check}
    printf(\"%zu %d \", sizeof a, wrong);
    for (size_t i = 0; i < sizeof a; i++) printf(\"%02x\", ((unsigned char *)&a)[i]);
    printf(\"\\n\");
}}
",
        definitions = structs.definitions,
        ours = list(ours),
    )
}

fn output_of_c(source: &str) -> String {
    let folder = std::env::temp_dir().join(shm_segment::generate_name("c-structs").unwrap());
    std::fs::create_dir(&folder).unwrap();
    let (file, program) = (folder.join("structs.c"), folder.join("structs"));
    std::fs::write(&file, source).unwrap();
    let compiled = Command::new("cc").arg("-w").arg("-o").arg(&program).arg(&file).status();
    let output =
        compiled.is_ok_and(|status| status.success()).then(|| Command::new(&program).output().unwrap());
    std::fs::remove_dir_all(&folder).unwrap();
    let output = output.expect("this test needs a C compiler, cc");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_c_compiler_agrees_and_python_refuses() {
    let rounds = rounds(400);
    let mut rng = Rng::with_seed(seed());
    let mut oracle = Oracle::start("struct_oracle.py");
    let mut source =
        "#include <stddef.h>\n#include <stdint.h>\n#include <stdio.h>\n#include <string.h>\n".to_owned();
    let mut main = String::new();
    let mut expected = Vec::new();
    let little = if cfg!(target_endian = "little") { "<" } else { ">" };
    for format in ["B:a:", "4x T{B}", "pack(4)", "<pack(1)B", ">T{B:a:}:b:"] {
        assert!(Format::parse(format).is_ok(), "{format}");
        assert_eq!(ask(&mut oracle, format, "-", "-")[0], "error", "{format} in Python");
    }
    let mut next_name = 0;
    for number in 0..rounds {
        let mut structs = Structs { names: next_name, ..Structs::default() };
        let prefix = ["", "@", "=", little][rng.usize(..4)];
        let native = prefix.is_empty() || prefix == "@";
        structs.format.push_str(prefix);
        // Natural alignment is what C has without a pragma. Only groups are padded at their end then.
        let packing = [1, 2, 4, 8, 16, NATURAL][rng.usize(..6)];
        let is_group = packing == NATURAL;
        match packing {
            NATURAL if native => structs.format.push_str("T{"),
            NATURAL => structs.format.push_str("T{pack(8)"),
            packing => write!(structs.format, "pack({packing})").unwrap(),
        }
        let (name, leaves) = structs.add(&mut rng, native, packing, 3);
        if is_group {
            structs.format.push('}');
        }
        structs.fill(&mut rng, leaves);
        next_name = structs.names;

        let format = Format::parse(&structs.format).unwrap_or_else(|e| panic!("{}: {e}", structs.format));
        let values: Vec<Value<'_>> = structs.values.iter().map(|leaf| leaf.value.borrow()).collect();
        let mut bytes = vec![0xaa; format.size()];
        format.pack(&values, &mut bytes).unwrap();
        assert_eq!(format.unpack(&bytes).unwrap(), values, "{}", structs.format);
        assert_eq!(ask(&mut oracle, &structs.format, "-", "-")[0], "error", "{} in Python", structs.format);
        source.push_str(&function(&structs, &name, &bytes, number as usize));
        writeln!(main, "test_{number}();").unwrap();
        let about = format!("{:?}, in C:\n{}", structs.format, structs.definitions);
        expected.push((format!("{} 0 {}", bytes.len(), hex(&bytes)), about));
    }
    writeln!(source, "int main(void) {{\n{main}return 0;\n}}").unwrap();
    let output = output_of_c(&source);
    assert_eq!(output.lines().count(), expected.len());
    for (theirs, (ours, about)) in output.lines().zip(expected) {
        assert_eq!(theirs, ours, "size, wrong values and bytes of {about}");
    }
}
