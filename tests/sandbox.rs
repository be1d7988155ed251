//! The decoder sandbox: tokenizer, features, rules, traces.
#![cfg(feature = "sandbox")]

use argpick::sandbox::features::FeatureSpace;
use argpick::sandbox::text::{MAX_TOKEN_BYTES, TokenReader, tokens};
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
