//! The lab as a library: sweep files, runs side by side, results that go on where they were left, and what sets runs apart;
//! against naive computations of the same.
#![cfg(feature = "lab")]

use argpick::lab::compare::partings;
use argpick::lab::run::{Begun, Progress, resolve, run};
use argpick::lab::{
    Fingerprint, Input, Model, Preset, Results, RunRecord, Steps, Sweep, Termination, summarise, to_json, write_text,
};
use argpick::{Config, Decoder, Finish, Kernels, Level, Metrics, Mode, TokenId};
use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::ops::ControlFlow;

#[path = "lab/results.rs"]
mod results;

const VOCAB: usize = 40;

/// A model that hashes the last token, so that its best tokens soon run in a circle. After token 39 its row has a NaN, after
/// 38 it has none, and it does not take the prompt "no".
struct Hashes;

impl Hashes {
    fn row(last: TokenId) -> Vec<f32> {
        let mut state = 100 + u64::from(last);
        let mut next = || {
            state = argpick::rng::mix(state);
            ((state >> 40) as f32 / (1 << 23) as f32 - 1.0) * 4.0
        };
        let mut row: Vec<f32> = (0..VOCAB).map(|_| next()).collect();
        for rare in [7, 38, 39] {
            row[rare] -= 3.0;
        }
        if last == 39 {
            row[17] = f32::NAN;
        }
        row
    }

    fn tokens(text: &str) -> Vec<TokenId> {
        text.bytes().map(|byte| TokenId::from(byte) % VOCAB as TokenId).collect()
    }

    fn piece(token: TokenId) -> String {
        char::from(b'A' + token as u8).to_string()
    }
}

fn last(tokens: &[TokenId]) -> TokenId {
    tokens.last().copied().unwrap_or(0)
}

impl Model for Hashes {
    type State = Vec<TokenId>;

    fn identity(&self) -> String {
        "hashes".to_owned()
    }
    fn vocab(&self) -> usize {
        VOCAB
    }
    fn end_tokens(&self) -> Vec<TokenId> {
        vec![7]
    }
    fn token(&self, text: &str) -> Option<TokenId> {
        (0..VOCAB as TokenId).find(|&token| Hashes::piece(token) == text)
    }
    fn begin(&self, input: &Input) -> Result<Begun<Vec<TokenId>>, String> {
        let tokens = match input {
            Input::Text(text) if text == "no" => return Err("no is no prompt".to_owned()),
            Input::Text(text) => Hashes::tokens(text),
            Input::Tokens(tokens) => tokens.clone(),
        };
        Ok(Begun { input_tokens: tokens.len(), history: tokens.clone(), state: tokens })
    }
    fn rows(&self, texts: &[&Vec<TokenId>], rows: &mut [f32], refused: &mut [Option<String>]) {
        for ((text, row), refused) in texts.iter().zip(rows.chunks_mut(VOCAB)).zip(refused) {
            match text.as_slice() {
                [.., 38] => *refused = Some("38 is too much".to_owned()),
                text => row.copy_from_slice(&Hashes::row(last(text))),
            }
        }
    }
    fn advance(&self, text: &mut Vec<TokenId>, token: TokenId) -> String {
        text.push(token);
        Hashes::piece(token)
    }
}

fn kernels() -> Kernels {
    Kernels::detect().unwrap()
}

fn parse(text: &str) -> Sweep {
    Sweep::parse("sweep.yaml", text, false).unwrap_or_else(|error| panic!("{error}"))
}

/// Every way to end is in it.
const SWEEP: &str = "
prompts: [sea, sky, no, the old sailor, {tokens: [3, 38], name: refused}, {tokens: [1, 39], name: NaN}, {tokens: [], name: none}]
parameter_sets:
  - greedy
  - careful
  - {name: hot, preset: creative, temperature: 2.5, stream: 9}
  - {name: one word, no_repeat_window: 40, valid_vocab: 6, temperature: 0.7}
  - {name: circle, mode: greedy, loop_repeats: 3, loop_period: 20, max_tokens: 90}
seeds: [3, 18446744073709551615]
max_tokens: 45
max_batch_size: 5
stop_strings: [LM, XYZ, Q]
stop_tokens: [[12, 4], [A, 30]]
";

/// Does a whole sweep in memory.
fn all(sweep: &Sweep, batch: usize, kernels: Kernels) -> Vec<RunRecord> {
    let ends = resolve(sweep, &Hashes).unwrap();
    let mut records = Vec::new();
    let numbers: Vec<usize> = (0..sweep.len()).collect();
    let mut last = Progress::default();
    let mut watch = |progress: &Progress| {
        assert!(progress.runs >= last.runs && progress.tokens >= last.tokens);
        last = *progress;
        ControlFlow::Continue(())
    };
    let mut done = |record| {
        records.push(record);
        Ok(())
    };
    let whole = run(&Hashes, (sweep, &ends), kernels, batch, &numbers, &mut done, &mut watch).unwrap();
    assert!(whole.is_continue());
    assert_eq!(last.runs, sweep.len());
    records.sort_by_key(|record| record.run);
    records
}

/// The lines without the only field that depends on time.
fn lines(records: &[RunRecord]) -> Vec<String> {
    let timeless = |record: &RunRecord| RunRecord { seconds_per_token: 0.0, ..record.clone() }.to_line("x");
    records.iter().map(timeless).collect()
}

#[test]
fn results_are_the_same_however_many_runs_are_decoded_together() {
    let sweep = parse(SWEEP);
    let alone = all(&sweep, 1, kernels());
    assert_eq!(alone.len(), 7 * 5 * 2);
    for batch in [2, 3, 7, 64, 1000] {
        assert_eq!(lines(&all(&sweep, batch, kernels())), lines(&alone), "batch {batch}");
    }
    assert_eq!(lines(&all(&sweep, 4, Kernels::new(Level::Scalar).unwrap())), lines(&alone));
    let reasons: BTreeSet<&str> = alone.iter().map(|record| record.finish.name()).collect();
    assert_eq!(reasons.len(), Termination::ALL.len(), "{reasons:?}");
}

#[test]
fn each_run_is_what_a_decoder_alone_does() {
    let sweep = parse(SWEEP);
    for record in all(&sweep, 6, kernels()) {
        let run = sweep.run(record.run);
        let input = &sweep.prompts[run.prompt].input;
        assert_eq!(record.run, (run.prompt * 5 + run.set) * 2 + usize::from(run.seed != 3));
        assert_eq!((record.seed, record.prompt.0, record.set.0), (run.seed, run.prompt, run.set));
        assert_eq!(record.stream, run.prompt as u64 + if run.set == 2 { 9 } else { 0 });
        let mut text = match input {
            Input::Text(text) if text == "no" => {
                assert_eq!((record.finish, record.error.as_deref()), (Termination::Error, Some("no is no prompt")));
                continue;
            }
            Input::Text(text) => Hashes::tokens(text),
            Input::Tokens(tokens) => tokens.clone(),
        };
        assert_eq!(record.input_tokens, text.len());
        let mut decoder = Decoder::new(&run.config, VOCAB).unwrap();
        decoder.prompt(&text).unwrap();
        let (mut written, mut tokens) = (String::new(), Vec::new());
        let (finish, error) = loop {
            if text.last() == Some(&38) {
                break (Termination::Error, Some("38 is too much".to_owned()));
            }
            let row = Hashes::row(last(&text));
            let pick = match decoder.decode(&row, None) {
                Ok(pick) => pick,
                Err(argpick::Error::EverythingMasked) => break (Termination::MaskExhausted, None),
                Err(error) => break (Termination::Error, Some(error.to_string())),
            };
            let step = tokens.len();
            tokens.push(pick.token);
            text.push(pick.token);
            // What is measured, from the row itself where no rule has touched it.
            if run.set < 3 {
                let temperature = if run.config.mode == Mode::Greedy { 1.0 } else { f64::from(run.config.temperature) };
                let mut logits: Vec<f64> = row.iter().map(|&z| f64::from(z)).collect();
                logits.sort_by(|a, b| b.total_cmp(a));
                let weights: Vec<f64> = logits.iter().map(|z| ((z - logits[0]) / temperature).exp()).collect();
                let total: f64 = weights.iter().sum();
                let entropy: f64 = weights.iter().map(|w| -w / total * (w / total).ln()).sum();
                assert!((f64::from(record.steps.entropy[step]) - entropy).abs() < 1e-4);
                assert!((f64::from(record.steps.top1_probability[step]) - 1.0 / total).abs() < 1e-5);
                assert!((f64::from(record.steps.margin[step]) - (logits[0] - logits[1])).abs() < 1e-5);
                let above = row.iter().filter(|&&z| z > row[pick.token as usize]).count();
                assert_eq!(record.steps.rank[step] as usize, above);
            }
            if pick.token == 7 {
                break (Termination::EndToken, None);
            }
            written += &Hashes::piece(pick.token);
            assert_eq!(record.steps.pieces[step], Hashes::piece(pick.token));
            let stops = tokens.ends_with(&[12, 4]) || tokens.ends_with(&[0, 30]);
            if stops || written.contains("LM") || written.contains("XYZ") || written.contains("Q") {
                break (Termination::Stop, None);
            }
            if tokens.len() == run.config.max_tokens as usize {
                break (Termination::Length, None);
            }
            if run.config.loop_repeats > 0 {
                let circles = |period: usize| {
                    tokens.len() >= 3 * period
                        && (0..2 * period)
                            .all(|back| tokens[tokens.len() - 1 - back] == tokens[tokens.len() - 1 - back - period])
                };
                if (1..=20).any(circles) {
                    assert_eq!(pick.finish, Finish::Loop);
                    break (Termination::Loop, None);
                }
            }
        };
        assert_eq!((record.finish, &record.error), (finish, &error), "run {}", record.run);
        assert_eq!((&record.text, &record.steps.tokens), (&written, &tokens), "run {}", record.run);
        assert_eq!(record.output_tokens, written.len());
        if let Some(error) = &error {
            assert!(error.contains("38") || error.contains("token 17 is NaN"), "{error}");
        }
        assert_eq!(record.seconds_per_token.is_finite(), !tokens.is_empty());
        assert!(record.seconds_per_token.is_nan() || record.seconds_per_token >= 0.0);
        let mean = record.steps.entropy.iter().map(|&value| f64::from(value)).sum::<f64>() / tokens.len() as f64;
        assert!(tokens.is_empty() || record.mean_entropy() == mean);
    }
}

#[test]
fn yaml_and_json_say_the_same_and_presets_are_what_they_say() {
    let sweep =
        parse("prompts: [a]\nparameter_sets: [greedy, careful, creative, {top_k: 3}, {preset: careful, top_p: 1}]\n");
    let json = r#"{"prompts": ["a"], "parameter_sets": ["greedy", "careful", "creative", {"top_k": 3},
                   {"preset": "careful", "top_p": 1.0}]}"#;
    assert_eq!(sweep, Sweep::parse("sweep.json", json, true).unwrap());
    assert_eq!((sweep.seeds.as_slice(), sweep.max_batch_size, sweep.ends.end_tokens.as_ref()), (&[0][..], 8, None));
    let metrics = Metrics::CONFIDENCE | Metrics::LOGPROB | Metrics::RANK | Metrics::KEPT | Metrics::LOOP;
    let base = Config { max_tokens: 64, metrics, ..Config::default() };
    let careful = Config { temperature: 0.2, top_k: 50, top_p: 0.9, ..base.clone() };
    let expected = [
        ("greedy", Some(Preset::Greedy), Config { mode: Mode::Greedy, ..base.clone() }),
        ("careful", Some(Preset::Careful), careful.clone()),
        ("creative", Some(Preset::Creative), Config { temperature: 0.9, top_k: 100, top_p: 0.95, ..base.clone() }),
        ("top_k 3", None, Config { top_k: 3, ..base }),
        ("temperature 0.2, top_k 50", Some(Preset::Careful), Config { top_p: 1.0, ..careful }),
    ];
    for (set, (name, preset, config)) in sweep.sets.iter().zip(expected) {
        assert_eq!((set.name.as_str(), set.preset, &set.config), (name, preset, &config));
    }
    // Choices by name, a flag, and the keys of the file that are parameters of every set.
    let sweep = parse(
        "prompts: [{text: '42', name: n}]\nparameter_sets: [{profile: vllm, keep_ties: true, top_k: 2, name: x}, \
         {penalty_scope: generated, mirostat: 2, mode: sample, max_tokens: 5, min_tokens: 0}]\nmin_tokens: 2\n\
         loop_repeats: 4\nmax_tokens: 9\nend_tokens: [3, B]\n",
    );
    let [one, two] = [&sweep.sets[0].config, &sweep.sets[1].config];
    assert_eq!((one.profile, one.keep_ties, one.min_tokens, one.max_tokens), (argpick::Profile::Vllm, true, 2, 9));
    assert_eq!((two.mirostat, two.max_tokens, two.min_tokens, two.loop_repeats), (argpick::Mirostat::Two, 5, 0, 4));
    assert_eq!(two.penalty_scope, argpick::PenaltyScope::Generated);
    assert_eq!(resolve(&sweep, &Hashes).unwrap().end_tokens, [3, 1]);
    assert_eq!(sweep.prompts[0].input, Input::Text("42".to_owned()));
}

#[test]
fn what_a_sweep_file_must_not_say_is_refused_with_its_place() {
    let head = "prompts: [a]\nparameter_sets: [greedy]\n";
    let with_set = |set: &str| format!("prompts: [a]\nparameter_sets:\n  - greedy\n  - {set}\n");
    for (text, parts) in [
        (format!("{head}promts: [b]\n"), &["line 3", "promts is not known", "did you mean prompts?", "seeds"][..]),
        (format!("{head}colour: red\n"), &["colour is not known here; allowed: prompts, parameter_sets"]),
        (format!("{head}seeds: 3\n"), &["line 3", "seeds is 3; allowed: a list of whole numbers"]),
        (format!("{head}seeds: []\n"), &["seeds is a list of 0; allowed: a list of at least one seed"]),
        (format!("{head}seeds: [1, 2, 1]\n"), &["seeds[2] is 1, which stands there already"]),
        (format!("{head}seeds: [-1]\n"), &["seeds[0] is -1; allowed: a whole number from 0 to 18446744073709551615"]),
        (format!("{head}seeds: [1.5]\n"), &["seeds[0] is 1.5"]),
        (format!("{head}max_batch_size: 0\n"), &["max_batch_size is 0; allowed: a whole number from 1 to 4096"]),
        (format!("{head}max_tokens: 0\n"), &["max_tokens is 0; allowed: a whole number from 1 to 1000000"]),
        (format!("{head}max_tokens: many\n"), &["max_tokens is \"many\"; allowed: a whole number from 1"]),
        (format!("{head}end_tokens: '.'\n"), &["end_tokens is \".\"; allowed: a list of ids and texts"]),
        (format!("{head}end_tokens: [1.5]\n"), &["end_tokens[0] is 1.5; allowed: a token's id or its text"]),
        (format!("{head}stop_tokens: [[]]\n"), &["stop_tokens[0] is a list of 0; allowed: a list of at least one"]),
        (format!("{head}stop_strings: ['']\n"), &["stop_strings[0] is \"\"; allowed: a text that is not empty"]),
        (format!("{head}stop_strings: [7]\n"), &["stop_strings[0] is 7"]),
        (format!("{head}loop_period: 99999\n"), &["line 3", ": loop_period is 99999; allowed", "history_capacity"]),
        (
            with_set("{temprature: 1}"),
            &["line 4", "parameter_sets[1].temprature is not known", "did you mean temperature?"],
        ),
        (
            with_set("{temperature: -1}"),
            &["line 4", "parameter_sets[1].temperature is -1; allowed: a finite number from 0"],
        ),
        (with_set("{temperature: hot}"), &["temperature is \"hot\"; allowed: a finite"]),
        (with_set("{temperature: .nan}"), &["temperature is NaN; allowed: a finite"]),
        (with_set("{temperature: 1e300}"), &["temperature is inf; allowed: a finite"]),
        (with_set("{temperature: 1e-60}"), &["temperature is 0.0000", "too small to be told from 0 (greedy)"]),
        (with_set("{top_p: 1.5}"), &["parameter_sets[1].top_p is 1.5; allowed: a number from 0 to 1"]),
        (with_set("{top_k: 1.5}"), &["parameter_sets[1].top_k is 1.5; allowed: a whole number"]),
        (with_set("{top_k: -3}"), &["top_k is -3; allowed: a whole number"]),
        (with_set("{top_k: [3]}"), &["top_k is a list of 1"]),
        (with_set("{keep_ties: maybe}"), &["keep_ties is \"maybe\"; allowed: true or false"]),
        (with_set("{profile: vlm}"), &["profile is \"vlm\"; allowed: canon, huggingface, llama_cpp or vllm"]),
        (with_set("{mode: 2}"), &["mode is 2; allowed: sample or greedy"]),
        (with_set("{mirostat: 3}"), &["mirostat is 3; allowed: 0 (off), 1 or 2"]),
        (
            with_set("{profile: vllm, top_a: 0.1}"),
            &["parameter_sets[1].top_a is used, but the profile vllm has no such"],
        ),
        (with_set("{max_tokens: 0}"), &["parameter_sets[1].max_tokens is 0; allowed"]),
        (with_set("{seed: 1}"), &["parameter_sets[1].seed does not stand in a parameter set", "seeds"]),
        (with_set("{metrics: 1}"), &["parameter_sets[1].metrics cannot be set"]),
        (with_set("{preset: wild}"), &["parameter_sets[1].preset is \"wild\"; allowed: greedy, careful or creative"]),
        (with_set("wild"), &["parameter_sets[1] is \"wild\"; allowed: greedy, careful or creative"]),
        (with_set("greedy"), &["parameter_sets[1] has the name \"greedy\" of parameter_sets[0]"]),
        (with_set("7"), &["parameter_sets[1] is 7; allowed: the name of a preset"]),
        (with_set("{top_k: 1, top_k: 2}"), &["line 4", "top_k stands there twice"]),
        ("prompts: [a]\nparameter_sets: []\n".into(), &["parameter_sets is a list of 0; allowed"]),
        ("prompts: []\nparameter_sets: [greedy]\n".into(), &["prompts is a list of 0; allowed"]),
        ("prompts: [1]\nparameter_sets: [greedy]\n".into(), &["prompts[0] is 1; allowed: a text, or a mapping"]),
        ("prompts: [{text: a, tokens: [1]}]\nparameter_sets: [greedy]\n".into(), &["prompts[0] has both"]),
        ("prompts: [{name: a}]\nparameter_sets: [greedy]\n".into(), &["prompts[0] has neither text nor tokens"]),
        ("prompts: [{tokens: [1, x]}]\nparameter_sets: [greedy]\n".into(), &["prompts[0].tokens[1] is \"x\"; allowed"]),
        ("prompts: [{txt: a}]\nparameter_sets: [greedy]\n".into(), &["prompts[0].txt is not known", "mean text?"]),
        ("prompts: [a]\n".into(), &["has no parameter_sets"]),
        ("parameter_sets: [greedy]\n".into(), &["has no prompts"]),
        ("- a\n".into(), &["is a list of 1; allowed: a mapping with prompts"]),
        ("prompts: [a\n".into(), &["malformed YAML"]),
    ] {
        let message = Sweep::parse("sweep.yaml", &text, false).expect_err(&text).to_string();
        assert!(message.starts_with("sweep.yaml") && !message.contains('\n'), "{message}");
        for part in parts {
            assert!(message.contains(part), "{text}: {part:?} is not in {message:?}");
        }
    }
    let strange = r#"{"prompts": ["a"], "parameter_sets": ["greedy"], "\u001b[31m": 1}"#;
    let message = Sweep::parse("sweep.json", strange, true).unwrap_err().to_string();
    assert!(message.starts_with("sweep.json: ?[31m is not known here") && !message.contains('\u{1b}'), "{message}");
    for (text, place) in [
        ("prompts: [{tokens: [1, 40]}]\nparameter_sets: [greedy]\n", "prompts[0].tokens[1] is 40; allowed: ids below"),
        ("prompts: [a]\nparameter_sets: [greedy]\nend_tokens: [41]\n", "end_tokens[0] is 41; allowed"),
        ("prompts: [a]\nparameter_sets: [greedy]\nstop_tokens: [[1], [2, word]]\n", "stop_tokens[1][1] is \"word\""),
        ("prompts: [a]\nparameter_sets: [greedy, {valid_vocab: 41}]\n", "parameter_sets[1] (valid_vocab 41)"),
    ] {
        let message = resolve(&parse(text), &Hashes).unwrap_err().to_string();
        assert!(message.contains(place), "{message}");
    }
}

#[test]
fn what_sets_runs_apart_is_what_a_naive_look_finds() {
    let sweep = parse(
        "prompts: [sea, sky, {tokens: [1, 39], name: NaN}]\nparameter_sets: [greedy, {top_k: 1}, {temperature: 0.02}, creative, {temperature: 3}]\n\
         seeds: [1, 2, 3]\nmax_tokens: 12\nend_tokens: [7, 8, 9]\n",
    );
    let records = all(&sweep, 8, kernels());
    let summary = summarise(&records);
    assert_eq!((summary.done, summary.prompts.len(), summary.sets.len()), (45, 3, 5));
    let (mut forks, mut differing) = (0, 0);
    for prompt in &summary.prompts {
        let of_prompt: Vec<&RunRecord> = records.iter().filter(|record| record.prompt.0 == prompt.prompt).collect();
        let whole: Vec<&RunRecord> =
            of_prompt.iter().copied().filter(|record| record.finish != Termination::Error).collect();
        let failed: Vec<usize> =
            of_prompt.iter().filter(|record| record.finish == Termination::Error).map(|record| record.run).collect();
        assert_eq!(prompt.failed, failed);
        for (a, b) in whole.iter().flat_map(|&a| whole.iter().map(move |&b| (a, b))) {
            let group = |run: usize| prompt.groups.iter().position(|group| group.runs.contains(&run)).unwrap();
            let same = a.steps.tokens == b.steps.tokens;
            assert_eq!(group(a.run) == group(b.run), same);
            // Where two runs first differ, found token by token.
            let first = (0..)
                .find(|&step| a.steps.tokens.get(step) != b.steps.tokens.get(step) || a.steps.tokens.len() <= step);
            let parted = prompt.forks.iter().filter(|fork| {
                let way = |run| fork.ways.iter().position(|way| way.choices.iter().any(|choice| choice.run == run));
                matches!((way(a.run), way(b.run)), (Some(x), Some(y)) if x != y)
            });
            let steps: Vec<usize> = parted.map(|fork| fork.step).collect();
            assert_eq!(steps, if same { vec![] } else { vec![first.unwrap()] });
        }
        for fork in &prompt.forks {
            forks += 1;
            assert!(fork.ways.len() > 1);
            for choice in fork.ways.iter().flat_map(|way| &way.choices) {
                let run = &records[choice.run];
                assert_eq!(run.text.get(..fork.shared.len()), Some(fork.shared.as_str()));
                match run.steps.entropy.get(fork.step) {
                    Some(&entropy) => {
                        assert_eq!((choice.entropy, choice.margin), (entropy, run.steps.margin[fork.step]))
                    }
                    None => assert!(choice.entropy.is_nan() && choice.margin.is_nan()),
                }
            }
        }
        for group in &prompt.groups {
            let members: Vec<&RunRecord> = group.runs.iter().map(|&run| &records[run]).collect();
            let largest = members.iter().flat_map(|run| &run.steps.entropy).copied().fold(f32::MIN, f32::max);
            let smallest = members.iter().flat_map(|run| &run.steps.margin).copied().fold(f32::MAX, f32::min);
            let found = group.largest_entropy.unwrap();
            assert_eq!((found.value, records[found.run].steps.entropy[found.step]), (largest, largest));
            let found = group.smallest_margin.unwrap();
            assert_eq!((found.value, records[found.run].steps.margin[found.step]), (smallest, smallest));
            let drawn = members.iter().filter(|run| run.set.1 != "greedy");
            let all = drawn.map(|run| run.steps.logprob.iter().map(|&l| f64::from(l).exp()).product::<f64>());
            let all: Vec<f64> = all.collect();
            differing += usize::from(all.iter().any(|&one| one < 0.99 * all[0]));
            assert_eq!(group.is_greedy, members.iter().all(|run| run.steps.rank.iter().all(|&rank| rank == 0)));
            match (group.probability, all.into_iter().reduce(f64::min)) {
                (Some(found), Some(naive)) => assert!((found - naive).abs() < 1e-9 + 1e-6 * naive, "{found} {naive}"),
                (found, naive) => assert_eq!(found, naive),
            }
        }
    }
    assert!(forks > 5 && differing > 0, "{forks} {differing}");
    // Greedy, and top-k of one, which draws but has no choice.
    let group = &summary.prompts[0].groups[0];
    assert!(group.runs.len() >= 6 && group.is_greedy && group.runs[..6] == [0, 1, 2, 3, 4, 5]);
    for set in &summary.sets {
        let of_set: Vec<&RunRecord> =
            records.iter().filter(|record| record.set.0 == set.set && record.finish != Termination::Error).collect();
        assert_eq!(set.runs, of_set.len());
        for (n, ratio) in (1..).zip(set.distinct) {
            let (mut grams, mut all) = (HashSet::new(), 0);
            for record in &of_set {
                // One letter is one token here.
                for start in 0..(record.text.len() + 1).saturating_sub(n) {
                    grams.insert(&record.text[start..start + n]);
                    all += 1;
                }
            }
            assert_eq!(ratio, grams.len() as f64 / all as f64, "{} distinct-{n}", set.name);
        }
        let entropies: Vec<f64> = of_set.iter().flat_map(|run| &run.steps.entropy).map(|&e| f64::from(e)).collect();
        let mean = entropies.iter().sum::<f64>() / entropies.len() as f64;
        assert!((set.mean_entropy - mean).abs() < 1e-12);
        let ended: usize = set.finishes.iter().map(|(_, count)| count).sum();
        assert_eq!(ended, 9);
    }
    let json = to_json(&summary);
    assert_eq!(json["prompts"][0]["identical"][0]["runs"][5], 5);
    assert_eq!(json["failed"], summary.failed);
    let mut text = String::new();
    write_text(&mut text, &summary, &records.iter().collect::<Vec<_>>()).unwrap();
    assert!(text.contains("every pick was the best token") && text.contains("part  step"), "{text}");
    assert!(text.contains("nothing else was to be expected"), "{text}");
    assert!(text.contains("error: the logit of token 17 is NaN"), "{text}");
    // Any pair of equal tokens has no parting, whatever else is there.
    assert_eq!(partings(&[&[1, 2], &[1, 2], &[1, 2]]), []);
}

#[test]
fn no_text_makes_the_reader_panic() {
    let json = r#"{"prompts": ["a", {"tokens": [1]}], "parameter_sets": [{"top_p": 0.5}], "seeds": [1, 2e0]}"#;
    let mut state = 5u64;
    let mut next = |below: usize| {
        state = argpick::rng::mix(state);
        (state >> 33) as usize % below
    };
    let strange = b"[]{}:,-?&*!|>'\"%@`#\n\t \\0~.\xc3\xa9";
    let mut read = 0;
    for round in 0..if cfg!(debug_assertions) { 2_000 } else { 20_000 } {
        let is_json = round % 4 == 0;
        let mut bytes = if is_json { json.as_bytes().to_vec() } else { SWEEP.as_bytes().to_vec() };
        for _ in 0..=next(4) {
            if bytes.len() < 2 {
                break;
            }
            let at = next(bytes.len());
            match next(4) {
                0 => bytes[at] = strange[next(strange.len())],
                1 => bytes.insert(at, strange[next(strange.len())]),
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(at.max(1)),
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        match Sweep::parse("fuzz", &text, is_json) {
            Ok(sweep) => {
                read += 1;
                assert!(!sweep.is_empty() && sweep.run(sweep.len() - 1).number == sweep.len() - 1);
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    assert!(read > 20, "{read} texts were read");
}
