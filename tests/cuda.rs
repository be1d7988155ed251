//! The CUDA path: what the host refuses, and the device's bits against the CPU's.
//!
//! Where there is a GPU this runs on it. `ARGPICK_CUDA_HOST=1` builds the same device code for the CPU, and everything but the
//! GPU itself is tried (`.ci/cuda`). With neither, what needs a device is printed as skipped. The binary needs no file beside it,
//! so it can be carried to a GPU machine (`cuda/check.sh`).

#[path = "cuda/device/batches.rs"]
mod batches;
#[path = "cuda/device/memory.rs"]
mod memory;
#[path = "cuda/device/sequences.rs"]
mod sequences;
#[path = "cuda/device/sparse.rs"]
mod sparse;
mod support;

use argpick::cuda::{Batch, DevicePick, Needs, Row, Stream, TrainStep, Workspace, devices};
use argpick::{Config, Decoder, Dtype, Error, Metrics};
use batches::{compare, decode, device, of_many, on_the_cpu, place, rounded};
use half::{bf16, f16};
use memory::Memory;
use serde_json::Value;
use support::filters::Filters;
use support::generators::{self, MASKS, MaskKind, SHAPES, Shape, Source};
use support::oracle::{Case, Settings};
use support::report;

const DTYPES: [Dtype; 3] = [Dtype::F32, Dtype::F16, Dtype::Bf16];

fn whole(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_else(|| panic!("{value} is no whole number"))
}

fn float(value: &Value) -> f32 {
    f32::from_bits(whole(value) as u32)
}

fn list<T>(value: &Value, element: impl Fn(&Value) -> T) -> Vec<T> {
    value.as_array().expect("a list").iter().map(element).collect()
}

/// A step of `golden/decode.json`, if it has nothing but what the device has: its element type, and the case.
fn golden_case(step: &Value) -> Option<(Dtype, Case)> {
    const KNOWN: [&str; 11] = [
        "seed",
        "stream",
        "mode",
        "temperature",
        "top_k",
        "top_p",
        "min_p",
        "valid_vocab",
        "typical_p",
        "min_keep",
        "no_repeat_window",
    ];
    let config = &step["config"];
    if config.as_object()?.keys().any(|key| !KNOWN.contains(&key.as_str())) {
        return None;
    }
    let (dtype, row) = if step["row_f16"].is_array() {
        (Dtype::F16, list(&step["row_f16"], |v| f16::from_bits(whole(v) as u16).to_f32()))
    } else if step["row_bf16"].is_array() {
        (Dtype::Bf16, list(&step["row_bf16"], |v| bf16::from_bits(whole(v) as u16).to_f32()))
    } else if step["row_runs"].is_array() {
        let runs = list(&step["row_runs"], |run| (whole(&run[0]) as usize, float(&run[1])));
        (Dtype::F32, runs.iter().flat_map(|&(count, value)| std::iter::repeat_n(value, count)).collect())
    } else {
        (Dtype::F32, list(&step["row_bits"], float))
    };
    let number = |name: &str| whole(&config[name]) as u32;
    let typical_p = if config["typical_p"].is_null() { 1.0 } else { float(&config["typical_p"]) };
    let case = Case {
        row,
        mask: step["mask"].is_array().then(|| list(&step["mask"], |v| whole(v) as u32)),
        bias: list(&step["bias"], |pair| (whole(&pair[0]) as u32, float(&pair[1]))),
        bans: list(&step["bans"], |v| whole(v) as u32),
        generated: list(&step["generated"], |v| whole(v) as u32),
        settings: Settings {
            seed: whole(&config["seed"]),
            stream: whole(&config["stream"]),
            position: whole(&step["position"]),
            greedy: number("mode") == 1,
            temperature: float(&config["temperature"]),
            top_k: number("top_k"),
            top_p: float(&config["top_p"]),
            min_p: float(&config["min_p"]),
            no_repeat_window: number("no_repeat_window"),
            min_keep: number("min_keep"),
            valid_vocab: number("valid_vocab"),
            filters: Filters { typical_p, ..Filters::default() },
        },
    };
    Some((dtype, case))
}

#[test]
fn the_golden_steps_have_the_bits_that_are_written_down() {
    let Some(_turn) = device("golden steps on the device") else { return };
    let steps: Vec<Value> = serde_json::from_str(include_str!("golden/decode.json")).expect("golden/decode.json");
    let mut tried = 0;
    for step in &steps {
        let name = step["name"].as_str().expect("a name");
        let Some((dtype, case)) = golden_case(step) else { continue };
        if place(&case).is_err() {
            continue;
        }
        tried += 1;
        match &decode(&[&case], dtype, 0)[0] {
            Ok(pick) => {
                let pick = pick.expect("a row that is not skipped");
                let expected = &step["expected"];
                for (field, bits) in report::pick_bits(&pick) {
                    assert_eq!(u64::from(bits), whole(&expected[field]), "{name}: {field}");
                }
            }
            Err(error) => {
                assert_eq!(u64::from(error.status().unsigned_abs()), whole(&step["error"]["status"]), "{name}")
            }
        }
    }
    assert!(tried >= 80, "only {tried} of {} golden steps are for the device", steps.len());
    println!("{tried} of {} golden steps have their bits on the device", steps.len());
}

/// A case that the device takes: min_keep and the no-repeat window are the CPU's alone.
fn case_for_device(source: &mut Source, shape: Shape, vocab: usize, kind: MaskKind) -> Case {
    let mut case = generators::case(source, shape, vocab, kind);
    case.settings.min_keep = 0;
    case.settings.no_repeat_window = 0;
    case.generated.clear();
    if source.chance(0.2) {
        case.settings.filters.typical_p = source.pick(&[0.2f32, 0.9, 0.95]);
    }
    case
}

#[test]
fn generated_batches_have_the_bits_of_the_cpu() {
    let Some(_turn) = device("generated batches on the device") else { return };
    let mut source = Source::new(61);
    // Lengths on every boundary, and beyond what one slice of the first pass and shared memory hold.
    let lengths = [1, 63, 64, 65, 129, 1000, 1025, 2049, 4097, 8191, 32_000, 50_257, 128_256, 262_144];
    let mut rows = 0;
    for batch in 0..of_many(400) {
        let vocab = lengths[batch % if cfg!(argpick_cuda_host) { 9 } else { lengths.len() }];
        let dtype = DTYPES[batch % 3];
        let count = 1 + source.below(if vocab > 10_000 { 8 } else { 24 });
        let cases: Vec<Case> = (0..count)
            .map(|_| {
                let (shape, kind) = (source.pick(&SHAPES), source.pick(&MASKS));
                let mut case = case_for_device(&mut source, shape, vocab, kind);
                case.row = rounded(&case.row, dtype);
                case
            })
            .collect();
        let found = decode(&cases.iter().collect::<Vec<_>>(), dtype, source.below(5));
        for (i, (case, found)) in cases.iter().zip(&found).enumerate() {
            let what = format!("batch {batch}, row {i} of {count}, vocab {vocab}, {dtype}, {:?}", case.settings);
            compare(&what, found, &on_the_cpu(case));
        }
        rows += count;
    }
    println!("{rows} generated rows have the CPU's bits");
}

/// A model's own rows (`ARGPICK_REAL_ROWS`: an .npy of f32), where they are here.
#[test]
fn real_rows_have_the_bits_of_the_cpu() {
    let Some(_turn) = device("real rows on the device") else { return };
    let given = std::env::var_os("ARGPICK_REAL_ROWS").map(std::path::PathBuf::from);
    let beside = || report::shared("real rows on the device", "logits/gemma3_270m_16x262144_f32.npy");
    let Some(file) = given.or_else(beside) else { return };
    let (count, vocab, values) = report::read_npy_f32(&file);
    let base = Settings { seed: 3, temperature: 0.8, ..Settings::default() };
    let settings = [
        Settings { temperature: 0.0, ..base.clone() },
        base.clone(),
        Settings { top_k: 50, top_p: 0.95, ..base.clone() },
        Settings { top_p: 0.9, ..base.clone() },
        Settings { min_p: 0.05, ..base.clone() },
        Settings { filters: Filters { typical_p: 0.9, ..Filters::default() }, ..base },
    ];
    let count = of_many(count * 2).min(count);
    for (i, settings) in settings.iter().enumerate() {
        let cases: Vec<Case> = (0..count)
            .map(|row| Case { settings: settings.clone(), ..Case::new(values[row * vocab..][..vocab].to_vec()) })
            .collect();
        let found = decode(&cases.iter().collect::<Vec<_>>(), Dtype::F32, 0);
        for (row, (case, found)) in cases.iter().zip(&found).enumerate() {
            compare(&format!("real row {row}, settings {i}"), found, &on_the_cpu(case));
        }
    }
    println!("{count} real rows of {vocab} logits have the CPU's bits in {} configurations", settings.len());
}

#[test]
fn a_result_does_not_depend_on_the_batch() {
    let Some(_turn) = device("one row in many batches") else { return };
    let mut source = Source::new(62);
    for vocab in [777, 2049] {
        let case = case_for_device(&mut source, Shape::Zipf, vocab, MaskKind::Random);
        let others: Vec<Case> =
            (0..8).map(|_| case_for_device(&mut source, Shape::Normal, vocab, MaskKind::None)).collect();
        let alone = format!("{:?}", decode(&[&case], Dtype::F32, 0)[0]);
        for (size, place, gap) in [(2, 1, 0), (9, 0, 1), (9, 8, 3), (9, 4, 64)] {
            let mut batch: Vec<&Case> = others.iter().take(size - 1).collect();
            batch.insert(place, &case);
            assert_eq!(format!("{:?}", decode(&batch, Dtype::F32, gap)[place]), alone, "place {place} of {size}");
        }
    }
}

#[test]
fn rows_can_be_skipped_and_need_what_they_were_planned_with() {
    let Some(_turn) = device("skipped rows, rows with a missing feature") else { return };
    let row = |config: &Config| Row::new(config, 100).expect("a row");
    let plain = row(&Config::default());
    let demanding = row(&Config { metrics: Metrics::CONFIDENCE, ..Config::default() });
    let rows = [plain.skipped(true), demanding, plain];
    let device_rows = Memory::of(Row::bytes(&rows));
    let logits = Memory::of(&batches::row_bytes(&[0.5; 300], Dtype::F32));
    let mut picks = [DevicePick::EMPTY; 3];
    let device_picks = Memory::of(DevicePick::bytes(&picks));
    let batch = Batch {
        logits: logits.address,
        dtype: Dtype::F32,
        vocab: 100,
        row_stride: 100,
        row_count: 3,
        rows: device_rows.address,
        picks: device_picks.address,
        needs: Needs::of(&[plain]),
        record: false,
    };
    let workspace = Memory::new(batch.workspace_bytes().expect("a shape") as usize);
    batches::launch(&batch, &workspace);
    device_picks.read(DevicePick::bytes_mut(&mut picks));
    assert!(matches!(picks[0].result(), Ok(None)));
    assert!(matches!(picks[1].result(), Err(Error::InvalidParameter { name: "features", .. })));
    assert!(matches!(picks[2].result(), Ok(Some(_))));

    let short = Workspace { address: workspace.address, bytes: batch.workspace_bytes().expect("a shape") - 1 };
    // SAFETY: nothing is launched.
    let refused = unsafe { batch.launch(short, Stream::default()) };
    assert!(matches!(refused, Err(Error::StorageTooSmall { .. })), "{refused:?}");
}

/// What the host refuses, whether there is a device or not.
#[test]
fn the_host_refuses_what_it_can_see() {
    let good = Batch {
        logits: 4096,
        dtype: Dtype::F32,
        vocab: 100,
        row_stride: 100,
        row_count: 2,
        rows: 4096,
        picks: 4096,
        needs: Needs::default(),
        record: false,
    };
    let bytes = good.workspace_bytes().expect("a shape");
    assert!(bytes > 0 && bytes.is_multiple_of(256), "{bytes}");
    let place = Workspace { address: 4096, bytes };
    let refused = |batch: Batch, place: Workspace| {
        // SAFETY: every one of these is refused before anything is queued.
        unsafe { batch.launch(place, Stream::default()) }.expect_err("refused").to_string()
    };
    for (what, batch) in [
        ("vocab is 0", Batch { vocab: 0, ..good }),
        ("vocab is 4194305", Batch { vocab: (1 << 22) + 1, row_stride: 1 << 23, ..good }),
        ("row_stride is 99", Batch { row_stride: 99, ..good }),
        ("row_count is 1048577", Batch { row_count: (1 << 20) + 1, ..good }),
        ("logits is 0", Batch { logits: 0, ..good }),
        ("logits modulo its alignment is 2", Batch { logits: 4098, ..good }),
        ("rows is 0", Batch { rows: 0, ..good }),
        ("rows modulo its alignment is 4", Batch { rows: 4100, ..good }),
        ("picks modulo its alignment is 1", Batch { picks: 4097, ..good }),
    ] {
        let message = refused(batch, place);
        assert!(message.contains(what), "{message:?} does not say {what:?}");
    }
    assert!(refused(good, Workspace { address: 4096, bytes: bytes - 256 }).contains("words of 8 bytes"));
    assert!(refused(good, Workspace { address: 4100, bytes }).contains("workspace modulo its alignment is 4"));
    // SAFETY: no rows, nothing to do.
    assert_eq!(unsafe { Batch { row_count: 0, ..good }.launch(place, Stream::default()) }, Ok(()));

    let step = TrainStep {
        weights: 4096,
        bias: 4096,
        gradient: 4096,
        vocab: 100,
        features: 7,
        columns: 4096,
        values: 0,
        column_count: 3,
        target: 5,
        learning_rate: 0.1,
        score: 4096,
    };
    let message = |step: TrainStep| step.workspace_bytes().expect_err("refused").to_string();
    assert!(step.workspace_bytes().expect("a shape") > 0);
    assert!(message(TrainStep { learning_rate: f32::NAN, ..step }).contains("learning_rate is NaN"));
    assert!(message(TrainStep { target: 100, ..step }).contains("token 100"));
    assert!(message(TrainStep { column_count: 4097, ..step }).contains("columns: 4097 entries"));
}

/// Without a GPU a launch says so, and the CPU goes on.
#[test]
fn without_a_gpu_every_launch_says_so() {
    let Err(error) = devices() else {
        println!("skipped: the answer without a GPU: there is one here");
        return;
    };
    if cfg!(argpick_cuda_host) {
        // There a launch needs no GPU, and follows addresses.
        return;
    }
    assert_eq!(error.status(), 17, "{error}");
    assert!(error.to_string().contains("no CUDA driver") || error.to_string().contains("no GPU"), "{error}");
    let batch = Batch {
        logits: 4096,
        dtype: Dtype::F32,
        vocab: 100,
        row_stride: 100,
        row_count: 2,
        rows: 4096,
        picks: 4096,
        needs: Needs::default(),
        record: false,
    };
    let place = Workspace { address: 4096, bytes: batch.workspace_bytes().expect("a shape") };
    // SAFETY: without a device nothing runs that could follow an address.
    let launched = unsafe { batch.launch(place, Stream::default()) };
    assert!(matches!(launched, Err(Error::CudaUnavailable { .. })), "{launched:?}");
    let mut decoder = Decoder::new(&Config::default(), 3).expect("a decoder");
    assert!(decoder.decode(&[1.0, 2.0, 3.0], None).is_ok());
}
