//! What other engines do with the same rows: the profiles against `tests/golden/*.jsonl`, which the generators in
//! `tests/conformance` made with the engines themselves. Kept sets and their order must be equal, probabilities within 1e-5.

#[path = "conformance/reader.rs"]
mod reader;
#[path = "conformance/vectors.rs"]
mod vectors;

use argpick::{Candidate, Decoder, Error};
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
fn decoder(case: &Case) -> Result<Decoder, String> {
    let text = |error: Error| error.to_string();
    let mut decoder = Decoder::new(&case.config, case.recipe.vocab).map_err(text)?;
    decoder.set_bias(&case.bias).map_err(text)?;
    decoder.set_bans(&case.bans).map_err(text)?;
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
fn kept(decoder: &mut Decoder, row: &[f32]) -> Result<Vec<Candidate>, String> {
    let mut list = vec![Candidate::default(); row.len()];
    let count = decoder.kept(row, None, &mut list).map_err(|error| error.to_string())?;
    list.truncate(count);
    list.sort_by(|a, b| b.logit.total_cmp(&a.logit).then(a.token.cmp(&b.token)));
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

fn run(case: &Case) -> Result<(), String> {
    let mut decoder = decoder(case)?;
    for (index, step) in case.steps.iter().enumerate() {
        let row = case.recipe.row(case.offset + index as u64);
        let list = kept(&mut decoder, &row)?;
        compare(&list, &step.expected, case.tolerance).map_err(|text| format!("step {index}: {text}"))?;
        if index + 1 < case.steps.len() {
            pick(&mut decoder, &row, step.token)?;
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
    assert!(stages.values().map(|tally| tally.cases).sum::<usize>() > 10_000, "the file has lost its cases");
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
