//! `argpick decode --beams`, by running it.
#![cfg(feature = "cli")]

#[allow(dead_code)]
#[path = "support/npz.rs"]
mod npz;
#[path = "support/small.rs"]
mod small;
#[path = "support/tool.rs"]
mod tool;

use argpick::Kernels;
use argpick::sandbox::Model;
use argpick::sandbox::features::shift;
use serde_json::{Value, json};
use small::{SMALL, small_model};
use std::fs;
use tool::{folder, json_of, refused, run, stderr, stdout};

/// Every text of at most `steps` tokens, with its sum of log-probabilities, by enumeration in f64.
fn enumerate(
    model: &Model,
    recent: [u32; 3],
    steps: usize,
    temperature: f64,
    text: &[u32],
    sum: f64,
    found: &mut Vec<(Vec<u32>, f64)>,
) {
    let mut row = vec![0.0; model.vocab()];
    model.logits(Kernels::detect().unwrap(), recent, &mut row).unwrap();
    let weights: Vec<f64> = row.iter().map(|&z| (f64::from(z) / temperature).exp()).collect();
    let total: f64 = weights.iter().sum();
    for (class, weight) in weights.iter().enumerate() {
        let text: Vec<u32> = text.iter().copied().chain([class as u32]).collect();
        let sum = sum + (weight / total).ln();
        if class >= 3 || text.len() == steps {
            found.push((text, sum));
        } else {
            let next = shift(recent, model.space().id(SMALL[class]));
            enumerate(model, next, steps, temperature, &text, sum, found);
        }
    }
}

#[test]
fn enough_beams_rank_every_text_as_enumeration_does() {
    let (_folder, path) = folder();
    let file = path("model.npz");
    fs::write(&file, small_model()).unwrap();
    let model = Model::open(&file).unwrap();
    let recent = shift(model.space().start(), model.space().id("cat"));
    let mut texts = Vec::new();
    enumerate(&model, recent, 3, 0.8, &[], 0.0, &mut texts);
    // Two ends at the first token, three times two at the second, nine times five at the third.
    assert_eq!(texts.len(), 2 + 6 + 45);
    let mut ranked: Vec<(Vec<u32>, f64, f64)> =
        texts.into_iter().map(|(text, sum)| (text.clone(), sum / (text.len() as f64).powf(0.7), sum)).collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut arguments = vec!["decode", "--weights", &file, "--context", "cat", "--no-dangling", "0", "--steps", "3"];
    arguments.extend(["--beams", "64", "--temp", "0.8", "--length-penalty", "0.7"]);
    let with = |extra: &[&'static str]| arguments.iter().copied().chain(extra.iter().copied()).collect::<Vec<&str>>();
    let found = json_of(&with(&["--json"]), 0);
    let text = &found["texts"][0];
    assert_eq!((&text["steps"], &text["exhausted"], &text["input_tokens"]), (&3.into(), &false.into(), &1.into()));
    let hypotheses = text["hypotheses"].as_array().unwrap();
    assert_eq!(hypotheses.len(), ranked.len());
    let mut reasons = std::collections::BTreeSet::new();
    for (told, (classes, score, sum)) in hypotheses.iter().zip(&ranked) {
        let last = *classes.last().unwrap();
        let spoken = &classes[..classes.len() - usize::from(last == 4)];
        let words: Vec<&str> = spoken.iter().map(|&class| SMALL[class as usize]).collect();
        assert_eq!(told["tokens"], json!(words));
        assert_eq!(told["length"], classes.len());
        assert!((told["score"].as_f64().unwrap() - score).abs() < 1e-5, "{told} {score}");
        assert!((told["logprob"].as_f64().unwrap() - sum).abs() < 1e-5, "{told} {sum}");
        let stop = ["steps", "steps", "steps", "punctuation", "end token"][last as usize];
        assert_eq!(told["stop"], stop);
        reasons.insert(stop);
    }
    assert_eq!(reasons.len(), 3);

    let printed = stdout(&run(&with(&["--n-best", "2"])));
    assert!(printed.contains("64 beams in 1 group") && printed.contains("length-penalty 0.7"), "{printed}");
    let lines: Vec<&str> = printed.lines().skip_while(|line| !line.contains("rank")).collect();
    assert_eq!(lines.len(), 3, "{printed}");
    for (line, told) in lines[1..].iter().zip(hypotheses) {
        let score = format!("{:.6}", told["score"].as_f64().unwrap());
        assert!(line.contains(&score) && line.contains(told["stop"].as_str().unwrap()), "{line}");
        assert!(line.ends_with(told["continuation"].as_str().unwrap()), "{line}");
    }
}

#[test]
fn one_beam_is_greedy_decoding_and_rules_hold() {
    for rules in [&[][..], &["--ban", "the,a,is", "--no-repeat-window", "6", "--min-steps", "4", "--det-a-an", "1"]] {
        let with = |extra: &[&'static str]| {
            let mut arguments = vec!["decode", "--json", "--steps", "12"];
            arguments.extend(rules);
            arguments.extend(extra);
            json_of(&arguments, 0)
        };
        let (greedy, beams) = (with(&[]), with(&["--beams", "1"]));
        let (greedy, beams) = (greedy["texts"].as_array().unwrap(), beams["texts"].as_array().unwrap());
        assert_eq!(greedy.len(), beams.len());
        assert!(greedy.len() > 2);
        for (greedy, beam) in greedy.iter().zip(beams) {
            let best = &beam["hypotheses"][0];
            for (told, of_decode) in [("continuation", "continuation"), ("stop", "stop")] {
                assert_eq!(best[told], greedy[of_decode], "{}", greedy["context_start"]);
            }
            let picks = greedy["steps"].as_array().unwrap();
            let sum: f64 = picks.iter().map(|step| (step["p_top1"].as_f64().unwrap()).ln()).sum();
            assert!((best["logprob"].as_f64().unwrap() - sum).abs() < 1e-4, "{best} {sum}");
        }
    }
}

#[test]
fn groups_part_and_rules_may_leave_nothing() {
    let (_folder, path) = folder();
    let file = path("model.npz");
    fs::write(&file, small_model()).unwrap();
    let firsts = |found: &Value| {
        let list = found["hypotheses"].as_array().unwrap();
        list.iter().map(|text| text["tokens"][0].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let two = |extra: &[&'static str]| {
        let mut arguments = vec!["decode", "--weights", &file, "--context", "cat", "--json", "--steps", "2"];
        arguments.extend(["--beams", "2", "--groups", "2", "--stop-punct", "0", "--min-steps", "2"]);
        arguments.extend(extra);
        firsts(&json_of(&arguments, 0)["texts"][0])
    };
    let (alone, apart) = (two(&[]), two(&["--diversity-penalty", "50"]));
    assert_eq!(alone[0], alone[1]);
    assert_ne!(apart[0], apart[1]);

    let output = run(&[
        "decode",
        "--weights",
        &file,
        "--context",
        "cat",
        "--beams",
        "2",
        "--ban",
        "the,cat,sat",
        "--min-steps",
        "9",
        "--json",
    ]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stderr(&output).contains("no word to any beam after step 0"), "{}", stderr(&output));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["texts"][0]["exhausted"], true);
    assert_eq!(found["texts"][0]["hypotheses"], json!([]));
}

/// What a decoder beside a beam does to a row, in f64: `said` is the prompt and the text so far.
type Adjust = fn(&[u32], &mut [f64]);

/// Why a text ends here, if it does; the model's own ends come first.
type Ends = fn(&[u32]) -> Option<&'static str>;

fn counts(said: &[u32]) -> [f64; 5] {
    let mut counts = [0.0; 5];
    said.iter().for_each(|&word| counts[word as usize] += 1.0);
    counts
}

/// The length of the repetition that a word would prolong, by comparing everything.
fn repetition(said: &[u32], word: u32) -> usize {
    let same = |at: usize| (1..=at).take_while(|&back| said[at - back] == said[said.len() - back]).count();
    (0..said.len()).filter(|&at| said[at] == word).map(same).max().unwrap_or(0)
}

/// As [`enumerate`], with the rows adjusted and further ends: text, sum of log-probabilities, why it ended.
fn enumerate_beside(model: &Model, steps: usize, adjust: Adjust, ends: Ends) -> Vec<(Vec<u32>, f64, &'static str)> {
    let start = shift(model.space().start(), model.space().id("cat"));
    let (mut open, mut found) = (vec![(start, Vec::new(), 0.0)], Vec::new());
    while let Some((recent, text, sum)) = open.pop() {
        let mut row = vec![0.0; 5];
        model.logits(Kernels::detect().unwrap(), recent, &mut row).unwrap();
        let mut row: Vec<f64> = row.into_iter().map(f64::from).collect();
        let said: Vec<u32> = [1].into_iter().chain(text.iter().copied()).collect();
        adjust(&said, &mut row);
        let total: f64 = row.iter().map(|z| z.exp()).sum();
        for class in (0..5).filter(|&class| row[class as usize] > f64::NEG_INFINITY) {
            let text: Vec<u32> = text.iter().copied().chain([class]).collect();
            let sum = sum + row[class as usize] - total.ln();
            let own = [None, None, None, Some("punctuation"), Some("end token")][class as usize];
            match own.or(ends(&text)).or((text.len() == steps).then_some("steps")) {
                Some(stop) => found.push((text, sum, stop)),
                None => open.push((shift(recent, model.space().id(SMALL[class as usize])), text, sum)),
            }
        }
    }
    found.sort_by(|a, b| b.1.total_cmp(&a.1));
    found
}

/// Every option of the decoders beside the beams, against enumeration: enough beams keep every text.
#[test]
fn decoders_beside_the_beams_do_what_is_asked() {
    let (_folder, path) = folder();
    let file = path("model.npz");
    fs::write(&file, small_model()).unwrap();
    let model = Model::open(&file).unwrap();
    let none: Ends = |_| None;
    let as_is: Adjust = |_, _| {};
    let cases: [(&[&str], Adjust, Ends); 12] = [
        (&[], as_is, none),
        (
            &["--repetition-penalty", "1.4"],
            |said, row| {
                for (z, count) in row.iter_mut().zip(counts(said)) {
                    *z *= if count == 0.0 {
                        1.0
                    } else if *z > 0.0 {
                        1.0 / 1.4
                    } else {
                        1.4
                    };
                }
            },
            none,
        ),
        (
            &["--frequency-penalty", "0.7", "--presence-penalty", "-0.4", "--penalty-window", "2"],
            |said, row| {
                let window = &said[said.len().saturating_sub(2)..];
                row.iter_mut().zip(counts(window)).for_each(|(z, n)| *z -= 0.7 * n - 0.4 * n.min(1.0));
            },
            none,
        ),
        (
            &["--dry-multiplier", "1.2", "--dry-base", "1.5", "--dry-allowed-length", "1"],
            |said, row| {
                for (word, z) in row.iter_mut().enumerate() {
                    let length = repetition(said, word as u32);
                    *z -= if length == 0 { 0.0 } else { 1.2 * 1.5f64.powi(length as i32 - 1) };
                }
            },
            none,
        ),
        (
            // A breaker of one word is never penalised, and nothing counts across it.
            &[
                "--dry-multiplier",
                "1.2",
                "--dry-base",
                "1.5",
                "--dry-allowed-length",
                "1",
                "--breaker",
                "the",
                "--breaker",
                "Cat",
            ],
            |said, row| {
                let cut = said.iter().rposition(|&word| word < 2).map_or(0, |at| at + 1);
                let length = repetition(&said[cut..], 2);
                row[2] -= if length == 0 { 0.0 } else { 1.2 * 1.5f64.powi(length as i32 - 1) };
            },
            none,
        ),
        (
            &["--no-repeat-ngram", "2"],
            |said, row| {
                for pair in said.windows(2).filter(|pair| pair[0] == said[said.len() - 1]) {
                    row[pair[1] as usize] = f64::NEG_INFINITY;
                }
            },
            none,
        ),
        (
            &["--bias", "sat=1.5", "--bias", "cat=-inf"],
            |_, row| {
                row[2] += 1.5;
                row[1] = f64::NEG_INFINITY;
            },
            none,
        ),
        (
            // Also where the first of them is the prompt's.
            &["--sequence-bias", "CAT sat=2", "--sequence-bias", "the the=-1"],
            |said, row| match said[said.len() - 1] {
                1 => row[2] += 2.0,
                0 => row[0] -= 1.0,
                _ => {}
            },
            none,
        ),
        (
            &["--bad-sequence", "cat the", "--bad-sequence", "sat", "--bad-sequence", "the the cat"],
            |said, row| {
                row[2] = f64::NEG_INFINITY;
                row[0] = if said.ends_with(&[1]) { f64::NEG_INFINITY } else { row[0] };
                row[1] = if said.ends_with(&[0, 0]) { f64::NEG_INFINITY } else { row[1] };
            },
            none,
        ),
        (&["--stop", "the cat", "--stop", "sat"], as_is, |text| {
            (text.ends_with(&[0, 1]) || text.ends_with(&[2])).then_some("stop sequence")
        }),
        (
            // Punctuation is not held back; the words are given twice.
            &["--end-words", "sat,the", "--end-words", "SAT,<EOS>", "--min-tokens", "2"],
            |said, row| {
                if said.len() < 3 {
                    [0, 2, 4].into_iter().for_each(|word: usize| row[word] = f64::NEG_INFINITY);
                }
            },
            |text| text.ends_with(&[0]).then_some("end token").or(text.ends_with(&[2]).then_some("end token")),
        ),
        (&["--loop-repeats", "2"], as_is, |text| {
            let half = text.len() - 1;
            (half > 0 && text[half] == text[half - 1]).then_some("loop")
        }),
    ];
    let mut reasons = std::collections::BTreeSet::new();
    for (options, adjust, ends) in cases {
        let expected = enumerate_beside(&model, 3, adjust, ends);
        let mut arguments =
            vec!["decode", "--weights", &file, "--context", "cat", "--no-dangling", "0", "--steps", "3"];
        arguments.extend(options);
        arguments.extend(["--beams", "64", "--json"]);
        let found = json_of(&arguments, 0);
        let hypotheses = found["texts"][0]["hypotheses"].as_array().unwrap();
        assert_eq!(hypotheses.len(), expected.len(), "{options:?}");
        for (told, (classes, sum, stop)) in hypotheses.iter().zip(&expected) {
            // What ends a text is not part of it, unless it is punctuation.
            let spoken = &classes[..classes.len() - usize::from(*stop == "end token")];
            let spoken = spoken.iter().map(|&class| SMALL[class as usize]);
            assert_eq!(told["tokens"], json!(spoken.collect::<Vec<_>>()), "{options:?}: {told}, not {classes:?} {sum}");
            assert!((told["logprob"].as_f64().unwrap() - sum).abs() < 1e-5, "{options:?}: {told} {sum}");
            assert_eq!(told["stop"], *stop, "{options:?}: {classes:?}");
            reasons.insert(*stop);
        }
    }
    assert_eq!(reasons.len(), 5, "{reasons:?}");
}

/// What is asked is told: in the header of the report and in the document.
#[test]
fn a_search_tells_what_stands_beside_its_beams() {
    let options = [
        "--repetition-penalty",
        "1.25",
        "--sequence-bias",
        "The sea=-inf",
        "--stop",
        "the sky",
        "--end-words",
        "sea,old",
    ];
    let with = |extra: &[&'static str]| {
        let arguments = ["decode", "--beams", "3", "--context", "the sea"].into_iter().chain(options);
        arguments.chain(extra.iter().copied()).collect::<Vec<&str>>()
    };
    let output = run(&with(&[]));
    let printed = stdout(&output);
    let line = "beside   repetition-penalty 1.25, end-words \"sea\", \"old\", stop \"the sky\", sequence-bias \"The sea=-inf\"";
    assert!(printed.lines().any(|found| found == line), "{printed}");
    let parameters = &json_of(&with(&["--json"]), 0)["parameters"];
    assert_eq!(parameters["repetition"], json!({ "repetition_penalty": 1.25 }));
    let lists = json!({
        "sequence_bias": ["The sea=-inf"],
        "stop": ["the sky"],
        "end_words": ["sea", "old"],
    });
    assert_eq!(parameters["words"], lists);
    // Nothing beside: no line.
    assert!(!stdout(&run(&["decode", "--beams", "2", "--context", "the sea"])).contains("beside"));
}

/// Two beams, each with the penalties of its own text: what one said is not held against the other.
#[test]
fn each_beam_has_its_own_history() {
    let with = |extra: &[&'static str]| {
        let mut arguments = vec!["decode", "--json", "--beams", "4", "--steps", "12", "--stop-punct", "0"];
        arguments.extend(extra);
        json_of(&arguments, 0)["texts"].clone()
    };
    let (plain, apart) = (with(&[]), with(&["--no-repeat-ngram", "1"]));
    assert_ne!(plain, apart);
    let mut shared = 0;
    for text in apart.as_array().unwrap() {
        let prompt: Vec<&str> = text["context_start"].as_str().unwrap().split(' ').collect();
        let mut all: Vec<&str> = Vec::new();
        for told in text["hypotheses"].as_array().unwrap() {
            let words: Vec<&str> =
                told["tokens"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
            let distinct: std::collections::BTreeSet<&str> = words.iter().copied().collect();
            assert_eq!(distinct.len(), words.len(), "{words:?}");
            assert!(words.iter().all(|word| !prompt.contains(word)), "{prompt:?} {words:?}");
            shared += words.iter().filter(|&word| all.contains(word)).count();
            all.extend(words);
        }
    }
    assert!(shared > 20, "the beams share only {shared} words");
}

#[test]
fn what_does_not_go_with_beams_is_bad_usage() {
    let options = "--mode sample --seed 1 --stream 1 --top-k 4 --keep-ties 1 --top-p 0.5 --min-p 0.1 --typical-p 0.5 \
        --epsilon-cutoff 0.1 --eta-cutoff 0.1 --top-n-sigma 1 --top-a 0.1 --tfs-z 0.5 --top-h 0.5 --xtc-probability 0.5 \
        --xtc-threshold 0.2 --min-keep 2 --dynatemp-range 0.5 --dynatemp-exponent 2 --mirostat 2 --mirostat-tau 3 \
        --mirostat-eta 0.2 --adaptive-target 0.5 --adaptive-decay 0.5 --valid-vocab 5 --stop-string a --forced 0=the --top 3 --trace-out x --csv-out x --record x --plot x";
    let words: Vec<&str> = options.split_whitespace().collect();
    let mut pairs: Vec<Vec<&str>> = words.chunks(2).map(<[&str]>::to_vec).collect();
    pairs.extend([vec!["--quiet"], vec!["--all-steps"], vec!["--logprobs", "--json"]]);
    assert_eq!(pairs.len(), 35);
    for pair in &pairs {
        let mut arguments = vec!["decode", "--beams", "2"];
        arguments.extend(pair);
        refused(&arguments, 2, pair[0]);
    }
    for option in ["--groups", "--diversity-penalty", "--length-penalty", "--n-best"] {
        refused(&["decode", option, "1"], 2, "--beams");
    }
    for bias in ["the", "the=", "the=much"] {
        refused(&["decode", "--beams", "2", "--bias", bias], 2, "--bias");
    }
    refused(&["decode", "--beams", "2", "--bias", "=1"], 1, "no word");
    refused(&["decode", "--beams", "2", "--bias", "xyzzy=1"], 1, "xyzzy");
    refused(&["decode", "--beams", "2", "--stop", " "], 1, "no word");
    refused(&["decode", "--beams", "2", "--repetition-penalty", "0"], 1, "repetition_penalty");
    refused(&["decode", "--beams", "2", "--bias", "the=1", "--bias", "the=2"], 1, "twice");
    // What the engine of a profile has no rule for.
    refused(&["decode", "--beams", "2", "--profile", "vllm", "--repetition-penalty", "2"], 1, "vllm");
    refused(&["decode", "--beams", "2", "--profile", "huggingface", "--presence-penalty", "2"], 1, "huggingface");
    refused(&["decode", "--beams", "2", "--profile", "huggingface", "--groups", "2"], 1, "huggingface");
    refused(&["decode", "--beams", "2", "--profile", "vllm", "--early-stopping", "yes"], 1, "vllm");
    refused(&["decode", "--early-stopping", "yes"], 2, "--beams");
    refused(&["decode", "--beams", "0"], 2, "--beams");
    refused(&["decode", "--beams", "2", "--steps", "0"], 2, "--steps");
    refused(&["decode", "--beams", "2", "--temp", "0"], 2, "--temp");
    refused(&["decode", "--beams", "3", "--groups", "2"], 1, "groups");
    refused(&["decode", "--beams", "2", "--profile", "llama_cpp"], 1, "llama_cpp");
    // No option of `argpick decode` is left out of both lists: these apply.
    let applies = "weights contexts context steps temp kernel profile min-steps stop-punct ban no-repeat no-repeat-window \
        no-dangling det-a-an topic-lock topic-keep topic-topn json beams groups diversity-penalty length-penalty \
        early-stopping n-best repetition-penalty frequency-penalty presence-penalty penalty-window dry-multiplier dry-base \
        dry-allowed-length no-repeat-ngram loop-repeats min-tokens bias bad-sequence sequence-bias stop end-words breaker \
        penalty-scope dry-window loop-period length-decay-start length-decay-factor history-capacity help version";
    let help = stdout(&run(&["decode", "--help"]));
    let mut seen = 0;
    for line in help.lines().map(str::trim_start).filter(|line| line.starts_with("--") || line.starts_with("-q,")) {
        let name = line.split("--").nth(1).unwrap().split([' ', '[', ',']).next().unwrap();
        let is_refused = pairs.iter().any(|pair| pair[0] == format!("--{name}"));
        assert!(is_refused || applies.split_whitespace().any(|known| known == name), "{line}");
        seen += 1;
    }
    assert!(seen > 60, "{help}");
}
