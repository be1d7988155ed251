//! The decoder sandbox: tokenizer, features, rules, traces.
#![cfg(feature = "sandbox")]

#[allow(dead_code)]
#[path = "support/npz.rs"]
mod npz;

use argpick::sandbox::features::FeatureSpace;
use argpick::sandbox::patterns::{attractors, find_loop};
use argpick::sandbox::rules::{ClassSet, RuleSets, Rules, Situation};
use argpick::sandbox::session::{Options, Session, Stop};
use argpick::sandbox::text::{MAX_TOKEN_BYTES, TokenReader, tokens};
use argpick::sandbox::{Model, contexts, trace};
use argpick::{Kernels, Mode};
use proptest::prelude::*;
use std::io::BufReader;

/// The definition, word for word, without a state machine.
fn naive_tokens(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let mut found: Vec<String> = Vec::new();
    let mut inside = false;
    for c in lower.chars() {
        let run = c.is_ascii_lowercase() || c.is_ascii_digit() || c == '\'';
        match (run, inside) {
            (true, true) => found.last_mut().unwrap().push(c),
            (true, false) => found.push(c.to_string()),
            _ if ".!?".contains(c) => found.push(c.to_string()),
            _ => {}
        }
        inside = run;
    }
    found
}

fn streamed(bytes: &[u8], chunk: usize) -> std::io::Result<Vec<String>> {
    let mut reader = TokenReader::new(BufReader::with_capacity(chunk, bytes));
    let mut found = Vec::new();
    while let Some(token) = reader.next_token()? {
        found.push(token.to_owned());
    }
    assert!(reader.next_token()?.is_none());
    assert_eq!(reader.position(), bytes.len() as u64);
    Ok(found)
}

const TEXTS: [&str; 10] = [
    "",
    "It isn't Mr. Darcy's, is it?!  No...",
    "one",
    "end.",
    ".start",
    "naïve café — “quoted” words’ ends",
    "K\u{212a}k \u{130}stanbul x\u{130}.",
    "a1b2 3.14 '' ' 'tis",
    "\u{feff}bom\r\nline\ttab\u{0}nul \u{1f600}.\u{1f600}x\u{1f600}",
    "ΑΣ ß ſ ﬁ",
];

#[test]
fn tokenizer_follows_its_definition() {
    assert_eq!(
        tokens("It isn't Mr. Darcy's, is it?!").collect::<Vec<_>>(),
        ["it", "isn't", "mr", ".", "darcy's", "is", "it", "?", "!"]
    );
    for text in TEXTS {
        assert_eq!(tokens(text).collect::<Vec<_>>(), naive_tokens(text), "{text:?}");
    }
}

#[test]
fn chunks_make_no_difference() {
    let all = TEXTS.join(" \u{130}\u{212a} ");
    for text in TEXTS.iter().copied().chain([all.as_str()]) {
        for chunk in 1..40 {
            assert_eq!(streamed(text.as_bytes(), chunk).unwrap(), naive_tokens(text), "{text:?} in chunks of {chunk}");
        }
    }
}

#[test]
fn text_that_is_not_utf8_is_refused_with_its_offset() {
    for (bytes, offset) in [
        (&b"abc \xff def"[..], 4),
        (b"ab \xc3", 3),
        (b"ab \xe2\x84 cd", 3),
        (b"\xed\xa0\x80", 0),
        (b"xy\xf0\x9f\x98", 2),
        (&b"\xc3\xa9\x00\xf0\x9f\x98"[..], 3),
    ] {
        for chunk in 1..12 {
            let mut reader = TokenReader::new(BufReader::with_capacity(chunk, bytes));
            let error = loop {
                match reader.next_token() {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("{bytes:?} was taken for text"),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
            assert!(error.to_string().ends_with(&format!("at byte {offset}")), "{bytes:?} in {chunk}: {error}");
            assert!(reader.next_token().unwrap().is_none());
        }
    }
}

#[test]
fn a_run_without_end_is_cut() {
    let text = "x".repeat(2 * MAX_TOKEN_BYTES + 5);
    let lengths: Vec<usize> = tokens(&text).map(|token| token.len()).collect();
    assert_eq!(lengths, [MAX_TOKEN_BYTES, MAX_TOKEN_BYTES, 5]);
    assert_eq!(streamed(text.as_bytes(), 1000).unwrap().len(), 3);
    let exact = "x".repeat(MAX_TOKEN_BYTES) + ".";
    assert_eq!(tokens(&exact).count(), 2);
}

fn space(d2: i64, d3: i64) -> argpick::sandbox::Result<FeatureSpace> {
    FeatureSpace::new("test", ["<BOS>", "<UNK>", "the", "cat", "sat"].map(String::from).to_vec(), d2, d3)
}

#[test]
fn columns_are_those_of_sha256() {
    // The first 8 bytes of what `printf 'cat|sat' | sha256sum` prints, and so on.
    let cat_sat: u64 = 0xfe19_7cc6_09f1_c666;
    let the_cat_sat: u64 = 0xc02d_7d22_09cf_711f;
    let begin_begin: u64 = 0xcc5d_6c9b_164c_4c4b;
    let unknown_begin_the: u64 = 0x1baf_5373_c5e7_c70c;
    let (d2, d3) = (1_000_003, 2_147_483_647);
    let space = space(d2, d3).unwrap();
    assert_eq!(space.dimension(), 5 + 1_000_003 + 2_147_483_647);
    let pair = |hash: u64| 5 + (hash % d2 as u64) as u32;
    let triple = |hash: u64| 5 + d2 as u32 + (hash % d3 as u64) as u32;
    let recent = ["sat", "cat", "the"].map(|word| space.id(word));
    assert_eq!(space.columns(recent), [4, pair(cat_sat), triple(the_cat_sat)]);
    assert_eq!(space.columns(space.start())[1], pair(begin_begin));
    // A word the vocabulary lacks is hashed as <UNK>, not as itself.
    assert_eq!(space.columns([space.id("the"), space.begin(), space.id("zebra")])[2], triple(unknown_begin_the));
}

#[test]
fn feature_spaces_that_cannot_be_are_refused() {
    let words = |list: &[&str]| list.iter().map(|word| word.to_string()).collect::<Vec<_>>();
    let message = |list: &[&str], d2, d3| FeatureSpace::new("m.npz", words(list), d2, d3).unwrap_err().to_string();
    assert!(message(&["<BOS>", "a"], 1, 1).contains("m.npz: array 'in_vocab' lacks <UNK>"));
    assert!(message(&["<UNK>", "a"], 1, 1).contains("lacks <BOS>"));
    assert!(message(&["<UNK>", "<BOS>", "a", "a"], 1, 1).contains("\"a\" twice, at 2 and at 3"));
    assert!(message(&["<UNK>", "<BOS>"], 0, 1).contains("array 'd2' is 0"));
    assert!(message(&["<UNK>", "<BOS>"], 1, -5).contains("array 'd3' is -5"));
    assert!(message(&["<UNK>", "<BOS>"], 1, 1 << 40).contains("'d3'"));
    assert!(message(&["<UNK>", "<BOS>"], u32::MAX as i64, 1).contains("columns"));
}

fn model(logits: Option<&[f32]>) -> Model {
    Model::from_bytes("test.npz", npz::npz(&npz::model(logits))).unwrap()
}

/// The words that `rules` leave of [`npz::WORDS`] after `text`, of which `generated` were generated.
fn left(rules: &Rules, text: &str, generated: &str, step: u32) -> Vec<&'static str> {
    let model = model(None);
    let prompt: Vec<String> = tokens(text).collect();
    let made: Vec<u32> = generated.split_whitespace().map(|word| model.class(word).unwrap()).collect();
    let mut sets = RuleSets::new(rules.clone(), &model);
    let topic = sets.topic(&prompt, &model);
    let newest = generated.split_whitespace().last().or(prompt.last().map(String::as_str));
    let row: Vec<f32> = npz::WORDS.iter().map(|&(_, logit)| logit).collect();
    let mut allowed = ClassSet::empty(model.vocab());
    sets.apply(Situation { step, generated: &made, newest, topic: &topic }, &row, &mut allowed);
    assert_eq!(allowed.len(), allowed.iter().count());
    allowed.iter().map(|class| npz::WORDS[class as usize].0).collect()
}

fn all_but(out: &[&str]) -> Vec<&'static str> {
    npz::WORDS.iter().map(|&(word, _)| word).filter(|word| !out.contains(word)).collect()
}

fn no_rules() -> Rules {
    Rules { no_dangling: false, stop_punct: false, ..Rules::default() }
}

const ENDS: [&str; 4] = [".", "!", "?", "<EOS>"];

#[test]
fn min_steps_keeps_a_text_open() {
    let rules = Rules { min_steps: 3, ..no_rules() };
    assert_eq!(left(&rules, "cat", "", 2), all_but(&ENDS));
    assert_eq!(left(&rules, "cat", "", 3), all_but(&[]));
}

#[test]
fn banned_words_are_never_left() {
    let rules = Rules { ban: ["cat", "of", "unheard"].map(String::from).to_vec(), ..no_rules() };
    assert_eq!(left(&rules, "cat", "", 0), all_but(&["cat", "of"]));
}

#[test]
fn the_repeat_window_sees_generated_tokens_only() {
    let window = |n| Rules { no_repeat_window: n, ..no_rules() };
    assert_eq!(left(&window(2), "cat sat", "", 0), all_but(&[]));
    assert_eq!(left(&window(2), "cat", "sat is a", 3), all_but(&["is", "a"]));
    assert_eq!(left(&window(9), "cat", "sat is a", 3), all_but(&["sat", "is", "a"]));
    let alone = Rules { no_repeat: true, ..no_rules() };
    assert_eq!(left(&alone, "cat", "sat is a", 3), all_but(&["a"]));
    assert_eq!(left(&Rules { no_repeat: true, ..window(2) }, "cat", "sat is a", 3), all_but(&["is", "a"]));
}

#[test]
fn articles_choose_by_the_first_letter() {
    let rules = Rules { det_a_an: true, ..no_rules() };
    assert_eq!(left(&rules, "it is an", "", 0), ["apple", "is", "a", "an", "of", "ink"]);
    assert_eq!(left(&rules, "it is", "a", 1), ["cat", "sat", "the", "dog"]);
    assert_eq!(left(&rules, "a cat", "", 0), all_but(&[]));
}

#[test]
fn a_locked_topic_leaves_the_prompt_and_the_kept_words() {
    let keep = ["is", "the", "unheard"].map(String::from).to_vec();
    let rules = Rules { topic_lock: true, topic_keep: keep, topic_topn: 0, ..no_rules() };
    assert_eq!(left(&rules, "Dog of zebra", "", 0), [".", "!", "?", "<EOS>", "is", "the", "of", "dog"]);
    // The best three of what is left: is 3.5, the 2.0, of 1.75.
    assert_eq!(left(&Rules { topic_topn: 3, ..rules.clone() }, "Dog of zebra", "", 0), ["is", "the", "of"]);
    // What another rule took out does not come back, and does not count among the three.
    let banned = Rules { topic_topn: 3, ban: vec!["is".into()], ..rules };
    assert_eq!(left(&banned, "Dog of zebra", "", 0), [".", "the", "of"]);
}

#[test]
fn no_text_ends_on_a_dangling_word() {
    let rules = Rules { no_dangling: true, ..no_rules() };
    for word in ["a", "an", "the", "of", "in", "and", "is", "are", "has"] {
        assert_eq!(left(&rules, word, "", 0), all_but(&ENDS), "{word}");
    }
    assert_eq!(left(&rules, "cat", "the", 1), all_but(&ENDS));
    assert_eq!(left(&rules, "the cat", "", 0), all_but(&[]));
    assert_eq!(left(&rules, "", "", 0), all_but(&[]));
}

fn run(logits: Option<&[f32]>, options: Options, context: &str) -> (String, String) {
    let model = model(logits);
    let kernels = Kernels::detect().unwrap();
    let mut session = Session::new(&model, options, kernels).unwrap();
    let text = session.run(context).unwrap();
    for (index, step) in text.steps.iter().enumerate() {
        assert_eq!(step.step as usize, index);
        assert!(step.top.windows(2).all(|pair| pair[0].1 >= pair[1].1));
    }
    let stop = match &text.stop {
        Stop::Refused(error) => format!("error: {error}"),
        other => other.name().to_owned(),
    };
    (text.continuation(&model), stop)
}

fn biased(wanted: &[(&str, f32)]) -> Vec<f32> {
    npz::WORDS
        .iter()
        .map(|&(word, _)| wanted.iter().find(|other| other.0 == word).map_or(-5.0, |&(_, logit)| logit))
        .collect()
}

#[test]
fn texts_stop_for_a_reason() {
    let options = |rules: Rules| Options { steps: 3, rules, ..Options::default() };
    assert_eq!(run(None, options(Rules::default()), "x"), ("7up 7up 7up".into(), "steps".into()));
    let period = biased(&[(".", 3.0)]);
    assert_eq!(run(Some(&period), options(Rules::default()), "x"), (".".into(), "punctuation".into()));
    assert_eq!(run(Some(&period), options(no_rules()), "x"), ("...".into(), "steps".into()));
    let end = biased(&[("<EOS>", 3.0)]);
    assert_eq!(run(Some(&end), options(Rules::default()), "x"), (String::new(), "end token".into()));
    let everything = npz::WORDS.iter().map(|&(word, _)| word.to_owned()).collect();
    let banned = options(Rules { ban: everything, ..Rules::default() });
    assert_eq!(run(None, banned, "x"), (String::new(), "mask exhausted".into()));
    // One word after the other, until the window has taken all three that are not at negative infinity.
    let mut three = vec![f32::NEG_INFINITY; npz::WORDS.len()];
    (three[4], three[5], three[6]) = (1.0, 2.0, 3.0);
    let window = Options { steps: 9, ..options(Rules { no_repeat_window: 5, ..Rules::default() }) };
    assert_eq!(run(Some(&three), window, "x"), ("sat apple cat".into(), "mask exhausted".into()));
}

#[test]
fn a_bad_logit_ends_the_text_with_its_index() {
    let mut logits: Vec<f32> = npz::WORDS.iter().map(|&(_, logit)| logit).collect();
    logits[13] = f32::NAN;
    let (text, stop) = run(Some(&logits), Options::default(), "x");
    assert_eq!(text, "");
    assert!(stop.contains("13") && stop.contains("NaN"), "{stop}");
    // A cut to the best must not hide it.
    let rules = Rules { topic_lock: true, topic_topn: 1, ..Rules::default() };
    let (_, stop) = run(Some(&logits), Options { rules, ..Options::default() }, "ink");
    assert!(stop.contains("13") && stop.contains("NaN"), "{stop}");
    // Where a rule takes the token out, it takes no part.
    let rules = Rules { ban: vec!["ink".into()], ..Rules::default() };
    assert_eq!(run(Some(&logits), Options { steps: 1, rules, ..Options::default() }, "x").0, "7up");
}

#[test]
fn samples_follow_seed_and_stream() {
    let model = model(None);
    let kernels = Kernels::detect().unwrap();
    let classes = |options: Options, texts: usize| -> Vec<Vec<u32>> {
        let mut session = Session::new(&model, options, kernels).unwrap();
        (0..texts).map(|_| session.run("the cat").unwrap().generated().collect()).collect()
    };
    let sampled = Options { mode: Mode::Sample, steps: 40, rules: no_rules(), temperature: 5.0, ..Options::default() };
    let one = classes(sampled.clone(), 3);
    assert_eq!(one, classes(sampled.clone(), 3));
    assert_ne!(one[0], one[1], "texts of one session use different streams");
    assert_eq!(one[2], classes(Options { stream: 2, ..sampled.clone() }, 1)[0], "a text can be replayed alone");
    assert_ne!(one, classes(Options { seed: 1, ..sampled.clone() }, 3));
    let greedy = classes(Options { mode: Mode::Greedy, ..sampled.clone() }, 2);
    assert_eq!(greedy, classes(Options { temperature: 0.0, ..sampled.clone() }, 2));
    assert_eq!(greedy, classes(Options { top_k: 1, ..sampled }, 2));
}

#[test]
fn models_that_do_not_fit_are_refused() {
    let broken = |change: &dyn Fn(&mut Vec<npz::Array>)| {
        let mut arrays = npz::model(None);
        change(&mut arrays);
        Model::from_bytes("m.npz", npz::npz(&arrays)).unwrap_err().to_string()
    };
    for name in ["W", "b", "classes", "in_vocab", "out_vocab", "d2", "d3"] {
        let message = broken(&|arrays| arrays.retain(|array| !array.is(name)));
        assert!(message.starts_with("m.npz: ") && message.contains(name), "without {name}: {message}");
    }
    let replaced = |array: fn() -> npz::Array| {
        broken(&|arrays| {
            let new = array();
            let place = arrays.iter().position(|old| new.is(old.name())).unwrap();
            arrays[place] = new;
        })
    };
    let message = replaced(|| npz::integers("d2", "()", &[9]));
    assert!(message.contains("'W' has 23 columns, but |in_vocab| + d2 + d3 = 18 + 9 + 3 = 30"), "{message}");
    let message = replaced(|| npz::integers("classes", "(2,)", &[0, 1]));
    assert!(message.contains("'classes' has 2 entries, but 'W' has 16 rows"), "{message}");
    let message =
        replaced(|| npz::integers("classes", "(16,)", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16]));
    assert!(message.contains("'classes' has 16 at 15, but 'out_vocab' has 16 words"), "{message}");
    let message =
        replaced(|| npz::integers("classes", "(16,)", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, -1]));
    assert!(message.contains("'classes' has -1 at 15"), "{message}");
    let message = replaced(|| npz::integers("classes", "(16,)", &[0; 16]));
    assert!(message.contains("classes 0 and 1 are both \".\""), "{message}");
    let message = replaced(|| npz::floats("b", "(3,)", &[0.0; 3]));
    assert!(message.contains('b') && message.contains('3') && message.contains("16"), "{message}");
    let message = Model::from_bytes("empty", Vec::new()).unwrap_err().to_string();
    assert!(message.starts_with("empty: "), "{message}");
}

#[test]
fn the_order_of_w_makes_no_difference() {
    let mut arrays = npz::model(None);
    let values: Vec<f32> = (0..16 * 23).map(|i| (i as f32 * 0.37).sin()).collect();
    let columns: Vec<f32> = (0..16 * 23).map(|i| values[i % 16 * 23 + i / 16]).collect();
    let mut rows = Vec::new();
    for array in [npz::floats("W", "(16, 23)", &values), npz::floats("W", "(16, 23)", &columns).fortran()] {
        arrays[0] = array;
        let model = Model::from_bytes("m", npz::npz(&arrays)).unwrap();
        let mut row = vec![0.0; 16];
        model.logits(Kernels::detect().unwrap(), [5, 1, 0], &mut row).unwrap();
        let picked = model.space().columns([5, 1, 0]);
        for (class, &logit) in row.iter().enumerate() {
            let sum: f32 = picked.iter().map(|&column| values[class * 23 + column as usize]).sum();
            assert!((logit - npz::WORDS[class].1 - sum).abs() < 1e-5);
        }
        rows.push(row);
    }
    assert_eq!(rows[0], rows[1]);
}

#[test]
fn prompts_come_as_json_or_lines() {
    let good: [(&str, &[&str]); 8] = [
        (r#"{"schema":"x","contexts":["It is","a \"b\"\u00e9\ud83d\ude00\n"]}"#, &["It is", "a \"b\"é😀\n"]),
        (r#" { "a" : [1, {"contexts": [2]}, -1.5e3, true, null] , "contexts" : [ "x" ] , "z": {} } "#, &["x"]),
        (r#"["one", "two"]"#, &["one", "two"]),
        ("\u{feff}[\"bom\"]", &["bom"]),
        ("one\n\n  two words \r\nthree", &["one", "two words", "three"]),
        ("plain [1]", &["plain [1]"]),
        ("\"quoted\" line", &["\"quoted\" line"]),
        ("[\"\"]", &[""]),
    ];
    for (text, prompts) in good {
        assert_eq!(contexts::parse(text.as_bytes()).unwrap(), prompts, "{text}");
    }
    let deep = format!("{{\"x\": {}1{}, \"contexts\": [\"a\"]}}", "[".repeat(100_000), "]".repeat(100_000));
    let bad = [
        ("", "no prompts"),
        ("\n \n", "no prompts"),
        ("[]", "no prompts"),
        ("{}", "no \"contexts\""),
        ("{\"contexts\": []}", "no prompts"),
        ("{\"contexts\": \"x\"}", "'[' is needed"),
        ("{\"contexts\": [1]}", "a string is needed"),
        ("{\"contexts\": [\"a\"], \"contexts\": [\"b\"]}", "twice"),
        ("{\"contexts\": [\"a\"]", "the file ends at byte 18"),
        ("{\"contexts\": [\"a\"]} x", "the end of the file is needed"),
        ("{\"contexts\": [\"a", "has no end"),
        ("{\"contexts\": [\"a\",]}", "a string is needed"),
        ("{contexts: 1}", "a string is needed"),
        ("[\"\\ud83d\"]", "surrogate"),
        ("[\"\\ud83d\\u0041\"]", "surrogate"),
        ("[\"\\udc00\"]", "surrogate"),
        ("[\"\\x\"]", "not an escape"),
        ("[\"\\é\"]", "not an escape"),
        ("[\"\\u12é4\"]", "not an escape"),
        ("[\"\\u12", "not an escape"),
        ("[\"a\nb\"]", "control character"),
        ("{\"a\": 1-2, \"contexts\": []}", "not a number"),
        ("{\"a\": nul, \"contexts\": []}", "a value is needed"),
        (deep.as_str(), "nested deeper"),
    ];
    for (text, reason) in bad {
        let message = contexts::parse(text.as_bytes()).unwrap_err();
        assert!(message.contains(reason), "{}: {message}", &text[..text.len().min(40)]);
    }
    assert!(contexts::parse(b"ab\xff").unwrap_err().contains("not UTF-8 at byte 2"));
}

#[test]
fn every_cut_of_a_json_file_is_refused_or_read() {
    let text = r#"{"schema": [1.5, {"a": "\u00e9"}], "contexts": ["It is", "naïve \ud83d\ude00"], "n": null}"#;
    for end in 0..text.len() {
        let parsed = contexts::parse(&text.as_bytes()[..end]);
        assert!(parsed.is_err(), "{:?}", &text.as_bytes()[..end]);
    }
    assert_eq!(contexts::parse(text.as_bytes()).unwrap().len(), 2);
}

#[test]
fn loops_are_exact_periods() {
    let found = |tokens: &[u32]| find_loop(tokens).map(|found| (found.start, found.period, found.length));
    assert_eq!(found(&[]), None);
    assert_eq!(found(&[1, 2, 3, 4]), None);
    assert_eq!(found(&[9, 1, 2, 3, 1, 2, 3]), Some((1, 3, 6)));
    assert_eq!(found(&[9, 9, 9]), None, "three tokens can come back by chance");
    assert_eq!(found(&[7, 9, 9, 9, 9]), Some((1, 1, 4)));
    assert_eq!(found(&[1, 2, 1, 2]), None);
    assert_eq!(found(&[1, 2, 1, 2, 1]), Some((0, 2, 5)));
    assert_eq!(found(&[1, 2, 3, 4, 1, 2, 3]), None, "once around and no further");
    assert_eq!(found(&[5, 1, 2, 3, 4, 1, 2, 3, 4, 1]), Some((1, 4, 9)));
    assert_eq!(found(&[1, 2, 1, 2, 1, 2, 8]), None, "a loop that was left is no loop");
}

#[test]
fn attractors_are_shared_runs() {
    let texts = [vec![1, 2, 3, 4, 5, 6], vec![9, 2, 3, 4, 5, 6], vec![7, 7, 3, 4, 5, 6, 8], vec![1, 2, 3, 9, 9]];
    let found = attractors(&texts, 5);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].tokens, [3, 4, 5, 6]);
    assert_eq!(found[0].texts, [0, 1, 2]);
    let two = [vec![1, 2, 3, 4, 5, 6], vec![0, 1, 2, 3, 4, 5, 7]];
    assert_eq!(attractors(&two, 5)[0].tokens, [1, 2, 3, 4, 5]);
    assert!(attractors(&[vec![1, 2, 3, 4], vec![4, 3, 2, 1]], 5).is_empty());
    let repeated = [[1, 2, 3].repeat(20), [4, 1, 2, 3].to_vec(), [2, 3, 1].repeat(20)];
    let found = attractors(&repeated, 5);
    assert_eq!(found[0].texts, [0, 2]);
    assert!(found[0].tokens.len() <= 24);
    assert!(attractors(&two, 0).is_empty());
}

#[test]
fn traces_survive_any_text() {
    let model = model(Some(&biased(&[("cat", 0.1)])));
    let options = Options { steps: 1, top: 2, ..Options::default() };
    let mut session = Session::new(&model, options.clone(), Kernels::detect().unwrap()).unwrap();
    let context = "say \"hi\",\n\\ é \u{1f600} \u{7f}\u{1}";
    let texts = [session.run(context).unwrap()];
    let mut jsonl = Vec::new();
    trace::write_jsonl(&mut jsonl, &model, &options, &texts).unwrap();
    assert!(jsonl.is_ascii());
    let record: serde_json::Value = serde_json::from_slice(&jsonl).unwrap();
    assert_eq!(record["context_start"], context);
    assert_eq!(record["margin"].as_f64().unwrap() as f32, 0.1f32 + 5.0);
    assert_eq!(record["top"].as_array().unwrap().len(), 2);
    let mut csv = Vec::new();
    trace::write_csv(&mut csv, &model, &options, &texts).unwrap();
    let csv = String::from_utf8(csv).unwrap();
    assert!(csv.contains("\"say \"\"hi\"\",\n"));
}

#[test]
fn one_choice_has_no_finite_margin() {
    let model = model(None);
    let ban = npz::WORDS.iter().map(|&(word, _)| word.to_owned()).filter(|word| word != "cat").collect();
    let options = Options { steps: 1, rules: Rules { ban, ..Rules::default() }, ..Options::default() };
    let mut session = Session::new(&model, options.clone(), Kernels::detect().unwrap()).unwrap();
    let texts = [session.run("x").unwrap()];
    assert_eq!(texts[0].steps[0].margin, f32::INFINITY);
    assert_eq!((texts[0].steps[0].top1_probability, texts[0].steps[0].entropy), (1.0, 0.0));
    let mut jsonl = Vec::new();
    trace::write_jsonl(&mut jsonl, &model, &options, &texts).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&jsonl).unwrap();
    assert!(record["margin"].is_null());
    let mut csv = Vec::new();
    trace::write_csv(&mut csv, &model, &options, &texts).unwrap();
    assert!(String::from_utf8(csv).unwrap().ends_with("\"x\",0,cat,greedy,1.0,,1.0,0.0\n"));
}

#[test]
fn files_are_whole_or_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.jsonl");
    let names = || {
        let mut names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names
    };
    trace::check_writable(&path).unwrap();
    assert!(names().is_empty());
    trace::write_file(&path, |file| file.write_all(b"old")).unwrap();
    let error = trace::write_file(&path, |file| {
        file.write_all(b"half")?;
        Err(std::io::Error::other("the disk is full"))
    })
    .unwrap_err();
    assert!(error.to_string().contains("cannot write") && error.to_string().contains("the disk is full"));
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
    assert_eq!(names(), ["trace.jsonl"]);
    assert!(trace::check_writable(folder.path()).unwrap_err().to_string().contains("cannot write"));
    assert!(trace::check_writable(&folder.path().join("no/such")).is_err());
    #[cfg(unix)]
    {
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        trace::write_file(&link, |file| file.write_all(b"new")).unwrap();
        assert!(link.is_symlink());
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        trace::write_file(std::path::Path::new("/dev/null"), |file| file.write_all(b"gone")).unwrap();
        assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
    }
}

proptest! {
    #[test]
    fn any_text_in_any_chunks(text in "[a-cA-C'0.!? éİKß\\n—😀]{0,60}", chunk in 1usize..20) {
        let expected = naive_tokens(&text);
        prop_assert_eq!(tokens(&text).collect::<Vec<_>>(), expected.clone());
        prop_assert_eq!(streamed(text.as_bytes(), chunk).unwrap(), expected);
    }

    #[test]
    fn any_bytes_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..60), chunk in 1usize..20) {
        let streamed = {
            let mut reader = TokenReader::new(BufReader::with_capacity(chunk, &bytes[..]));
            let mut found = Vec::new();
            loop {
                match reader.next_token() {
                    Ok(Some(token)) => found.push(token.to_owned()),
                    Ok(None) => break Some(found),
                    Err(_) => break None,
                }
            }
        };
        prop_assert_eq!(streamed, std::str::from_utf8(&bytes).ok().map(naive_tokens));
    }

    #[test]
    fn prompts_survive_json(prompts in proptest::collection::vec(any::<String>(), 1..5)) {
        let text = serde_json::json!({"a": [prompts, null], "contexts": prompts, "z": {"y": -1.5e-3}}).to_string();
        prop_assert_eq!(contexts::parse(text.as_bytes()).unwrap(), prompts);
    }

    #[test]
    fn any_json_like_text_is_refused_or_read(text in r#"[\[{]["\[\]{}:,\\ua01dé \n]{0,40}"#) {
        // An error or prompts, and what is read is what serde_json reads.
        if let Ok(prompts) = contexts::parse(text.as_bytes()) {
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            let list = if value.is_array() { &value } else { &value["contexts"] };
            let expected: Vec<&str> = list.as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect();
            prop_assert_eq!(prompts, expected);
        }
    }
}
