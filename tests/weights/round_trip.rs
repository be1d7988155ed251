//! What the writers write, the readers read: every element type, order and format; packing; failures that leave nothing.

use crate::support::*;
use argpick::weights::pack::{PackOptions, pack};
use argpick::weights::write::{ALIGNMENT, ArchiveWriter, save, to_bytes, unicode};
use argpick::weights::{Archive, ArrayView, ElementType, Format, Open, Order, PendingFile, Shape, Weights};
use argpick::{Dtype, Error};
use std::io::{Cursor, Write};
use std::path::Path;

const ELEMENTS: [ElementType; 15] = [
    ElementType::F64,
    ElementType::F32,
    ElementType::F16,
    ElementType::Bf16,
    ElementType::I8,
    ElementType::I16,
    ElementType::I32,
    ElementType::I64,
    ElementType::U8,
    ElementType::U16,
    ElementType::U32,
    ElementType::U64,
    ElementType::Bool,
    ElementType::Unicode(1),
    ElementType::Unicode(17),
];

fn shape(dimensions: &[usize]) -> Shape {
    Shape::new(dimensions).expect("a small shape")
}

fn filler(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 7 % 251) as u8).collect()
}

/// The number of files in a folder, hidden ones included.
fn files_in(folder: &Path) -> usize {
    std::fs::read_dir(folder).expect("the folder can be listed").count()
}

#[test]
fn every_element_type_shape_and_order() {
    for format in [Format::Npz, Format::Npy, Format::Safetensors] {
        for element in ELEMENTS {
            for dimensions in [&[][..], &[1], &[5], &[0], &[3, 4], &[2, 0, 3], &[2, 3, 1, 2]] {
                for order in [Order::RowMajor, Order::ColumnMajor] {
                    let shape = shape(dimensions);
                    let bytes = filler(shape.elements() * element.size());
                    let view = ArrayView::new("x", element, shape, order, &bytes).unwrap();
                    let column_major = order == Order::ColumnMajor && dimensions.len() > 1;
                    if format == Format::Safetensors && column_major {
                        assert!(matches!(to_bytes(format, &[view]), Err(Error::ArrayUnsupported { .. })));
                        continue;
                    }
                    let file = to_bytes(format, &[view]).unwrap();
                    let archive = Archive::parse(&file).unwrap();
                    assert_eq!(archive.format(), format);
                    let entry = archive.entries().next().unwrap();
                    let read = entry.array().unwrap();
                    let what = format!("{format:?} {element} {shape} {order:?}");
                    assert_eq!((read.element(), read.shape()), (element, shape), "{what}");
                    assert_eq!(read.order() == Order::ColumnMajor, column_major, "{what}");
                    assert_eq!(read.bytes(), bytes, "{what}");
                    assert_eq!(entry.offset() % ALIGNMENT, 0, "{what}");
                    assert_eq!(entry.verify(), Ok(format == Format::Npz), "{what}");
                    assert_eq!(read.name(), if format == Format::Npy { "" } else { "x" });
                }
            }
        }
    }
}

#[test]
fn each_array_of_a_npz_is_aligned() {
    let texts = ["a", "", "dreißig", "日本"];
    let (element, bytes) = unicode(&texts);
    assert_eq!(element, ElementType::Unicode(7));
    let views: Vec<(String, Vec<u8>)> = (0..40).map(|index| ("n".repeat(index + 1), filler(index * 3))).collect();
    let mut arrays: Vec<ArrayView<'_>> = views
        .iter()
        .map(|(name, bytes)| {
            ArrayView::new(name, ElementType::I8, shape(&[bytes.len()]), Order::RowMajor, bytes).unwrap()
        })
        .collect();
    arrays.push(ArrayView::new("日本", element, shape(&[4]), Order::RowMajor, &bytes).unwrap());
    let file = to_bytes(Format::Npz, &arrays).unwrap();
    let archive = Archive::parse(&file).unwrap();
    assert_eq!(archive.entries().count(), 41);
    for (entry, array) in archive.entries().zip(&arrays) {
        assert_eq!(entry.offset() % ALIGNMENT, 0, "{}", entry.name());
        assert_eq!(entry.array().unwrap().bytes(), array.bytes());
        assert_eq!(entry.checksum(), Some(crc32(entry.data())));
    }
    assert_eq!(archive.find("日本").unwrap().to_strings().unwrap(), texts);
}

#[test]
fn the_same_arrays_make_the_same_file() {
    let bytes = filler(48);
    let views = [ArrayView::new("x", ElementType::F32, shape(&[3, 4]), Order::ColumnMajor, &bytes).unwrap()];
    assert_eq!(to_bytes(Format::Npz, &views).unwrap(), to_bytes(Format::Npz, &views).unwrap());
}

#[test]
fn writers_refuse_what_readers_would() {
    let bytes = [0; 4];
    let view = |name| ArrayView::new(name, ElementType::F32, shape(&[1]), Order::RowMajor, &bytes).unwrap();
    let long = "x".repeat(253);
    for name in ["", "a\nb", &long] {
        assert!(matches!(to_bytes(Format::Npz, &[view(name)]), Err(Error::ArrayUnsupported { .. })), "{name:?}");
    }
    for name in ["__metadata__", "a\"b", "a\\b"] {
        assert!(
            matches!(to_bytes(Format::Safetensors, &[view(name)]), Err(Error::ArrayUnsupported { .. })),
            "{name:?}"
        );
    }
    assert!(to_bytes(Format::Npz, &[view("x"), view("x")]).is_err());
    assert!(to_bytes(Format::Npy, &[view("x"), view("y")]).is_err());
    assert!(ArrayView::new("x", ElementType::F32, shape(&[2]), Order::RowMajor, &bytes).is_err());
    let specs = || vec![(&view("x")).into()];
    let mut writer = ArchiveWriter::new(Cursor::new(Vec::new()), Format::Npz, specs()).unwrap();
    assert!(writer.write(&[0; 5]).is_err(), "more than was announced");
    let mut writer = ArchiveWriter::new(Cursor::new(Vec::new()), Format::Npz, specs()).unwrap();
    writer.write(&[0; 3]).unwrap();
    assert!(matches!(writer.finish(), Err(Error::WrongLength { expected: 4, actual: 3, .. })));
}

fn head_arrays(element: ElementType, order: Order) -> (Vec<u8>, Vec<u8>) {
    let (vocab, features) = (70, 45);
    let value = |row: usize, column: usize| (row as f32 - 3.0) * 0.25 + column as f32 * 8.0;
    let mut weights = Vec::new();
    let mut push = |value: f32| match element {
        ElementType::F64 => weights.extend(f64::from(value).to_le_bytes()),
        ElementType::F16 => weights.extend(half::f16::from_f32(value).to_le_bytes()),
        ElementType::Bf16 => weights.extend(half::bf16::from_f32(value).to_le_bytes()),
        _ => weights.extend(value.to_le_bytes()),
    };
    match order {
        Order::RowMajor => (0..vocab * features).for_each(|at| push(value(at / features, at % features))),
        Order::ColumnMajor => (0..vocab * features).for_each(|at| push(value(at % vocab, at / vocab))),
    }
    let bias = (0..vocab).flat_map(|row| (row as f32).to_le_bytes()).collect();
    (weights, bias)
}

fn head_file(element: ElementType, order: Order) -> Vec<u8> {
    let (weights, bias) = head_arrays(element, order);
    let (text, texts) = unicode(&["one", "two"]);
    let matrix: Vec<u8> = (0..6_u16).flat_map(u16::to_le_bytes).collect();
    let views = [
        ArrayView::new("d2", ElementType::I64, shape(&[]), Order::RowMajor, &[7, 0, 0, 0, 0, 0, 0, 0]).unwrap(),
        ArrayView::new("W", element, shape(&[70, 45]), order, &weights).unwrap(),
        ArrayView::new("b", ElementType::F32, shape(&[70]), Order::RowMajor, &bias).unwrap(),
        ArrayView::new("names", text, shape(&[2]), Order::RowMajor, &texts).unwrap(),
        ArrayView::new("matrix", ElementType::U16, shape(&[2, 3]), Order::ColumnMajor, &matrix).unwrap(),
    ];
    to_bytes(Format::Npz, &views).unwrap()
}

fn assert_head(weights: &Weights, exact: impl Fn(f32) -> f32, what: &str) {
    let head = weights.head();
    assert_eq!((head.vocab(), head.features()), (70, 45), "{what}");
    for column in 0..45 {
        let values = head.weights.column(column).unwrap();
        for row in 0..70 {
            let expected = exact((row as f32 - 3.0) * 0.25 + column as f32 * 8.0);
            assert_eq!(values.get(row), expected, "{what}: row {row}, column {column}");
        }
    }
    assert!(head.weights.column(45).is_none());
    assert_eq!(head.bias.get(69), 69.0);
    assert_eq!(weights.strings("names").unwrap(), ["one", "two"]);
    assert_eq!(weights.scalar_integer("d2").unwrap(), 7);
}

#[test]
fn heads_of_every_element_type_and_order() {
    for element in [ElementType::F64, ElementType::F32, ElementType::F16, ElementType::Bf16] {
        for order in [Order::RowMajor, Order::ColumnMajor] {
            let weights = Weights::from_bytes(head_file(element, order)).unwrap();
            assert_eq!(weights.is_in_place(), order == Order::ColumnMajor);
            let transposed = weights.notes().iter().any(|note| note.contains("argpick pack"));
            assert_eq!(transposed, order == Order::RowMajor, "{:?}", weights.notes());
            let exact = |value: f32| match element {
                ElementType::F16 => half::f16::from_f32(value).to_f32(),
                ElementType::Bf16 => half::bf16::from_f32(value).to_f32(),
                _ => value,
            };
            assert_head(&weights, exact, &format!("{element} {order:?}"));
        }
    }
}

#[test]
fn pack_every_way() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in.npz"), folder.path().join("out"));
    for element in [ElementType::F64, ElementType::F32, ElementType::F16, ElementType::Bf16] {
        for order in [Order::RowMajor, Order::ColumnMajor] {
            std::fs::write(&input, head_file(element, order)).unwrap();
            for format in [Format::Npz, Format::Safetensors] {
                for dtype in [None, Some(Dtype::F32), Some(Dtype::F16), Some(Dtype::Bf16)] {
                    let what = format!("{element} {order:?} {format:?} {dtype:?}");
                    let options = PackOptions { dtype, ..Default::default() };
                    let mut last = (0, 0);
                    let report = pack(&input, &output, format, &options, &mut |done, total| {
                        last = (done, total);
                        true
                    });
                    let report = report.unwrap_or_else(|error| panic!("{what}: {error}"));
                    assert_eq!(last.0, last.1, "{what}");
                    assert_eq!((report.vocab, report.features, report.from), (70, 45, element), "{what}");
                    assert_eq!(report.bytes, std::fs::metadata(&output).unwrap().len(), "{what}");
                    let weights = Weights::open(&output, Open { verify: true, ..Default::default() }).unwrap();
                    assert!(weights.is_in_place() && weights.notes().is_empty(), "{what}: {:?}", weights.notes());
                    assert_eq!(weights.head().weights.element(), report.to, "{what}");
                    let round = |value: f32, element| match element {
                        ElementType::F16 => half::f16::from_f32(value).to_f32(),
                        ElementType::Bf16 => half::bf16::from_f32(value).to_f32(),
                        _ => value,
                    };
                    assert_head(&weights, |value| round(round(value, element), report.to), &what);
                    let matrix = weights.array("matrix").unwrap();
                    let numbers: Vec<u8> = matrix.bytes().iter().step_by(2).copied().collect();
                    match matrix.order() {
                        Order::ColumnMajor => assert_eq!(numbers, [0, 1, 2, 3, 4, 5], "{what}"),
                        Order::RowMajor => assert_eq!(numbers, [0, 2, 4, 1, 3, 5], "{what}"),
                    }
                    let archive = weights.archive().unwrap();
                    let first = archive.entries().next().unwrap();
                    assert_eq!(first.offset() % ALIGNMENT, 0, "{what}");
                    assert_eq!(archive.entries().count(), 5, "{what}");
                }
            }
        }
    }
    // From safetensors back to npz, onto itself.
    let back = pack(&output, &output, Format::Npz, &PackOptions::default(), &mut |_, _| true);
    assert_eq!(back.unwrap().to, ElementType::Bf16);
    let weights = Weights::open(&output, Open::default()).unwrap();
    assert_eq!(weights.format(), Format::Npz);
    assert_eq!(weights.array("W").unwrap().order(), Order::ColumnMajor);
    assert_eq!(files_in(folder.path()), 2);
}

#[test]
fn pack_refuses_weights_that_would_become_infinite() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in.npz"), folder.path().join("out.npz"));
    for (fortran, index) in [(false, 4), (true, 4)] {
        // Row 1, column 1 of (2, 3).
        let mut values = [1.0_f32; 6];
        values[if fortran { 3 } else { 4 }] = 65520.0;
        let mut weights = array("<f4", fortran, "(2, 3)", 0);
        weights.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        let bias = array("<f4", false, "(2,)", 8);
        std::fs::write(&input, zip(&[member("W.npy", weights), member("b.npy", bias)])).unwrap();
        let options = PackOptions { dtype: Some(Dtype::F16), ..Default::default() };
        let error = pack(&input, &output, Format::Npz, &options, &mut |_, _| true).unwrap_err();
        assert!(matches!(error, Error::ArrayValue { index: found, .. } if found == index), "{error}");
        assert!(error.to_string().contains("too large for f16"));
        assert_eq!(files_in(folder.path()), 1, "nothing is left behind");
        let options = PackOptions { dtype: Some(Dtype::Bf16), ..Default::default() };
        assert!(pack(&input, &output, Format::Npz, &options, &mut |_, _| true).is_ok());
        std::fs::remove_file(&output).unwrap();
    }
}

#[test]
fn pack_names_what_it_cannot_keep() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in.npz"), folder.path().join("out.npz"));
    let file = zip(&[
        member("W.npy", array("<f4", false, "(3, 4)", 48)),
        member("b.npy", array("<f4", false, "(3,)", 12)),
        member("vocab.npy", array("|O", false, "(3,)", 40)),
        member("notes", b"text".to_vec()),
    ]);
    std::fs::write(&input, file).unwrap();
    let pack = |drop: &[&str], skip_pickled| {
        let options =
            PackOptions { drop: drop.iter().map(|&name| name.to_string()).collect(), skip_pickled, dtype: None };
        pack(&input, &output, Format::Npz, &options, &mut |_, _| true)
    };
    assert!(pack(&[], false).unwrap_err().to_string().contains("array vocab is pickled"));
    assert!(pack(&["vocab"], false).unwrap_err().to_string().contains("array notes"));
    assert!(pack(&["nothing"], true).unwrap_err().to_string().contains("no array nothing"));
    assert!(!output.exists());
    assert_eq!(pack(&["notes"], true).unwrap().dropped, ["vocab", "notes"]);
    assert_eq!(pack(&["notes", "vocab"], false).unwrap().dropped, ["vocab", "notes"]);
    assert_eq!(Weights::open(&output, Open::default()).unwrap().archive().unwrap().entries().count(), 2);
}

#[test]
fn a_stopped_pack_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in.npz"), folder.path().join("out.npz"));
    std::fs::write(&input, head_file(ElementType::F32, Order::RowMajor)).unwrap();
    std::fs::write(&output, b"old").unwrap();
    let result = pack(&input, &output, Format::Npz, &PackOptions::default(), &mut |_, _| false);
    assert!(matches!(result, Err(Error::Interrupted)));
    assert_eq!(std::fs::read(&output).unwrap(), b"old");
    assert_eq!(files_in(folder.path()), 2);
}

#[test]
fn unwritable_outputs() {
    let folder = tempfile::tempdir().unwrap();
    let view = [ArrayView::new("x", ElementType::I8, shape(&[1]), Order::RowMajor, &[1]).unwrap()];
    let missing = folder.path().join("no such folder/out.npz");
    for path in [missing.as_path(), folder.path(), Path::new(""), Path::new("/dev/null")] {
        let error = save(path, Format::Npz, &view).unwrap_err();
        assert!(matches!(error, Error::File { operation: "write", .. }), "{}: {error}", path.display());
    }
    assert_eq!(files_in(folder.path()), 0);
}

#[test]
fn pending_files_replace_links_and_keep_permissions() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    std::fs::write(&target, b"old").unwrap();
    let dropped = PendingFile::create(&target).unwrap();
    assert_eq!(files_in(folder.path()), 2);
    drop(dropped);
    assert_eq!((files_in(folder.path()), std::fs::read(&target).unwrap()), (1, b"old".to_vec()));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&target, std::fs::Permissions::from_mode(0o640)).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let mut file = PendingFile::create(&link).unwrap();
        file.write_all(b"new").unwrap();
        file.finish().unwrap();
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(std::fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(std::fs::read(&target).unwrap(), b"new");
        assert_eq!(files_in(folder.path()), 2);
    }
}
