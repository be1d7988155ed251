//! Hostile files, one attack per case: each must be refused for the right reason, and none may panic.

use crate::support::*;
use argpick::Error;
use argpick::weights::{Archive, ElementType, Weights};

/// Asserts that parsing the whole file fails and that the message has this part.
#[track_caller]
fn refused(bytes: &[u8], part: &str) {
    let error = match Archive::parse(bytes) {
        Ok(archive) => panic!("accepted, though it should say {part:?}: {archive:?}"),
        Err(error) => error.to_string(),
    };
    assert!(error.contains(part), "{error:?} has no {part:?}");
}

/// Asserts that the file is accepted, but not its array `x`, for this reason, which is said with the array's name.
#[track_caller]
fn array_refused(bytes: &[u8], part: &str) {
    let archive = Archive::parse(bytes).expect("the archive itself is sound");
    let error = archive.find("x").expect_err("the array is not").to_string();
    assert!(error.contains(part) && error.contains("array x"), "{error:?} has no {part:?} or no name");
}

/// A one-member archive.
fn npz(member_data: Vec<u8>) -> Vec<u8> {
    zip(&[member("x.npy", member_data)])
}

pub fn good() -> Vec<u8> {
    array("<f4", false, "(3, 4)", 48)
}

pub fn head() -> Vec<u8> {
    zip(&[
        member("W.npy", array("<f4", true, "(3, 4)", 48)),
        member("b.npy", array("<f4", false, "(3,)", 12)),
        member("names.npy", array("<U2", false, "(2,)", 16)),
    ])
}

pub fn tensors_head() -> Vec<u8> {
    let header = r#"{"__metadata__":{"names.dtype":"<U2"},"W.T":{"dtype":"F32","shape":[4,3],"data_offsets":[0,48]},"b":{"dtype":"F16","shape":[3],"data_offsets":[48,54]},"names":{"dtype":"U32","shape":[2,2],"data_offsets":[54,70]}}"#;
    tensors(header, &[0; 70])
}

/// Asks everything that can be asked of a file; nothing of it may panic.
pub fn exercise(bytes: &[u8]) {
    if let Ok(archive) = Archive::parse(bytes) {
        for entry in archive.entries() {
            let _ = (entry.verify(), entry.offset());
            assert!(entry.data().len() <= bytes.len());
            if let Ok(array) = entry.array() {
                assert_eq!(array.bytes().len(), array.shape().elements() * array.element().size());
                let _ = (array.to_strings(), array.to_integers(), array.as_column());
            }
        }
    }
    if let Ok(weights) = Weights::from_bytes(bytes.to_vec()) {
        let head = weights.head();
        let last = head.weights.column(weights.features() - 1).expect("it has that many columns");
        assert_eq!(last.len(), weights.vocab());
        let _ = (last.get(weights.vocab() - 1), weights.strings("names"));
    }
}

#[test]
fn honest_files_are_accepted() {
    assert_eq!(Archive::parse(&npz(good())).unwrap().find("x").unwrap().element(), ElementType::F32);
    assert_eq!(Weights::from_bytes(head()).unwrap().vocab(), 3);
    assert_eq!(Weights::from_bytes(tensors_head()).unwrap().features(), 4);
    exercise(&head());
}

#[test]
fn truncation_at_every_byte() {
    for file in [head(), tensors_head(), good()] {
        for length in 0..file.len() {
            assert!(Archive::parse(&file[..length]).is_err(), "accepted with {length} of {} bytes", file.len());
        }
    }
}

#[test]
fn bytes_after_the_end() {
    for file in [head(), tensors_head(), good()] {
        let longer = [&file[..], b"\0"].concat();
        assert!(Archive::parse(&longer).is_err());
    }
}

#[test]
fn other_files() {
    refused(b"", "no weight file");
    refused(b"# a text file, long enough", "no weight file");
    refused(b"\x7fELF\x02\x01\x01\0\0", "7f454c46");
}

// ---- the zip container

#[test]
fn zip_directory_outside_the_file() {
    let (mut file, _, end) = zip_with_places(&[member("x.npy", good())]);
    file[end + 16..end + 20].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes());
    refused(&file, "directory does not end where");
}

#[test]
fn zip_prefix_before_the_archive() {
    // Self-extracting archives have one; offsets then lie, and a reader that corrects them can be led astray.
    let (file, ..) = zip_with_places(&[member("x.npy", good())]);
    refused(&[&b"PK\x03\x04"[..], &file].concat(), "directory does not end where");
}

#[test]
fn zip_entry_count_too_large_or_small() {
    for count in [0_u16, 2, 4097] {
        let (mut file, _, end) = zip_with_places(&[member("x.npy", good())]);
        file[end + 8..end + 10].copy_from_slice(&count.to_le_bytes());
        file[end + 10..end + 12].copy_from_slice(&count.to_le_bytes());
        assert!(matches!(Archive::parse(&file), Err(Error::FileMalformed { .. })), "{count}");
    }
}

#[test]
fn zip_spread_over_disks() {
    let (mut file, _, end) = zip_with_places(&[member("x.npy", good())]);
    file[end + 4] = 1;
    refused(&file, "several files");
    refused(&zip(&[Member { disk: 1, ..member("x.npy", good()) }]), "another file");
}

#[test]
fn zip64_end_record_missing() {
    let (mut file, _, end) = zip_with_places(&[member("x.npy", good())]);
    file[end + 16..end + 20].fill(0xff);
    refused(&file, "zip64 end record that is not there");
}

#[test]
fn zip64_locator_pointing_elsewhere() {
    let (file, _, end) = zip_with_places(&[member("x.npy", good())]);
    let mut locator = 0x0706_4b50_u32.to_le_bytes().to_vec();
    locator.extend([0; 4]);
    locator.extend(u64::MAX.to_le_bytes());
    locator.extend(1_u32.to_le_bytes());
    let file = [&file[..end], &locator, &file[end..]].concat();
    refused(&file, "not before its locator");
}

#[test]
fn zip64_field_without_its_numbers() {
    refused(&zip(&[Member { size: Some(u32::MAX), ..member("x.npy", good()) }]), "lacks a number");
    let short = vec![1, 0, 4, 0, 9, 9, 9, 9];
    let cut = Member { size: Some(u32::MAX), central_extra: short, ..member("x.npy", good()) };
    refused(&zip(&[cut]), "lacks a number");
    let past = Member { size: Some(u32::MAX), central_extra: vec![1, 0, 16, 0, 9], ..member("x.npy", good()) };
    refused(&zip(&[past]), "extra field is cut off");
}

#[test]
fn zip64_size_beyond_the_address_space() {
    let mut extra = vec![1, 0, 16, 0];
    extra.extend([0xff; 16]);
    let huge =
        Member { size: Some(u32::MAX), stored_size: Some(u32::MAX), central_extra: extra, ..member("x.npy", good()) };
    refused(&zip(&[huge]), "past the start of the directory");
}

#[test]
fn zip_member_longer_than_the_file() {
    refused(
        &zip(&[Member { stored_size: Some(1 << 20), ..member("x.npy", good()) }]),
        "past the start of the directory",
    );
}

#[test]
fn zip_member_starting_outside() {
    refused(&zip(&[Member { start: Some(1 << 20), ..member("x.npy", good()) }]), "outside the file");
    refused(&zip(&[Member { start: Some(5), ..member("x.npy", good()) }]), "no local header where");
}

#[test]
fn zip_members_overlapping() {
    // The first member claims the second one's bytes too.
    let second = member("y.npy", good());
    let inner = zip(std::slice::from_ref(&second));
    let first = member("x.npy", inner.clone());
    let start = 30 + 5;
    let both = [first, Member { start: Some(start), ..second.clone() }];
    // The second entry points at a sound local header inside the first member's data.
    refused(&zip(&both), "overlaps another");
    let same = [member("x.npy", good()), Member { start: Some(0), local_name: None, ..member("x.npy", good()) }];
    assert!(Archive::parse(&zip(&same)).is_err());
}

#[test]
fn zip_members_in_another_order_are_fine() {
    let (mut file, directory, end) = zip_with_places(&[member("x.npy", good()), member("y.npy", good())]);
    let entry = (end - directory) / 2;
    file[directory..end].rotate_left(entry);
    let archive = Archive::parse(&file).unwrap();
    assert_eq!(archive.entries().map(|entry| entry.name().to_string()).collect::<Vec<_>>(), ["y", "x"]);
}

#[test]
fn zip_names_twice() {
    refused(&zip(&[member("x.npy", good()), member("x.npy", good())]), "occurs twice");
    refused(&zip(&[member("x.npy", good()), member("x", good())]), "occurs twice");
}

#[test]
fn zip_names_of_no_plain_text() {
    refused(&zip(&[member("", good())]), "not 1 to 256 bytes");
    refused(&zip(&[member(&"x".repeat(257), good())]), "not 1 to 256 bytes");
    refused(&zip(&[member("a\0b.npy", good())]), "not plain text");
    refused(&zip(&[member("\x1b[2J.npy", good())]), "not plain text");
    refused(&zip(&[member("é.npy", good())]), "not plain text");
    let invalid = Member { name: vec![0xff, 0xfe], flags: 1 << 11, ..member("", good()) };
    refused(&zip(&[invalid]), "not UTF-8");
    let unicode = zip(&[Member { flags: 1 << 11, ..member("é.npy", good()) }]);
    assert!(Archive::parse(&unicode).unwrap().find("é").is_ok());
}

#[test]
fn zip_local_header_disagreeing() {
    let base = member("x.npy", good());
    let cases = [
        Member { local_name: Some(b"y.npy".to_vec()), ..base.clone() },
        Member { local_flags: Some(8), ..base.clone() },
        Member { local_method: Some(8), ..base.clone() },
        Member { local_checksum: Some(1), ..base.clone() },
        Member { local_size: Some(1), ..base.clone() },
    ];
    for case in cases {
        refused(&zip(&[case]), "disagrees with the directory");
    }
}

#[test]
fn zip_member_compressed() {
    array_refused(&zip(&[Member { method: 8, ..member("x.npy", vec![0; 20]) }]), "np.savez, not np.savez_compressed");
}

#[test]
fn zip_member_encrypted() {
    array_refused(&zip(&[Member { flags: 1, ..member("x.npy", good()) }]), "encrypted");
}

#[test]
fn zip_member_with_data_descriptor() {
    array_refused(&zip(&[Member { flags: 8, ..member("x.npy", good()) }]), "size comes after its data");
}

#[test]
fn zip_stored_member_with_two_sizes() {
    let mut lying = member("x.npy", good());
    lying.size = Some(7);
    assert!(Archive::parse(&zip(&[lying])).is_err());
}

#[test]
fn zip_member_that_is_no_array() {
    let file = zip(&[member("x", b"hello".to_vec()), member("y.npy", good())]);
    array_refused(&file, "does not end in .npy");
    assert!(Archive::parse(&file).unwrap().find("y").is_ok());
}

#[test]
fn zip_wrong_checksum_only_under_verify() {
    let file = zip(&[Member { checksum: Some(1), ..member("x.npy", good()) }]);
    let archive = Archive::parse(&file).unwrap();
    assert!(archive.find("x").is_ok());
    let error = archive.entry("x").unwrap().verify().unwrap_err();
    assert!(matches!(error, Error::ArrayChecksum { expected: 1, .. }), "{error}");
    let file = npz(good());
    assert_eq!(Archive::parse(&file).unwrap().entry("x").unwrap().verify(), Ok(true));
}

#[test]
fn zip_with_very_many_members() {
    let many: Vec<Member> = (0..4096).map(|index| member(&format!("{index}.npy"), Vec::new())).collect();
    let file = zip(&many);
    assert_eq!(Archive::parse(&file).unwrap().entries().count(), 4096);
    let more: Vec<Member> = (0..4097).map(|index| member(&format!("{index}"), Vec::new())).collect();
    refused(&zip(&more), "more than 4096");
}

// ---- the .npy header

#[test]
fn npy_pickled() {
    let file = npz(array("|O", false, "(12,)", 100));
    array_refused(&file, "pickled");
    array_refused(&file, "np.savez");
    array_refused(&file, "dtype=str");
    assert!(matches!(Archive::parse(&file).unwrap().find("x"), Err(Error::ArrayPickled { .. })));
}

#[test]
fn npy_structured() {
    array_refused(
        &npz(npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", &[0; 4])),
        "structured",
    );
    array_refused(
        &npz(npy("{'descr': ('<f4', (2,)), 'fortran_order': False, 'shape': (1,), }", &[0; 8])),
        "structured",
    );
}

#[test]
fn npy_foreign_dtypes() {
    array_refused(&npz(array(">f4", false, "(1,)", 4)), "big-endian");
    for descr in ["<c8", "<m8[s]", "<f16", "=f4", "f4", "", "<", "|f4", "<V3", "é", "<i3"] {
        let error = Archive::parse(&npz(array(descr, false, "(1,)", 4))).unwrap().find("x").unwrap_err();
        assert!(matches!(error, Error::ArrayUnsupported { .. } | Error::FileMalformed { .. }), "{descr}: {error}");
    }
    array_refused(&npz(array("|S4", false, "(1,)", 4)), "dtype=str");
    for width in ["0", "-1", "01", "1048577", "99999999999999999999", "x", ""] {
        array_refused(&npz(array(&format!("<U{width}"), false, "(1,)", 4)), "width of the text");
    }
}

#[test]
fn npy_magic_and_version() {
    let mut file = good();
    file[0] = 0;
    array_refused(&npz(file), "magic");
    for version in [[0, 0], [1, 1], [4, 0], [255, 255]] {
        let mut file = good();
        file[6..8].copy_from_slice(&version);
        array_refused(&npz(file), "format version");
    }
}

#[test]
fn npy_versions_2_and_3() {
    for version in [2, 3] {
        let mut file = good();
        file[6] = version;
        file.splice(10..10, [0, 0]);
        assert!(Archive::parse(&npz(file)).unwrap().find("x").is_ok());
    }
}

#[test]
fn npy_header_bombs() {
    let mut bomb = b"\x93NUMPY\x02\x00".to_vec();
    bomb.extend(u32::MAX.to_le_bytes());
    bomb.extend([b' '; 100]);
    array_refused(&npz(bomb), "longer than 65536");
    let mut past = good();
    past[8..10].copy_from_slice(&60_000_u16.to_le_bytes());
    array_refused(&npz(past), "past the end");
    let deep = format!("{}{}", "{'descr': ".repeat(5000), "}".repeat(5000));
    array_refused(&npz(npy(&deep, &[])), "malformed");
    let deep = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {}", "(".repeat(60_000));
    array_refused(&npz(npy(&deep, &[])), "a dimension is not a number");
}

#[test]
fn npy_shapes() {
    let cases = [
        ("(-1,)", "negative"),
        ("(-0,)", "negative"),
        ("(99999999999999999999999,)", "fits this machine"),
        ("(18446744073709551615, 18446744073709551615)", "beyond any memory"),
        ("(4294967296, 4294967296, 0)", "beyond any memory"),
        ("(4611686018427387904,)", "not as long as dtype and shape"),
        ("(4611686018427387905,)", "not as long as dtype and shape"),
        ("(3, 4, 1, 1, 1, 1, 1, 1, 1)", "more than 8 dimensions"),
        ("(3 4)", "malformed"),
        ("(12)", "comma is expected"),
        ("(3, 4", "malformed"),
        ("[3, 4]", "not a tuple"),
        ("(3.0, 4)", "malformed"),
        ("(03, 4)", "not a number"),
        ("(3L, 4L)", "malformed"),
        ("(,)", "not a number"),
        ("(0x3, 4)", "malformed"),
        ("(3, 5)", "not as long as dtype and shape"),
        ("(3, 3)", "not as long as dtype and shape"),
    ];
    for (shape, part) in cases {
        array_refused(&npz(array("<f4", false, shape, 48)), part);
    }
    for shape in ["(3, 4)", "(3,4,)", "( 12 , )", "(1, 1, 1, 1, 1, 1, 3, 4)"] {
        let file = npz(array("<f4", false, shape, 48));
        assert_eq!(Archive::parse(&file).unwrap().find("x").unwrap().shape().elements(), 12, "{shape}");
    }
    assert!(Archive::parse(&npz(array("<f4", false, "()", 4))).unwrap().find("x").is_ok());
    assert!(Archive::parse(&npz(array("<f4", false, "(0, 1000)", 0))).unwrap().find("x").is_ok());
}

#[test]
fn npy_dicts() {
    let cases = [
        ("", "dict is expected"),
        ("{}", "lacks one of"),
        ("{'descr': '<f4', 'fortran_order': False, }", "lacks one of"),
        ("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", "occurs twice"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}", "a key other than"),
        ("{'descr': '<f4', 'fortran_order': 0, 'shape': (1,), }", "neither True nor False"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), } x", "spaces and a newline"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }\n", "goes on after"),
        ("{'descr': '\\x3cf4', 'fortran_order': False, 'shape': (1,), }", "plain characters"),
        ("{'descr': '<f4, 'fortran_order': False, 'shape': (1,), }", "malformed"),
        ("{descr: '<f4', 'fortran_order': False, 'shape': (1,), }", "quoted string"),
        ("{'descr': __import__('os'), 'fortran_order': False, 'shape': (1,), }", "quoted string"),
        ("{'descr': '<f4' 'fortran_order': False, 'shape': (1,), }", "comma or a closing brace"),
    ];
    for (dict, part) in cases {
        array_refused(&npz(npy(dict, &[0; 4])), part);
    }
    let other = "{\"shape\": (1,),\"fortran_order\":True,'descr':'<f4'}";
    assert!(Archive::parse(&npz(npy(other, &[0; 4]))).unwrap().find("x").is_ok());
}

// ---- safetensors

#[test]
fn tensors_header_length() {
    for length in [u64::MAX, 1 << 40, 1 << 22 | 1, 1000] {
        let mut file = tensors_head();
        file[..8].copy_from_slice(&length.to_le_bytes());
        assert!(matches!(Archive::parse(&file), Err(Error::FileMalformed { .. })), "{length}");
    }
}

#[test]
fn tensors_offsets() {
    let tensor = |name: &str, begin: u64, end: u64| {
        format!(r#""{name}":{{"dtype":"U8","shape":[{}],"data_offsets":[{begin},{end}]}}"#, end.saturating_sub(begin))
    };
    let file = |items: &[String]| tensors(&format!("{{{}}}", items.join(",")), &[0; 10]);
    refused(&file(&[tensor("a", 0, 4), tensor("b", 3, 10)]), "overlap");
    refused(&file(&[tensor("a", 0, 5), tensor("b", 0, 5)]), "overlap");
    refused(&file(&[tensor("a", 0, 4), tensor("b", 5, 10)]), "hole");
    refused(&file(&[tensor("a", 1, 10)]), "hole");
    refused(&file(&[tensor("a", 0, 9)]), "hole");
    refused(&file(&[tensor("a", 0, 11)]), "outside the file");
    refused(&file(&[tensor("a", 10, 0)]), "reversed");
    refused(&file(&[tensor("a", 0, u64::MAX)]), "outside the file");
    refused(&file(&[tensor("a", 0, 5), tensor("a", 5, 10)]), "occurs twice");
    refused(&file(&[]), "hole");
    // Any order in the header will do, and empty tensors anywhere.
    let sound = file(&[tensor("c", 7, 10), tensor("b", 3, 7), tensor("none", 5, 5), tensor("a", 0, 3)]);
    assert_eq!(Archive::parse(&sound).unwrap().entries().count(), 4);
}

#[test]
fn tensors_in_reverse_order() {
    let items: Vec<String> = (0..4096)
        .rev()
        .map(|at| format!(r#""t{at}":{{"dtype":"U8","shape":[1],"data_offsets":[{at},{}]}}"#, at + 1))
        .collect();
    let file = tensors(&format!("{{{}}}", items.join(",")), &[0; 4096]);
    assert_eq!(Archive::parse(&file).unwrap().entries().count(), 4096);
    // One of them claims its neighbour's byte instead of its own: the sum is right, the cover is not.
    let mut twice = items;
    twice[2000] = twice[2000].replace("[2095,2096]", "[2094,2095]");
    refused(&tensors(&format!("{{{}}}", twice.join(",")), &[0; 4096]), "overlap");
}

#[test]
fn tensors_json() {
    let good = r#""dtype":"F32","shape":[1],"data_offsets":[0,4]"#;
    let cases = [
        (String::from("[]"), "no weight file"),
        ("{".to_string(), "string is expected"),
        (format!(r#"{{"x":{{{good}}}}}}}"#), "something follows"),
        (format!(r#"{{"x":{{{good}}},}}"#), "string is expected"),
        (format!(r#"{{"x":{{{good}}} "y":1}}"#), "comma or a closing brace"),
        (format!(r#"{{"x":{{{good},"extra":1}}}}"#), "a key other than"),
        (format!(r#"{{"x":{{{good},"shape":[1]}}}}"#), "occurs twice"),
        (r#"{"x":{"dtype":"F32","shape":[1]}}"#.to_string(), "lacks one of"),
        (r#"{"x":{"dtype":"F32","shape":[1],"data_offsets":[4]}}"#.to_string(), "lacks one of"),
        (r#"{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}"#.to_string(), "too long"),
        (r#"{"x":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}}"#.to_string(), "too long"),
        (r#"{"x":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#.to_string(), "whole number"),
        (r#"{"x":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}"#.to_string(), "comma or a closing bracket"),
        (r#"{"x":{"dtype":"F32","shape":[1e0],"data_offsets":[0,4]}}"#.to_string(), "comma or a closing bracket"),
        (r#"{"x":{"dtype":"F32","shape":[01],"data_offsets":[0,4]}}"#.to_string(), "leading zeros"),
        (r#"{"x":{"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,4]}}"#.to_string(), "whole number"),
        (
            r#"{"x":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}}"#.to_string(),
            "beyond any memory",
        ),
        (r#"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#.to_string(), "not as long"),
        (r#"{"x":{"dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4]}}"#.to_string(), "not as long"),
        (r#"{"x":{"dtype":7,"shape":[1],"data_offsets":[0,4]}}"#.to_string(), "string is expected"),
        (format!(r#"{{"\u0078":{{{good}}}}}"#), "escapes"),
        (format!(r#"{{"":{{{good}}}}}"#), "1 to 256 bytes"),
        (format!(r#"{{"{}":{{{good}}}}}"#, "x".repeat(257)), "1 to 256 bytes"),
        (format!("{{\"a\nb\":{{{good}}}}}"), "control character"),
        (format!(r#"{{"x":{{{good}}},"__metadata__":{{"a":1}}}}"#), "string is expected"),
        (format!(r#"{{"x":{{{good}}},"__metadata__":{{"a":"\q"}}}}"#), "unknown escape"),
        (format!(r#"{{"x":{{{good}}},"__metadata__":{{"a":"\u12g4"}}}}"#), "four hexadecimal"),
        (format!(r#"{{"x":{{{good}}},"__metadata__":{{"a":"b"#), "cut off"),
        (format!(r#"{{"__metadata__":{{}},"x":{{{good}}},"__metadata__":{{}}}}"#), "two __metadata__"),
        (format!(r#"{{"x":{}"#, "{".repeat(100_000)), "string is expected"),
        (format!(r#"{{"x":{{"shape":{}"#, "[".repeat(100_000)), "whole number"),
        (format!(r#"{{"x":{{"dtype":{}"#, "[".repeat(100_000)), "string is expected"),
    ];
    for (json, part) in cases {
        refused(&tensors(&json, &[0; 4]), part);
    }
    let mut invalid = tensors(&format!(r#"{{"x":{{{good}}}}}"#), &[0; 4]);
    invalid[10] = 0xff;
    refused(&invalid, "not UTF-8");
    let spaced = format!("{{ \"x\" : {{{good}}} ,\n\"__metadata__\":{{\"a\":\"\\u00e9\\n\"}} }}   ");
    assert!(Archive::parse(&tensors(&spaced, &[0; 4])).unwrap().find("x").is_ok());
}

#[test]
fn tensors_of_unknown_dtype_leave_the_others_alone() {
    let header = r#"{"x":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]},"y":{"dtype":"I8","shape":[2],"data_offsets":[4,6]}}"#;
    let file = tensors(header, &[0; 6]);
    array_refused(&file, "F8_E4M3");
    assert!(Archive::parse(&file).unwrap().find("y").is_ok());
}

#[test]
fn tensors_text_that_does_not_fit() {
    for (dtype, shape, bytes) in [("<U3", "[2,2]", 16), ("<U2", "[]", 4), ("<f4", "[2,2]", 16), ("|O", "[2,2]", 16)] {
        let header = format!(
            r#"{{"__metadata__":{{"x.dtype":"{dtype}"}},"x":{{"dtype":"U32","shape":{shape},"data_offsets":[0,{bytes}]}}}}"#
        );
        assert!(Archive::parse(&tensors(&header, &vec![0; bytes])).unwrap().find("x").is_err(), "{dtype} {shape}");
    }
}

// ---- arrays that do not fit each other

#[test]
fn heads_that_do_not_fit() {
    let head = |weights: Vec<u8>, bias: Vec<u8>| {
        Weights::from_bytes(zip(&[member("W.npy", weights), member("b.npy", bias)])).unwrap_err().to_string()
    };
    let bias = || array("<f4", false, "(3,)", 12);
    assert!(head(array("<f4", false, "(3, 4)", 48), array("<f4", false, "(4,)", 16)).contains("b has length 4"));
    assert!(head(array("<f4", false, "(12,)", 48), bias()).contains("W has 1 dimensions"));
    assert!(head(array("<f4", false, "(3, 2, 2)", 48), bias()).contains("W has 3 dimensions"));
    assert!(head(array("<i4", false, "(3, 4)", 48), bias()).contains("W has dtype i32"));
    assert!(head(array("<f4", false, "(3, 4)", 48), array("<i4", false, "(3,)", 12)).contains("b has dtype i32"));
    assert!(head(array("<f4", false, "(3, 4)", 48), array("<f4", false, "(3, 1)", 12)).contains("b has 2 dimensions"));
    assert!(head(array("<f4", false, "(0, 4)", 0), array("<f4", false, "(0,)", 0)).contains("1 to 4194304"));
    assert!(head(array("<f4", false, "(3, 0)", 0), bias()).contains("along dimension 1"));
    assert!(head(array("<f2", false, "(4194305, 1)", 8_388_610), bias()).contains("1 to 4194304"));
    let missing = |file: Vec<u8>| Weights::from_bytes(file).unwrap_err().to_string();
    assert!(missing(npz(good())).contains("no array W"));
    assert!(missing(zip(&[member("W.npy", good())])).contains("no array b"));
    assert!(missing(zip(&[])).contains("no array W"));
    assert!(missing(good()).contains("no array W"));
    let both = zip(&[member("W.npy", good()), member("W.T.npy", good()), member("b.npy", bias())]);
    assert!(missing(both).contains("both W and W.T"));
}

#[test]
fn values_that_are_none() {
    let surrogate = npy("{'descr': '<U1', 'fortran_order': False, 'shape': (2,), }", &[65, 0, 0, 0, 0, 0xd8, 0, 0]);
    let file = npz(surrogate);
    let error = Archive::parse(&file).unwrap().find("x").unwrap().to_strings().unwrap_err().to_string();
    assert!(error.contains("array x, element 1"), "{error}");
    let large = npy("{'descr': '<u8', 'fortran_order': False, 'shape': (1,), }", &[0xff; 8]);
    let file = npz(large);
    assert!(Archive::parse(&file).unwrap().find("x").unwrap().to_integers().is_err());
    let file = npz(good());
    let array = Archive::parse(&file).unwrap().find("x").unwrap();
    assert!(array.to_integers().unwrap_err().to_string().contains("has dtype f32"));
    assert!(array.to_strings().unwrap_err().to_string().contains("has dtype f32"));
}

#[test]
fn messages_print_no_terminal_commands() {
    let error = Archive::parse(&head()).unwrap().find("\x1b[2J").unwrap_err().to_string();
    assert!(error.contains("?[2J"), "{error:?}");
    let long = "ü".repeat(40);
    assert!(Archive::parse(&head()).unwrap().find(&long).unwrap_err().to_string().ends_with("..."));
}
