//! Real files: mapped, changed under way, larger than memory should grow, and those that other programs write and read.

use crate::support::*;
use argpick::weights::map::{Advice, Bytes};
use argpick::weights::pack::{PackOptions, pack};
use argpick::weights::write::{save, unicode};
use argpick::weights::{Archive, ArrayView, ElementType, Format, Open, Order, Shape, Weights};
use argpick::{Dtype, Error};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file of the reference data, if they are there.
fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/sandbox").join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: no ../shared/data/sandbox/{name}");
    None
}

fn small_head() -> Vec<u8> {
    zip(&[member("W.npy", array("<f4", true, "(3, 4)", 48)), member("b.npy", array("<f4", false, "(3,)", 12))])
}

#[test]
fn the_reference_model() {
    let Some(path) = shared("austen_small.npz") else { return };
    for copy in [false, true] {
        let weights = Weights::open(&path, Open { copy, verify: true }).unwrap();
        assert_eq!((weights.vocab(), weights.features()), (301, 1326));
        assert!(!weights.is_in_place());
        assert_eq!(weights.notes().len(), 1);
        assert_eq!(weights.strings("out_vocab").unwrap().len(), 301);
        assert_eq!(weights.strings("in_vocab").unwrap().len(), 302);
        assert_eq!(weights.integers("classes").unwrap().len(), 301);
        let width = 302 + weights.scalar_integer("d2").unwrap() + weights.scalar_integer("d3").unwrap();
        assert_eq!(width, 1326);
        // The transposed weights are those of the rows in the file.
        let stored = weights.array("W").unwrap();
        let (row, column) = (300, 1325);
        let at = (row * 1326 + column) * 4;
        let expected = f32::from_le_bytes(stored.bytes()[at..at + 4].try_into().unwrap());
        assert_eq!(weights.head().weights.column(column).unwrap().get(row), expected);
    }
}

#[test]
fn the_reference_model_packed_needs_no_copy() {
    let Some(path) = shared("austen_small.npz") else { return };
    let folder = tempfile::tempdir().unwrap();
    let original = Weights::open(&path, Open::default()).unwrap();
    for (name, format) in [("packed.npz", Format::Npz), ("packed.safetensors", Format::Safetensors)] {
        let output = folder.path().join(name);
        pack(&path, &output, format, &PackOptions::default(), &mut |_, _| true).unwrap();
        let packed = Weights::open(&output, Open::default()).unwrap();
        assert!(packed.is_in_place() && packed.notes().is_empty());
        assert_eq!(packed.head().weights.bytes(), original.head().weights.bytes());
        assert_eq!(packed.head().bias.bytes, original.head().bias.bytes);
        for vocabulary in ["in_vocab", "out_vocab"] {
            assert_eq!(packed.strings(vocabulary).unwrap(), original.strings(vocabulary).unwrap());
        }
        assert_eq!(packed.integers("classes").unwrap(), original.integers("classes").unwrap());
        assert_eq!(packed.scalar_integer("d3").unwrap(), original.scalar_integer("d3").unwrap());
    }
}

#[test]
fn a_pickled_vocabulary_is_refused_by_name_and_the_weights_are_not() {
    let Some(path) = shared("pickled_vocab.npz") else { return };
    let weights = Weights::open(&path, Open::default()).unwrap();
    assert_eq!((weights.vocab(), weights.features()), (10, 14));
    let head = weights.head();
    let stored = weights.array("W").unwrap();
    let value = f64::from_le_bytes(stored.bytes()[(9 * 14 + 13) * 8..][..8].try_into().unwrap());
    assert_eq!(head.weights.column(13).unwrap().get(9), value as f32);
    for name in ["vocab", "kw"] {
        let message = weights.strings(name).unwrap_err().to_string();
        for part in [&format!("array {name}")[..], "pickled", "np.array(", "dtype=str", "np.savez"] {
            assert!(message.contains(part), "{message:?} has no {part:?}");
        }
    }
    let listed: Vec<bool> = weights.archive().unwrap().entries().map(|entry| entry.array().is_ok()).collect();
    assert_eq!(listed, [true, true, false, false]);
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.npz");
    let refused = pack(&path, &output, Format::Npz, &PackOptions::default(), &mut |_, _| true).unwrap_err();
    assert!(matches!(refused, Error::ArrayPickled { .. }) && !output.exists());
    let options = PackOptions { skip_pickled: true, ..Default::default() };
    let report = pack(&path, &output, Format::Npz, &options, &mut |_, _| true).unwrap();
    assert_eq!((report.from, report.to), (ElementType::F64, ElementType::F32));
    assert_eq!(
        Weights::open(&output, Open::default()).unwrap().head().weights.column(13).unwrap().get(9),
        value as f32
    );
}

#[test]
fn files_that_cannot_be_opened() {
    let folder = tempfile::tempdir().unwrap();
    for copy in [false, true] {
        let open = |path: &Path| Weights::open(path, Open { copy, ..Default::default() }).unwrap_err();
        let missing = open(&folder.path().join("missing.npz"));
        assert!(matches!(missing, Error::File { operation: "open", .. }), "{missing}");
        assert!(matches!(open(folder.path()), Error::File { operation: "open", .. }));
        let empty = folder.path().join("empty.npz");
        std::fs::write(&empty, b"").unwrap();
        assert!(matches!(open(&empty), Error::FileFormat { .. }));
        #[cfg(unix)]
        assert!(matches!(open(Path::new("/dev/zero")), Error::File { operation: "open", .. }));
    }
}

#[test]
fn a_changed_or_replaced_file_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.npz");
    std::fs::write(&path, small_head()).unwrap();
    let weights = Weights::open(&path, Open::default()).unwrap();
    assert!(!weights.has_changed());
    let before = weights.head().bias.get(0).to_bits();
    let bytes = [9; 4];
    let view = ArrayView::new("x", ElementType::F32, Shape::new(&[1]).unwrap(), Order::RowMajor, &bytes).unwrap();
    save(&path, Format::Npz, &[view]).unwrap();
    assert!(weights.has_changed());
    // Replaced, not overwritten: what is mapped is still the old file.
    assert_eq!(weights.head().bias.get(0).to_bits(), before);
    std::fs::remove_file(&path).unwrap();
    assert!(weights.has_changed());
    assert!(!Weights::from_bytes(small_head()).unwrap().has_changed());
}

#[test]
fn a_private_copy_does_not_care_what_becomes_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.npz");
    std::fs::write(&path, small_head()).unwrap();
    let weights = Weights::open(&path, Open { copy: true, ..Default::default() }).unwrap();
    let before = weights.head().weights.bytes().to_vec();
    std::fs::write(&path, b"short").unwrap();
    assert_eq!(weights.head().weights.bytes(), before);
    assert!(weights.has_changed());
}

#[test]
fn hints_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.npz");
    std::fs::write(&path, small_head()).unwrap();
    let weights = Weights::open(&path, Open::default()).unwrap();
    let before = weights.head().weights.bytes().to_vec();
    for advice in [Advice::Random, Advice::Sequential, Advice::WillNeed, Advice::DontNeed, Advice::Normal] {
        weights.advise(advice);
        assert_eq!(weights.head().weights.bytes(), before);
    }
    assert_eq!(weights.prefetch(&[0, 3]), Ok(()));
    assert_eq!(weights.prefetch(&[0, 4]), Err(Error::ColumnOutOfRange { column: 4, columns: 4 }));
    let (bytes, _) = Bytes::map(&path).unwrap();
    assert!(bytes.is_mapped());
    bytes.advise(0..usize::MAX, Advice::WillNeed);
    bytes.advise(usize::MAX..usize::MAX, Advice::DontNeed);
    assert_eq!(bytes[..], small_head());
}

/// Resident memory of this process in bytes.
#[cfg(target_os = "linux")]
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[cfg(target_os = "linux")]
#[test]
fn two_gigabytes_cost_only_the_columns_touched() {
    use std::os::unix::fs::FileExt;
    // 262,144 x 2,000 floats as a hole in the file, then the bias: all of the format is real, but no disk is used.
    let (vocab, features) = (262_144_usize, 2000_usize);
    let long = vocab * features * 4;
    let header = array("<f4", true, &format!("({vocab}, {features})"), 0);
    let weights = member("W.npy", header.clone());
    let bias = member("b.npy", array("<f4", false, &format!("({vocab},)"), vocab * 4));
    // Built without the long data, then told apart: everything after the first member moves by `long`.
    let size = (header.len() + long) as u32;
    let sizes = |member| Member { local_size: Some(size), size: Some(size), stored_size: Some(size), ..member };
    let second = 30 + weights.name.len() + header.len();
    let moved = Member { start: Some((second + long) as u32), ..bias };
    let (short, _, end) = zip_with_places(&[sizes(weights), moved]);
    let mut tail = short[second..].to_vec();
    let directory = u32::from_le_bytes(short[end + 16..end + 20].try_into().unwrap()) + long as u32;
    let place = end + 16 - second;
    tail[place..place + 4].copy_from_slice(&directory.to_le_bytes());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.npz");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len((second + long + tail.len()) as u64).unwrap();
    file.write_all_at(&short[..second], 0).unwrap();
    file.write_all_at(&tail, (second + long) as u64).unwrap();
    // A value in column 1,000, to see that the right bytes are read.
    let column_start = second + 1000 * vocab * 4;
    file.write_all_at(&1.5_f32.to_le_bytes(), (column_start + 77 * 4) as u64).unwrap();
    drop(tail);

    let before = resident();
    let weights = Weights::open(&path, Open::default()).unwrap();
    assert!(weights.is_in_place());
    assert_eq!((weights.vocab(), weights.features()), (vocab, features));
    let opened = resident().saturating_sub(before);
    // Other tests run in the same process meanwhile: allow for them, it is still 1/40 of the file.
    assert!(opened < 48 << 20, "opening took {opened} bytes");
    let mut sum = 0.0;
    for column in [0, 1000, 1999] {
        let column = weights.head().weights.column(column).unwrap();
        sum += (0..vocab).map(|row| column.get(row)).sum::<f32>();
    }
    assert_eq!(sum, 1.5);
    let touched = resident().saturating_sub(before);
    assert!(touched < 64 << 20, "three columns of 1 MB took {touched} bytes");
}

#[cfg(target_os = "linux")]
#[test]
fn hostile_sizes_allocate_nothing() {
    // A file of a few hundred bytes that speaks of terabytes is refused before anything is reserved.
    let before = resident();
    for _ in 0..100 {
        let file = zip(&[member("W.npy", array("<f4", false, "(4194304, 262144)", 0)), member("b.npy", vec![])]);
        assert!(Weights::from_bytes(file).is_err());
        let header = r#"{"W":{"dtype":"F32","shape":[4194304,262144],"data_offsets":[0,4398046511104]}}"#;
        assert!(Weights::from_bytes(tensors(header, &[])).is_err());
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 48 << 20, "{grown} bytes");
}

/// Runs Python with NumPy; `None`, and a line that says so, if there is none.
fn numpy(script: &str, folder: &Path) -> Option<String> {
    let found = Command::new("python3").args(["-c", "import numpy"]).output();
    if !found.is_ok_and(|output| output.status.success()) {
        println!("skipped: numpy");
        return None;
    }
    let output = Command::new("python3").arg("-c").arg(script).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn numpy_opens_what_we_write() {
    let folder = tempfile::tempdir().unwrap();
    let matrix: Vec<u8> = (0..6).flat_map(|value| (value as f32).to_le_bytes()).collect();
    let halves: Vec<u8> = [1.0, -2.5].iter().flat_map(|&value| half::f16::from_f32(value).to_le_bytes()).collect();
    let brains: Vec<u8> = [1.0, -2.5].iter().flat_map(|&value| half::bf16::from_f32(value).to_le_bytes()).collect();
    let integers: Vec<u8> = [-1_i64, 1 << 40].iter().flat_map(|value| value.to_le_bytes()).collect();
    let (text, texts) = unicode(&["the", "", "<EOS>", "größe", "日本", "🎲"]);
    let view = |name, element, dimensions: &[usize], order, bytes| {
        ArrayView::new(name, element, Shape::new(dimensions).unwrap(), order, bytes).unwrap()
    };
    let views = [
        view("C", ElementType::F32, &[2, 3], Order::RowMajor, &matrix),
        view("F", ElementType::F32, &[2, 3], Order::ColumnMajor, &matrix),
        view("half", ElementType::F16, &[2], Order::RowMajor, &halves),
        view("brain", ElementType::Bf16, &[2], Order::RowMajor, &brains),
        view("integers", ElementType::I64, &[2], Order::RowMajor, &integers),
        view("scalar", ElementType::I64, &[], Order::RowMajor, &integers[8..]),
        view("texts", text, &[6], Order::RowMajor, &texts),
        view("none", ElementType::F32, &[0, 3], Order::RowMajor, &[]),
        view("flags", ElementType::Bool, &[2], Order::RowMajor, &[1, 0]),
        view("ünïcode", ElementType::U8, &[1], Order::RowMajor, &[7]),
    ];
    save(folder.path().join("ours.npz"), Format::Npz, &views).unwrap();
    save(folder.path().join("ours.npy"), Format::Npy, &views[1..2]).unwrap();
    let script = r#"
import numpy as np, zipfile
assert zipfile.ZipFile('ours.npz').testzip() is None
f = np.load('ours.npz', allow_pickle=False)
assert f.files == ['C', 'F', 'half', 'brain', 'integers', 'scalar', 'texts', 'none', 'flags', 'ünïcode'], f.files
assert f['C'].tolist() == [[0, 1, 2], [3, 4, 5]] and f['C'].flags.c_contiguous and f['C'].dtype == '<f4'
assert f['F'].tolist() == [[0, 2, 4], [1, 3, 5]] and f['F'].flags.f_contiguous
assert f['half'].tolist() == [1.0, -2.5] and f['half'].dtype == '<f2'
assert (f['brain'].view(np.uint16).astype(np.uint32) << 16).view(np.float32).tolist() == [1.0, -2.5]
assert f['integers'].tolist() == [-1, 1 << 40]
assert f['scalar'].shape == () and int(f['scalar']) == 1 << 40
assert f['texts'].tolist() == ['the', '', '<EOS>', 'größe', '日本', '🎲'], f['texts']
assert f['none'].shape == (0, 3) and f['flags'].tolist() == [True, False] and f['ünïcode'].tolist() == [7]
assert np.load('ours.npy', allow_pickle=False).tolist() == [[0, 2, 4], [1, 3, 5]]
print('equal')
"#;
    if let Some(answer) = numpy(script, folder.path()) {
        assert_eq!(answer.trim(), "equal");
    }
}

#[test]
fn we_open_what_numpy_writes() {
    let folder = tempfile::tempdir().unwrap();
    let script = r#"
import numpy as np
W = (np.arange(12).reshape(3, 4) / 8)
names = np.array(['one', 'größe', '🎲'])
b = np.array([1, 2, 3], dtype='<f2')
for dtype in ['<f8', '<f4', '<f2']:
    w = W.astype(dtype)
    extra = dict(names=names, small=np.int8(-3), count=np.uint32([1, 2]), long=np.int64([-1 << 60]))
    np.savez('row%s.npz' % dtype[1:], W=w, b=b, **extra)
    np.savez('column%s.npz' % dtype[1:], W=np.asfortranarray(w), b=b, **extra)
    np.savez('turned%s.npz' % dtype[1:], **{'W.T': np.ascontiguousarray(w.T)}, b=b, **extra)
np.savez_compressed('compressed.npz', W=W, b=b)
np.savez('big.npz', W=W.astype('>f4'), b=b)
np.savez('bytes.npz', W=W, b=b, names=np.array([b'one']))
np.savez('objects.npz', W=W, b=b, names=np.array(['one', 'two'], dtype=object))
np.savez('record.npz', W=W, b=b, names=np.zeros(2, dtype=[('a', '<f4'), ('b', '<i4')]))
np.save('column.npy', np.asfortranarray(W))
with open('twice.npy', 'wb') as f:
    np.save(f, W); np.save(f, W)
with open('version2.npy', 'wb') as f:
    np.lib.format.write_array(f, W, version=(2, 0))
"#;
    if numpy(script, folder.path()).is_none() {
        return;
    }
    for dtype in ["f8", "f4", "f2"] {
        for layout in ["row", "column", "turned"] {
            let path = folder.path().join(format!("{layout}{dtype}.npz"));
            let weights = Weights::open(&path, Open { verify: true, ..Default::default() }).unwrap();
            assert_eq!(weights.is_in_place(), layout != "row");
            let head = weights.head();
            for at in 0..12 {
                assert_eq!(head.weights.column(at % 4).unwrap().get(at / 4), at as f32 / 8.0, "{layout} {dtype}");
            }
            assert_eq!((0..3).map(|row| head.bias.get(row)).collect::<Vec<_>>(), [1.0, 2.0, 3.0]);
            assert_eq!(weights.strings("names").unwrap(), ["one", "größe", "🎲"]);
            assert_eq!(weights.scalar_integer("small").unwrap(), -3);
            assert_eq!(weights.integers("count").unwrap(), [1, 2]);
            assert!(weights.scalar_integer("count").unwrap_err().to_string().contains("count has length 2"));
            assert_eq!(weights.scalar_integer("long").unwrap(), -1 << 60);
            assert!(weights.strings("nothing").unwrap_err().to_string().contains("no array nothing"));
        }
    }
    let open = |name: &str| Weights::open(folder.path().join(name), Open::default());
    assert!(matches!(open("compressed.npz"), Err(Error::ArrayCompressed { .. })));
    assert!(open("big.npz").unwrap_err().to_string().contains("big-endian"));
    assert!(open("bytes.npz").unwrap().strings("names").unwrap_err().to_string().contains("dtype=str"));
    assert!(matches!(open("objects.npz").unwrap().strings("names"), Err(Error::ArrayPickled { .. })));
    assert!(open("record.npz").unwrap().array("names").unwrap_err().to_string().contains("structured"));
    let parse = |name: &str| {
        let bytes = std::fs::read(folder.path().join(name)).unwrap();
        Archive::parse(&bytes).map(|archive| archive.find("").map(|array| (array.shape(), array.order())))
    };
    let shape = Shape::new(&[3, 4]).unwrap();
    assert_eq!(parse("column.npy").unwrap().unwrap(), (shape, Order::ColumnMajor));
    assert_eq!(parse("version2.npy").unwrap().unwrap(), (shape, Order::RowMajor));
    assert!(parse("twice.npy").is_err());
}

#[test]
fn numpy_opens_what_pack_writes() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in.npz");
    let weights: Vec<u8> = (0..12).flat_map(|value| (value as f32 / 8.0).to_le_bytes()).collect();
    let header = array("<f4", false, "(3, 4)", 0);
    let file = zip(&[
        member("W.npy", [header, weights].concat()),
        member("b.npy", array("<f4", false, "(3,)", 12)),
        member("d2.npy", array("<i8", false, "()", 8)),
    ]);
    std::fs::write(&input, file).unwrap();
    for (name, dtype) in [("f32", Dtype::F32), ("f16", Dtype::F16), ("bf16", Dtype::Bf16)] {
        let output = folder.path().join(format!("{name}.npz"));
        let options = PackOptions { dtype: Some(dtype), ..Default::default() };
        pack(&input, &output, Format::Npz, &options, &mut |_, _| true).unwrap();
    }
    let script = r#"
import numpy as np
old = np.load('in.npz', allow_pickle=False)
for name in ['f32', 'f16', 'bf16']:
    f = np.load(name + '.npz', allow_pickle=False)
    w = f['W']
    if name == 'bf16':
        w = (np.asfortranarray(w).view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    assert np.array_equal(w, old['W']), (name, w)
    assert f['W'].flags.f_contiguous
    assert np.array_equal(f['b'], old['b'], equal_nan=True) and f['d2'] == old['d2']
print('equal')
"#;
    if let Some(answer) = numpy(script, folder.path()) {
        assert_eq!(answer.trim(), "equal");
    }
}
