//! `tests/golden/beam.jsonl`: what transformers' `generate(num_beams=...)` answered on models that are tables. The format is
//! described in `tests/conformance/README.md`.

use super::tables::{levels, mix, recipe};
use argpick::{BeamConfig, BeamSearch, Config, Continuation, Decoder, EarlyStopping, Profile, Row};
use serde_json::Value;

/// What a case and its parts consist of: a field that nobody reads is refused.
const CASE: [&str; 14] = [
    "id",
    "profile",
    "stages",
    "table",
    "prompt",
    "num_beams",
    "length_penalty",
    "early_stopping",
    "end_tokens",
    "max_new_tokens",
    "num_return_sequences",
    "params",
    "expect",
    "tolerance",
];
const TABLE: [&str; 6] = ["kind", "seed", "vocab", "raised", "raise", "masked"];

fn only(value: &Value, known: &[&str]) {
    for name in value.as_object().expect("an object").keys() {
        assert!(known.contains(&name.as_str()), "a field that nobody reads: {name}");
    }
}

fn numbers(value: &Value) -> Vec<u32> {
    value.as_array().expect("a list").iter().map(|number| number.as_u64().expect("a token") as u32).collect()
}

fn row_of(table: &Value, tokens: &[u32]) -> Vec<f32> {
    let [.., before, last] = tokens else { panic!("two tokens at least") };
    let seed = table["seed"].as_u64().expect("a seed");
    let seed = mix(seed.wrapping_add(u64::from(*last)));
    let seed = mix(mix(seed.wrapping_add(u64::from(*before))).wrapping_add(tokens.len() as u64));
    let vocab = table["vocab"].as_u64().expect("a vocabulary") as usize;
    let mut row = recipe(table["kind"].as_str().expect("a kind"), seed, vocab);
    for token in numbers(&table["raised"]) {
        row[token as usize] += table["raise"].as_f64().expect("a number") as f32;
    }
    for token in numbers(&table["masked"]) {
        row[token as usize] = f32::NEG_INFINITY;
    }
    row
}

#[test]
fn the_sequences_are_those_of_transformers() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/beam.jsonl");
    let text = std::fs::read_to_string(path).expect("tests/golden/beam.jsonl");
    let kernels = *levels().last().expect("a level");
    let (mut seen, mut with_processors) = (0, 0);
    for line in text.lines() {
        let case: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!((&case["profile"], &case["stages"][0]), (&"huggingface".into(), &"beam".into()));
        only(&case, &CASE);
        only(&case["table"], &TABLE);
        only(&case["expect"], &["sequences", "scores"]);
        let count = |name: &str| case[name].as_u64().expect("a count") as u32;
        let params = case["params"].as_object().expect("parameters");
        let vocab = case["table"]["vocab"].as_u64().expect("a vocabulary") as usize;
        let (prompt, end_tokens) = (numbers(&case["prompt"]), numbers(&case["end_tokens"]));
        let known = ["repetition_penalty", "no_repeat_ngram", "min_tokens"];
        assert!(params.keys().all(|name| known.contains(&name.as_str())), "{params:?}");
        let param = |name: &str| params.get(name).map(|value| value.as_f64().expect("a number"));
        let config = BeamConfig {
            profile: Profile::HuggingFace,
            beams: count("num_beams"),
            n_best: count("num_return_sequences"),
            max_tokens: count("max_new_tokens"),
            min_tokens: param("min_tokens").map_or(0, |count| count as u32),
            length_penalty: case["length_penalty"].as_f64().expect("a number") as f32,
            early_stopping: match &case["early_stopping"] {
                Value::Bool(true) => EarlyStopping::Full,
                Value::Bool(false) => EarlyStopping::Heuristic,
                other => {
                    assert_eq!(other, "never");
                    EarlyStopping::Never
                }
            },
            end_tokens: &end_tokens,
            ..BeamConfig::default()
        };
        let processors = Config {
            profile: Profile::HuggingFace,
            repetition_penalty: param("repetition_penalty").map_or(1.0, |penalty| penalty as f32),
            no_repeat_ngram: param("no_repeat_ngram").map_or(0, |size| size as u32),
            ..Config::default()
        };
        let has_processors = processors != Config { profile: Profile::HuggingFace, ..Config::default() };
        let mut decoders: Vec<Decoder> = vec![];
        for _ in 0..config.beams {
            let mut decoder = Decoder::new_with_kernels(&processors, vocab, kernels).expect("a decoder");
            decoder.prompt(&prompt).expect("a prompt");
            decoders.push(decoder);
        }
        let mut search = BeamSearch::new_with_kernels(&config, vocab, kernels).expect("a search");
        let mut next = vec![Continuation::default(); search.outputs()];
        let mut beams = vec![prompt.clone()];
        while !search.is_finished() {
            let rows: Vec<Vec<f32>> = beams.iter().map(|tokens| row_of(&case["table"], tokens)).collect();
            let rows: Vec<Row<'_>> = rows.iter().map(Row::from).collect();
            let step = match has_processors || seen % 5 == 0 {
                true => search.step_with_decoders(&mut decoders, &rows, &[], &mut next),
                false => search.step(&rows, &[], &mut next),
            };
            let step = step.unwrap_or_else(|error| panic!("{}: {error}", case["id"]));
            beams = next[..step.live]
                .iter()
                .map(|entry| [&beams[entry.parent as usize][..], &[entry.token]].concat())
                .collect();
        }
        let expected = case["expect"]["sequences"].as_array().expect("sequences");
        let scores = case["expect"]["scores"].as_array().expect("scores");
        assert_eq!(search.hypotheses(), expected.len(), "{}", case["id"]);
        let tolerance = case["tolerance"].as_f64().expect("a tolerance");
        for (rank, (sequence, score)) in expected.iter().zip(scores).enumerate() {
            let told = search.hypothesis(rank).expect("a hypothesis");
            let mut tokens = vec![0; told.length as usize];
            search.hypothesis_tokens(rank, &mut tokens).expect("room");
            assert_eq!(tokens, numbers(sequence), "{}, rank {rank}", case["id"]);
            let score = score.as_f64().expect("a score");
            assert!((told.score - score).abs() <= tolerance * score.abs().max(1.0), "{}: {told:?} {score}", case["id"]);
        }
        seen += 1;
        with_processors += usize::from(has_processors);
    }
    println!("{seen} searches as transformers does them, {with_processors} of them with processors");
    assert!(seen > 500 && with_processors > 50, "only {seen} cases, {with_processors} with processors");
}
