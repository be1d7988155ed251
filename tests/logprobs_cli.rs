//! The log-probabilities that `argpick decode` and `argpick explain` list, by running them.
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
use tool::{folder, json_of, matrix, refused};

/// The entries of a list of log-probabilities: token, logit, logprob.
fn listed(list: &Value) -> Vec<(u64, f64, f64)> {
    let number = |entry: &Value, name: &str| entry[name].as_f64().unwrap();
    let one = |entry: &Value| (entry["token"].as_u64().unwrap(), number(entry, "logit"), number(entry, "logprob"));
    list.as_array().unwrap().iter().map(one).collect()
}

#[test]
fn decode_lists_the_log_probabilities_of_each_step() {
    let (_folder, path) = folder();
    let file = path("model.npz");
    fs::write(&file, small_model()).unwrap();
    let model = Model::open(&file).unwrap();
    let arguments = ["decode", "--weights", &file, "--context", "cat", "--no-dangling", "0", "--stop-punct", "0"];
    let sampling = ["--mode", "sample", "--temp", "0.7", "--topk", "3", "--repetition-penalty", "1.5", "--seed", "5"];
    let asked = ["--steps", "6", "--top", "4", "--json", "--logprobs"];
    let found = json_of(&[&arguments[..], &sampling, &asked].concat(), 0);
    let steps = found["texts"][0]["steps"].as_array().unwrap();
    assert!(steps.len() > 2, "{found:#}");
    let mut recent = shift(model.space().start(), model.space().id("cat"));
    let (mut sum, mut differ) = (0.0, 0);
    for step in steps {
        let mut row = vec![0.0; model.vocab()];
        model.logits(Kernels::detect().unwrap(), recent, &mut row).unwrap();
        let token = step["token"].as_u64().unwrap();
        recent = shift(recent, model.space().id(SMALL[token as usize]));
        let number = |name: &str| step[name].as_f64().unwrap();
        // As given: the four best of the five, at temperature 1.
        let total: f64 = row.iter().map(|&logit| f64::from(logit).exp()).sum();
        let mut order: Vec<usize> = (0..row.len()).collect();
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a]).then(a.cmp(&b)));
        let raw = listed(&step["top_logprobs_raw"]);
        assert_eq!(raw.len(), 4);
        for (&(token, logit, logprob), &expected) in raw.iter().zip(&order) {
            assert_eq!((token, logit as f32), (expected as u64, row[expected]));
            assert!((logprob - (logit - total.ln())).abs() < 1e-5);
        }
        let given = f64::from(row[token as usize]) - total.ln();
        assert!((number("logprob_raw") - given).abs() < 1e-5);
        // After the penalty, at the temperature, among all; the three best are kept, and share the draw.
        let (top, kept) = (listed(&step["top_logprobs"]), listed(&step["kept"]));
        differ += u32::from(top.iter().zip(&raw).any(|(one, other)| (one.0, one.1) != (other.0, other.1)));
        assert_eq!((top.len(), kept.len()), (4, 3));
        assert!(top.windows(2).all(|pair| pair[0].1 >= pair[1].1));
        let mut best: Vec<u64> = top[..3].iter().map(|entry| entry.0).collect();
        best.sort_unstable();
        assert_eq!(kept.iter().map(|entry| entry.0).collect::<Vec<_>>(), best);
        assert!((kept.iter().map(|entry| entry.2.exp()).sum::<f64>() - 1.0).abs() < 1e-5);
        let drawn = kept.iter().find(|entry| entry.0 == token).unwrap();
        assert!((drawn.2 - number("logprob")).abs() < 1e-6);
        let rank = top.iter().position(|entry| entry.0 == token).unwrap();
        assert_eq!(step["rank"], json!(rank));
        sum += number("logprob");
        assert!((number("cumulative_logprob") - sum).abs() < 1e-5);
        let margin = number("margin");
        assert!(number("flip_argmax") > 0.0 && number("flip_argmax") <= 0.5 * margin + 1e-6);
        assert!(number("flip_kept") >= 0.0 && number("flip_token") >= 0.0);
    }
    assert!(differ > 0, "the penalty never showed");
    refused(&[&arguments[..], &["--logprobs"]].concat(), 2, "--json");
}

#[test]
fn explain_lists_log_probabilities_and_what_is_kept() {
    let (_folder, path) = folder();
    let file = path("rows.npy");
    fs::write(&file, matrix(&[vec![2.0, 5.0, 4.0, 1.0, 3.5]])).unwrap();
    let arguments = ["explain", "--rows", &file, "--top-k", "3", "--temp", "0.5", "--top", "2", "--json"];
    let plain = json_of(&arguments, 0);
    assert!(plain["profiles"][0].get("kept_tokens").is_none());
    let found = json_of(&[&arguments[..], &["--kept"]].concat(), 0);
    let side = &found["profiles"][0];
    let total = |temperature: f64, tokens: &[f64]| tokens.iter().map(|z| (z / temperature).exp()).sum::<f64>().ln();
    let all = [2.0, 5.0, 4.0, 1.0, 3.5];
    let near = |list: Vec<(u64, f64, f64)>, wanted: &[(u64, f64, f64)]| {
        assert_eq!(list.len(), wanted.len(), "{list:?}");
        for (found, wanted) in list.iter().zip(wanted) {
            assert!((found.0, found.1) == (wanted.0, wanted.1) && (found.2 - wanted.2).abs() < 1e-5, "{list:?}");
        }
    };
    let raw = |z: f64| z - total(1.0, &all);
    near(listed(&side["top_logprobs_raw"]), &[(1, 5.0, raw(5.0)), (2, 4.0, raw(4.0))]);
    let processed = |z: f64| 2.0 * z - total(0.5, &all);
    near(listed(&side["top_logprobs"]), &[(1, 5.0, processed(5.0)), (2, 4.0, processed(4.0))]);
    let drawn = |z: f64| 2.0 * z - total(0.5, &[5.0, 4.0, 3.5]);
    near(listed(&side["kept_tokens"]), &[(1, 5.0, drawn(5.0)), (2, 4.0, drawn(4.0)), (4, 3.5, drawn(3.5))]);
    refused(&["explain", "--rows", &file, "--kept"], 2, "--json");
}
