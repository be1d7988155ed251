//! What other engines do with the same rows: the profiles against `tests/golden/*.jsonl`, which the generators in
//! `tests/conformance` made with the engines themselves. Kept sets and their order must be equal, probabilities within 1e-5.

#[path = "conformance/reader.rs"]
mod reader;
#[path = "conformance/vectors.rs"]
mod vectors;

use argpick::{Candidate, Config, Decoder, Error};
use reader::{Case, Expected};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Stages that are not built yet, by profile: they are printed and do not fail. A stage that passes may not stand here.
const NOT_YET: &[(&str, &str)] = &[];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// FNV-1a, 32 bits, of ids as little-endian words.
fn digest(ids: &[u32]) -> u32 {
    let bytes = ids.iter().flat_map(|id| id.to_le_bytes());
    bytes.fold(0x811c_9dc5, |value, byte| (value ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// A decoder at the point of the case's row; the message says what it cannot be told.
fn decoder(case: &Case, config: &Config) -> Result<Decoder, String> {
    let text = |error: Error| error.to_string();
    let mut decoder = Decoder::new(config, case.logits.vocab()).map_err(text)?;
    decoder.set_bias(&case.bias).map_err(text)?;
    decoder.set_bans(&case.bans).map_err(text)?;
    decoder.set_forced(&case.forced).map_err(text)?;
    decoder.set_end_tokens(&case.end_tokens).map_err(text)?;
    let bad: Vec<&[u32]> = case.bad_sequences.iter().map(Vec::as_slice).collect();
    decoder.set_bad_sequences(&bad).map_err(text)?;
    let biased: Vec<(&[u32], f32)> = case.sequence_bias.iter().map(|(ids, bias)| (ids.as_slice(), *bias)).collect();
    decoder.set_sequence_bias(&biased).map_err(text)?;
    set_breakers(&mut decoder, &case.breakers)?;
    decoder.prompt(&case.prompt).map_err(text)?;
    decoder.accept(&case.history).map_err(text)?;
    Ok(decoder)
}

/// Tells the decoder DRY's breakers.
fn set_breakers(decoder: &mut Decoder, breakers: &[Vec<u32>]) -> Result<(), String> {
    let breakers: Vec<&[u32]> = breakers.iter().map(Vec::as_slice).collect();
    decoder.set_breakers(&breakers).map_err(|error| error.to_string())
}

/// The kept tokens in the total order.
fn kept(decoder: &mut Decoder, row: &[f32], mask: Option<&[u32]>) -> Result<Vec<Candidate>, String> {
    let mut list = vec![Candidate::default(); row.len()];
    let count = decoder.kept(row, mask, &mut list).map_err(|error| error.to_string())?;
    list.truncate(count);
    // -0.0 equals 0.0.
    list.sort_by(|a, b| b.logit.partial_cmp(&a.logit).expect("no NaN").then(a.token.cmp(&b.token)));
    Ok(list)
}

/// What is wrong with an answer, if anything is.
fn compare(list: &[Candidate], expected: &Expected, tolerance: f64) -> Result<(), String> {
    let ids: Vec<u32> = list.iter().map(|candidate| candidate.token).collect();
    let few = |ids: &[u32]| format!("{:?}", &ids[..ids.len().min(16)]);
    if ids.len() != expected.count || !ids.starts_with(&expected.kept) || !ids.ends_with(&expected.last) {
        let (count, list) = (expected.count, few(&expected.kept));
        return Err(format!("keeps {}: {}; expected {count}: {list}", ids.len(), few(&ids)));
    }
    if expected.digest.is_some_and(|value| value != digest(&ids)) {
        return Err(format!("keeps other tokens, or in another order: {}", few(&ids)));
    }
    let p: Vec<f64> = list.iter().map(|candidate| f64::from(candidate.logprob).exp()).collect();
    for (index, (have, want)) in p.iter().zip(&expected.probabilities).enumerate() {
        if (have - want).abs() > tolerance {
            return Err(format!("probability of {} is {have}, expected {want}", ids[index]));
        }
    }
    let squares: f64 = p.iter().map(|p| p * p).sum();
    match expected.squares {
        Some(want) if (squares - want).abs() > 2.0 * tolerance => {
            Err(format!("squared probabilities sum to {squares}, expected {want}"))
        }
        _ => Ok(()),
    }
}

/// Makes the decoder pick and record `token`: by some position's random numbers it is drawn, since it has a probability.
fn pick(decoder: &mut Decoder, row: &[f32], token: u32) -> Result<(), String> {
    let position = decoder.position();
    for trial in 0..1_000_000 {
        decoder.seek(position + trial);
        if decoder.evaluate(row, None).map_err(|error| error.to_string())?.token == token {
            decoder.decode(row, None).map_err(|error| error.to_string())?;
            return Ok(());
        }
    }
    Err(format!("never picks {token}"))
}

/// The bitmask of the allowed tokens, if a case names some.
fn bitmask(case: &Case) -> Option<Vec<u32>> {
    let mut words = vec![0; case.logits.vocab().div_ceil(32)];
    case.allowed.iter().for_each(|&token| words[token as usize / 32] |= 1 << (token % 32));
    (!case.allowed.is_empty()).then_some(words)
}

/// What a decoder at temperature 0 picks where the case is.
fn greedy(case: &Case, row: &[f32], mask: Option<&[u32]>) -> Result<u32, String> {
    let config = Config { temperature: 0.0, dynatemp_range: 0.0, ..case.config.clone() };
    let pick = decoder(case, &config)?.decode(row, mask).map_err(|error| error.to_string())?;
    Ok(pick.token)
}

fn run(case: &Case) -> Result<(), String> {
    let mut decoder = decoder(case, &case.config)?;
    let mask = bitmask(case);
    let mask = mask.as_deref();
    for (index, step) in case.steps.iter().enumerate() {
        let row = case.logits.row(case.offset + index as u64);
        let list = kept(&mut decoder, &row, mask)?;
        compare(&list, &step.expected, case.tolerance).map_err(|text| format!("step {index}: {text}"))?;
        if index + 1 < case.steps.len() {
            pick(&mut decoder, &row, step.token)?;
        }
        if let Some(token) = step.expected.token {
            let picked = greedy(case, &row, mask)?;
            if picked != token {
                return Err(format!("picks {picked} at temperature 0, expected {token}"));
            }
        }
    }
    Ok(())
}

#[derive(Default)]
struct Tally {
    cases: usize,
    different: usize,
    shown: Vec<String>,
}

/// Runs all cases of a profile; returns how many stages fail.
fn profile(name: &str) -> usize {
    let text = fs::read_to_string(golden(&format!("{name}.jsonl"))).expect("the golden file");
    let mut stages: BTreeMap<String, Tally> = BTreeMap::new();
    for case in text.lines().flat_map(reader::cases) {
        let tally = stages.entry(case.stage.clone()).or_default();
        tally.cases += case.steps.len();
        if let Err(text) = run(&case) {
            tally.different += 1;
            if tally.shown.len() < 3 {
                tally.shown.push(format!("    {}: {text}", case.id));
            }
        }
    }
    assert!(stages.values().map(|tally| tally.cases).sum::<usize>() > 20_000, "the file has lost its cases");
    report(name, &stages)
}

/// Prints what came out of each stage; returns how many stages fail.
fn report(name: &str, stages: &BTreeMap<String, Tally>) -> usize {
    let mut failed = 0;
    for (stage, tally) in stages {
        let excused = NOT_YET.contains(&(name, stage.as_str()));
        let note = match (tally.different, excused) {
            (0, true) => "stands in NOT_YET, but passes",
            (0, false) => "",
            (_, true) => "not run: not built yet",
            (_, false) => "FAILED",
        };
        println!("{name} {stage}: {} rows, {} different {note}", tally.cases, tally.different);
        if (tally.different > 0) != excused {
            failed += 1;
            tally.shown.iter().for_each(|text| println!("{text}"));
        }
    }
    failed
}

#[test]
fn huggingface() {
    assert_eq!(profile("huggingface"), 0, "stages that fail; see above");
}

#[test]
fn llama_cpp() {
    assert_eq!(profile("llama_cpp"), 0, "stages that fail; see above");
}

#[test]
fn vllm() {
    assert_eq!(profile("vllm"), 0, "stages that fail; see above");
}

/// The literal cases of llama.cpp's own tests, where they lie beside the package.
#[test]
fn llama_cpp_vectors() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/vectors/llama_cpp_sampling.json");
    let Ok(text) = fs::read_to_string(&path) else {
        println!("skipped: llama_cpp_vectors: no {}", path.display());
        return;
    };
    let stages: BTreeMap<String, Tally> = vectors::run(&text)
        .into_iter()
        .map(|(sampler, (cases, wrong))| {
            let shown = wrong.iter().take(3).map(|text| format!("    {text}")).collect();
            (sampler, Tally { cases, different: wrong.len(), shown })
        })
        .collect();
    let cases: usize = stages.values().map(|tally| tally.cases).sum();
    assert_eq!((stages.len(), cases), (11, 65), "the vectors have lost cases");
    assert_eq!(report("llama_cpp_vectors", &stages), 0, "samplers that fail; see above");
}

/// Lines of a profile's file: one with a short list of kept tokens and a picked one, a sweep, a sequence of steps.
fn samples() -> [serde_json::Value; 3] {
    let text = fs::read_to_string(golden("llama_cpp.jsonl")).expect("the golden file");
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let find =
        |wanted: &dyn Fn(&serde_json::Value) -> bool| lines.iter().find(|line| wanted(line)).expect("one").clone();
    let several = |line: &serde_json::Value| line["expect"]["kept"].as_array().is_some_and(|kept| kept.len() > 2);
    [
        find(&|line| several(line) && !line["expect"]["token"].is_null()),
        find(&|line| !line["expect_each"].is_null()),
        find(&|line| !line["steps"].is_null()),
    ]
}

/// Whether a line is read, and all of it is as expected.
fn passes(line: &serde_json::Value) -> bool {
    let read = std::panic::catch_unwind(|| reader::cases(&line.to_string()));
    read.is_ok_and(|cases| cases.iter().all(|case| run(case).is_ok()))
}

/// A line with `change` made to the value at `pointer`.
fn changed(line: &serde_json::Value, pointer: &str, change: impl Fn(&mut serde_json::Value)) -> serde_json::Value {
    let mut line = line.clone();
    change(line.pointer_mut(pointer).expect("the value to change"));
    line
}

#[test]
fn a_broken_expectation_does_not_pass() {
    let lines = samples();
    assert!(lines.iter().all(passes));
    let [one, sweep, steps] = &lines;
    let add =
        |amount: f64| move |value: &mut serde_json::Value| *value = (value.as_f64().expect("a number") + amount).into();
    let count = |value: &mut serde_json::Value| *value = (value.as_u64().expect("a count") + 1).into();
    let digest = |value: &mut serde_json::Value| *value = (value.as_u64().expect("a digest") ^ 1).into();
    let broken = [
        changed(one, "/expect/kept", |ids| ids.as_array_mut().expect("ids").swap(0, 1)),
        changed(one, "/expect/kept", |ids| drop(ids.as_array_mut().expect("ids").pop())),
        changed(one, "/expect/probabilities/0", add(3e-5)),
        changed(one, "/expect/token", |token| *token = one["expect"]["kept"][1].clone()),
        changed(sweep, "/expect_each/0/0", count),
        changed(sweep, "/expect_each/1/1", digest),
        changed(sweep, "/expect_each/2/2", add(3e-5)),
        changed(sweep, "/expect_each/3/3", add(5e-5)),
        changed(sweep, "/expect_each", |entries| drop(entries.as_array_mut().expect("entries").pop())),
        changed(steps, "/steps/1/1", count),
        changed(steps, "/steps/2/2", digest),
        changed(steps, "/steps/3/3", add(3e-5)),
    ];
    for (index, line) in broken.iter().enumerate() {
        assert!(!passes(line), "broken line {index} passes");
    }
}

#[test]
fn fields_that_nobody_reads_are_refused() {
    let [one, sweep, steps] = samples();
    let field = |value: &mut serde_json::Value| {
        drop(value.as_object_mut().expect("an object").insert("watermark".into(), 1.into()))
    };
    for line in [&one, &sweep, &steps] {
        for pointer in ["", "/params"] {
            assert!(!passes(&changed(line, pointer, field)), "{} with a field at {pointer}", line["id"]);
        }
    }
    assert!(!passes(&changed(&sweep, "/row", field)) && !passes(&changed(&one, "/expect", field)));
    let both = changed(&sweep, "", |line| line["logits"] = serde_json::json!([0.0, 1.0]));
    let neither = changed(&sweep, "", |line| drop(line.as_object_mut().expect("an object").remove("row")));
    let engine = changed(&one, "", |line| line["engine"] = serde_json::json!({"reason": "none"}));
    for line in [both, neither, engine] {
        assert!(!passes(&line), "{line}");
    }
}
