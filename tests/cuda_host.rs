//! The device code against the CPU, bit for bit, without a GPU: `cuda/` is compiled for the CPU (see `cuda/host`) and decodes what
//! the library decodes, in batches of any size. `ARGPICK_CUDA_CASES` sets how many rows are generated; `ARGPICK_CUDA_SEED`
//! which.
#![cfg(target_os = "linux")]

#[path = "cuda/cases.rs"]
mod cases;
#[path = "cuda/host.rs"]
mod host;
#[path = "cuda/launches.rs"]
mod launches;
#[path = "cuda/sparse.rs"]
mod sparse;
mod support;

use argpick::{Config, Mode, PenaltyScope};
use cases::{LEAN, Logits, METRICS, Sequence, decode, metrics};
use half::{bf16, f16};
use host::{DevicePick, Host};
use serde_json::Value;
use support::generators::{self, LENGTHS, MASKS, SHAPES, Source};

fn environment(name: &str, standard: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(standard)
}

fn assert_equal(name: &str, found: &DevicePick, expected: &DevicePick, about: &Sequence) {
    assert_eq!(
        found.bits(),
        expected.bits(),
        "{name}: device {found:?}\nCPU {expected:?}\n{:?}\nvocab {} {}, mask {:?}, bias {:?}, bans {:?}",
        about.config,
        about.vocab(),
        about.logits.row().dtype(),
        about.mask.as_ref().map(|mask| mask.len()),
        about.bias,
        about.bans,
    );
}

fn number(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).expect("a whole number")
}

fn float(value: &Value) -> f32 {
    f32::from_bits(number(value) as u32)
}

fn list<T>(value: &Value, item: impl Fn(&Value) -> T) -> Vec<T> {
    value.as_array().into_iter().flatten().map(item).collect()
}

/// A golden step, if the device has what it asks for.
fn golden_step(step: &Value) -> Option<(Sequence, DevicePick)> {
    let c = &step["config"];
    let absent = |name: &str| c[name].is_null();
    let others = [
        "profile",
        "epsilon_cutoff",
        "eta_cutoff",
        "top_n_sigma",
        "top_a",
        "tfs_z",
        "top_h",
        "xtc_probability",
        "dynatemp_range",
        "mirostat",
        "adaptive_target",
        "keep_ties",
    ];
    if !others.into_iter().all(absent) || number(&c["min_keep"]) > 1 {
        return None;
    }
    let logits = if step["row_f16"].is_array() {
        Logits::F16(list(&step["row_f16"], |v| f16::from_bits(number(v) as u16)))
    } else if step["row_bf16"].is_array() {
        Logits::Bf16(list(&step["row_bf16"], |v| bf16::from_bits(number(v) as u16)))
    } else if step["row_runs"].is_array() {
        let runs = list(&step["row_runs"], |run| vec![float(&run[1]); number(&run[0]) as usize]);
        Logits::F32(runs.concat())
    } else {
        Logits::F32(list(&step["row_bits"], float))
    };
    let config = Config {
        seed: number(&c["seed"]),
        stream: number(&c["stream"]),
        mode: if number(&c["mode"]) == 1 { Mode::Greedy } else { Mode::Sample },
        temperature: float(&c["temperature"]),
        top_k: number(&c["top_k"]) as u32,
        top_p: float(&c["top_p"]),
        min_p: float(&c["min_p"]),
        typical_p: if absent("typical_p") { 1.0 } else { float(&c["typical_p"]) },
        valid_vocab: number(&c["valid_vocab"]) as u32,
        metrics: metrics(METRICS),
        ..Config::default()
    };
    let mut sequence = Sequence::new(logits, config);
    sequence.mask = step["mask"].is_array().then(|| list(&step["mask"], |v| number(v) as u32));
    sequence.bias = list(&step["bias"], |pair| (number(&pair[0]) as u32, float(&pair[1])));
    sequence.bans = list(&step["bans"], |v| number(v) as u32);
    // The no-repeat window is the host's business: it bans.
    let generated = list(&step["generated"], |v| number(v) as u32);
    let window = number(&c["no_repeat_window"]) as usize;
    sequence.bans.extend(&generated[generated.len() - window.min(generated.len())..]);
    sequence.position = number(&step["position"]);
    let expected = &step["expected"];
    let mut pick = cases::report(Err(argpick::Error::EverythingMasked));
    if expected.is_null() {
        pick.status = number(&step["error"]["status"]) as u32;
        if pick.status == 1 {
            pick.index = number(&step["error"]["index"]) as u32;
            pick.value = sequence.expected().value;
        }
        return Some((sequence, pick));
    }
    let whole = |name: &str| number(&expected[name]) as u32;
    let real = |name: &str| float(&expected[name]);
    let temperature = if sequence.config.temperature == 0.0 { 1.0 } else { sequence.config.temperature };
    let pick = DevicePick {
        status: 0,
        index: 0,
        value: 0.0,
        token: whole("token"),
        argmax: whole("argmax"),
        rank: whole("rank"),
        kept: whole("kept"),
        margin: real("margin"),
        top1_probability: real("top1_probability"),
        entropy: real("entropy"),
        logprob_raw: real("logprob_raw"),
        logprob: real("logprob"),
        kept_mass: real("kept_mass"),
        temperature,
    };
    Some((sequence, pick))
}

fn golden_corpus(host: &Host) -> usize {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/decode.json");
    let text = std::fs::read_to_string(path).expect("the golden corpus");
    let steps: Value = serde_json::from_str(&text).expect("JSON");
    let mut count = 0;
    for step in steps.as_array().expect("a list") {
        let Some((mut sequence, expected)) = golden_step(step) else { continue };
        sequence.bans.sort_unstable();
        sequence.bans.dedup();
        let name = step["name"].as_str().unwrap_or("");
        let vocab = sequence.vocab();
        let found = decode(host, &[&sequence], vocab, 0, 0);
        assert_equal(name, &found[0], &expected, &sequence);
        // Without metrics other ways lead to the same token.
        sequence.config.metrics = metrics(0);
        let found = decode(host, &[&sequence], vocab, 0, 0);
        assert_equal(name, &found[0], &sequence.expected(), &sequence);
        count += 1;
    }
    count
}

/// A configuration with some of what the device has.
fn some_config(source: &mut Source, vocab: usize) -> Config {
    let mut config = Config {
        seed: source.bits(),
        stream: source.bits(),
        temperature: source.pick(&[0.0, 0.3, 0.7, 1.0, 1.0, 1.0, 1.6, 0.01, 1.0e-30, 3.0e38]),
        metrics: metrics(if source.chance(0.5) { METRICS } else { source.below(METRICS as usize + 1) as u32 }),
        ..Config::default()
    };
    if source.chance(0.1) {
        config.mode = Mode::Greedy;
    }
    if source.chance(0.35) {
        let most = vocab + 1;
        config.top_k = {
            let any = 1 + source.below(vocab);
            source.pick(&[1, 2, 5, 40, 50, 300, 1024, 1025, most - 1, most, any])
        } as u32;
    }
    let unit = source.unit() as f32;
    if source.chance(0.4) {
        config.top_p = source.pick(&[0.0, 0.1, 0.5, 0.9, 0.95, 0.999, 0.999_999_94, unit]);
    }
    if source.chance(0.25) {
        config.min_p = source.pick(&[1.0, 0.5, 0.05, 1.0e-6, unit]);
    }
    if source.chance(0.25) {
        config.typical_p = source.pick(&[0.0, 0.2, 0.7, 0.95, 0.999_999_94, unit]);
    }
    if source.chance(0.15) {
        config.valid_vocab = 1 + source.below(vocab) as u32;
    }
    if source.chance(0.3) {
        config.repetition_penalty = source.pick(&[1.0, 1.1, 1.3, 0.8, 1.0e-30]);
        config.frequency_penalty = source.pick(&[0.0, 0.2, -0.5, 1.7]);
        config.presence_penalty = source.pick(&[0.0, 0.5, -1.0]);
        config.history_capacity = source.pick(&[0, 7, 64, 300]);
        config.penalty_window = source.pick(&[0, 1, 5, 7]);
        config.penalty_scope = source.pick(&[PenaltyScope::Profile, PenaltyScope::All, PenaltyScope::Generated]);
    }
    config
}

fn some_sequence(source: &mut Source, vocab: usize, dtype: u32) -> Sequence {
    let shape = source.pick(&SHAPES);
    let kind = if source.chance(0.5) { generators::MaskKind::None } else { source.pick(&MASKS) };
    let mut case = generators::case(source, shape, vocab, kind);
    case.bans.sort_unstable();
    case.bans.dedup();
    let mut sequence = Sequence::new(Logits::new(&case.row, dtype), some_config(source, vocab));
    (sequence.mask, sequence.bias, sequence.bans) = (case.mask, case.bias, case.bans);
    let any = source.bits();
    sequence.position = source.pick(&[0, 1, any]);
    if source.chance(0.5) {
        let tokens = source.pick(&[1, 3, 10, vocab]).min(vocab);
        let length = |source: &mut Source| source.pick(&[0, 1, 5, 70, 400]);
        let (prompt, generated) = (length(source), length(source));
        sequence.prompt = (0..prompt).map(|_| source.below(tokens) as u32).collect();
        sequence.generated = (0..generated).map(|_| source.below(tokens) as u32).collect();
    }
    sequence
}

fn generated_rows(host: &Host, seed: u64, wanted: usize) {
    let mut source = Source::new(seed);
    let (mut done, mut picked) = (0, 0);
    while done < wanted {
        let vocab = source.pick(&LENGTHS);
        let vocab = if vocab > 6000 && source.chance(0.8) { 1 + source.below(6000) } else { vocab };
        let dtype = source.below(3) as u32;
        let size = if vocab > 6000 { 2 } else { 1 + source.below(6) };
        let batch: Vec<Sequence> = (0..size).map(|_| some_sequence(&mut source, vocab, dtype)).collect();
        let expected: Vec<DevicePick> = batch.iter().map(Sequence::expected).collect();
        let all: Vec<&Sequence> = batch.iter().collect();
        let element = batch[0].logits.row().dtype().size();
        // Rows that begin at sixteen bytes are read another way than those that do not.
        let stride = source.pick(&[vocab, vocab.next_multiple_of(8), vocab + 1]);
        let offset = source.pick(&[0, element, 16]);
        let features = source.pick(&[0, 1, 2, 3, LEAN, LEAN]);
        let found = decode(host, &all, stride, offset, features);
        for i in 0..size {
            assert_equal(&format!("seed {seed}, row {done}"), &found[i], &expected[i], &batch[i]);
            picked += usize::from(found[i].status == 0);
            done += 1;
        }
        // Alone, and in another place.
        if size > 1 && source.chance(0.3) {
            let i = source.below(size);
            let found = decode(host, &[&batch[i]], vocab, 0, 0);
            assert_equal("alone", &found[0], &expected[i], &batch[i]);
            let turned: Vec<&Sequence> = batch.iter().rev().collect();
            let found = decode(host, &turned, stride, 0, 0);
            assert_equal("turned", &found[size - 1 - i], &expected[i], &batch[i]);
        }
    }
    println!("{done} rows, {picked} with a pick");
    assert!(picked * 2 > done, "most rows are meant to have a pick");
}

/// A few rows that ask much of memory: many blocks, lists that overflow, long histories.
fn large_rows(host: &Host) {
    let mut source = Source::new(77);
    for (vocab, dtype) in [(262_144, 2), (262_145, 0), (300_000, 1), (1_048_577, 0)] {
        let mut sequence = some_sequence(&mut source, vocab, dtype);
        let shape = source.pick(&[generators::Shape::Normal, generators::Shape::Zipf, generators::Shape::Ties]);
        sequence.logits = Logits::new(&generators::row(&mut source, shape, vocab), dtype);
        let base = Config { seed: source.bits(), metrics: metrics(METRICS), ..Config::default() };
        for config in [
            Config { top_k: 50, top_p: 0.9, ..base.clone() },
            Config { top_p: 0.8, typical_p: 0.9, ..base.clone() },
            Config { top_p: 0.7, metrics: metrics(0), ..base.clone() },
            base.clone(),
        ] {
            sequence.config = config;
            let found = decode(host, &[&sequence], vocab, 0, 0);
            assert_equal("large", &found[0], &sequence.expected(), &sequence);
        }
    }
    let mut sequence = Sequence::new(Logits::new(&generators::row(&mut source, generators::Shape::Normal, 9000), 0), {
        let penalties = Config { repetition_penalty: 1.2, frequency_penalty: 0.1, ..Config::default() };
        Config { history_capacity: 8192, metrics: metrics(METRICS), ..penalties }
    });
    sequence.prompt = (0..9000).map(|_| source.below(9000) as u32).collect();
    sequence.generated = (0..4000).map(|_| source.below(50) as u32).collect();
    let found = decode(host, &[&sequence], 9000, 0, 0);
    assert_equal("a long history", &found[0], &sequence.expected(), &sequence);
}

#[test]
fn device_code_decodes_as_the_cpu_does() {
    let Some(host) = host::build(Some(64)) else { return };
    let count = golden_corpus(&host);
    println!("{count} golden steps");
    assert!(count > 100, "most of the corpus is meant to be decoded");
    let seed = environment("ARGPICK_CUDA_SEED", 1);
    generated_rows(&host, seed, environment("ARGPICK_CUDA_CASES", 1500) as usize);
    sparse::decodes_as_the_cpu(&host, seed);
    sparse::trains_as_the_cpu(&host, seed);
    launches::records_its_picks(&host, seed);
    launches::refuses_what_it_cannot_do(&host);
}

#[test]
fn device_code_decodes_as_the_cpu_does_with_the_blocks_of_a_device() {
    let Some(host) = host::build(None) else { return };
    generated_rows(
        &host,
        environment("ARGPICK_CUDA_SEED", 1) + 1000,
        environment("ARGPICK_CUDA_CASES", 1500) as usize / 20,
    );
    large_rows(&host);
}
