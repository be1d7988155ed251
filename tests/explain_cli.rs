//! `argpick explain` with every adjustment, and the options of a configuration, by running the tool.
#![cfg(feature = "cli")]

#[path = "support/tool.rs"]
mod tool;

use serde_json::Value;
use std::fs;
use tool::{folder, json_of, matrix, run, stderr, stdout};

/// Penalties and biases differ between profiles too: what a side keeps is judged by that side's own logits.
#[test]
fn explain_tells_what_adjustments_and_draws_make_of_a_row() {
    let (_folder, path) = folder();
    let file = path("rows.npy");
    fs::write(&file, matrix(&[vec![3.0, 2.5, 2.0, 1.0, 0.5, 0.0], vec![0.02, 0.01, 0.0, 1.0, 1.0, 1.0]])).unwrap();
    let explain = |options: &[&str]| {
        let arguments = [&["explain", "--rows", &file, "--profile", "canon"], options].concat();
        let text = stdout(&run(&arguments));
        (json_of(&[&arguments[..], &["--json"]].concat(), 0), text)
    };
    let vllm = ["--versus", "vllm"];
    // vLLM does not count the prompt: its token 0 keeps 3.0, canon's falls to -1.0 and out of the two best.
    let (found, text) =
        explain(&[&vllm[..], &["--frequency-penalty", "2", "--prompt", "0,0", "--top-k", "2"]].concat());
    assert_eq!(found["adjusted_otherwise"], serde_json::json!({"count": 1, "token": 0, "logits": [-1.0, 3.0]}));
    let parts = &found["parts_at"];
    assert_eq!(
        (&parts["token"], &parts["kept_by"], &parts["removed_at"]),
        (&0.into(), &"vllm".into(), &"top_k".into())
    );
    assert!(text.contains("adjusted 1 logit otherwise, first of token 0: canon -1, vllm 3"), "{text}");
    assert!(text.contains("vllm keeps it with probability") && text.contains("canon removes it at top-k"), "{text}");
    // vLLM looks for bad sequences among generated tokens, canon in the prompt as well.
    let (found, _) = explain(&[&vllm[..], &["--bad-sequence", "4,1", "--prompt", "4"]].concat());
    assert_eq!((&found["parts_at"]["token"], &found["parts_at"]["removed_at"]), (&1.into(), &"adjustments".into()));
    assert_eq!(found["profiles"][0]["top"][5]["logit"], Value::Null);
    // It holds biases within 100.
    let (found, _) = explain(&[&vllm[..], &["--bias", "3=150", "--bias", "5=-1.5"]].concat());
    assert_eq!(found["lists"], serde_json::json!(["bias 3=150", "bias 5=-1.5"]));
    assert_eq!(found["adjusted_otherwise"], serde_json::json!({"count": 1, "token": 3, "logits": [151.0, 101.0]}));
    // The same tokens with other probabilities.
    let cold = ["--row", "1", "--temp", "0.005", "--valid-vocab", "3"];
    let (found, text) = explain(&[&vllm[..], &cold].concat());
    assert_eq!(found["parts_at"], Value::Null);
    let line = "at the draw: both keep the same 3 tokens, with other probabilities by temperature (0.005, 0.01)";
    assert!(text.contains(line), "{text}");
    let (found, text) = explain(&["--versus", "huggingface", "--adaptive-target", "0.2"]);
    assert_eq!(found["profiles"][0]["adaptive_target"].as_f64().unwrap() as f32, 0.2);
    assert_eq!(found["profiles"][1]["adaptive_target"], Value::Null);
    assert!(text.contains("with other probabilities by adaptive-target"), "{text}");
    // At temperature 0 llama.cpp asks XTC first.
    let xtc = ["--versus", "llama_cpp", "--temp", "0", "--xtc-probability", "1", "--xtc-threshold", "0.15"];
    let (found, _) = explain(&xtc);
    assert_eq!(
        (&found["profiles"][0]["pick"]["token"], &found["profiles"][1]["pick"]["token"]),
        (&0.into(), &2.into())
    );
    // End tokens, breakers, windows and bans are told to the decoder.
    let told = "--end-tokens 0,1 --ban 2 --no-repeat-window 1 --generated 3 --min_tokens 2";
    let (found, _) = explain(&told.split(' ').collect::<Vec<_>>());
    assert_eq!(found["profiles"][0]["kept"], 2);
    let (found, _) = explain(&["--dry-multiplier", "8", "--prompt", "1,2,0,1,2", "--breaker", "2"]);
    assert_eq!(found["profiles"][0]["top"][0]["token"], 0);
    let (found, _) = explain(&["--dry-multiplier", "8", "--prompt", "1,2,0,1,2"]);
    assert_eq!(found["profiles"][0]["top"][0]["token"], 1);
    for (option, value, code, said) in [
        ("--bias", "3", 2, "no = in it"),
        ("--bias", "x=1", 2, "\"x\" is no token"),
        ("--bias", "3=nan", 2, "finite"),
        ("--ban", "6", 1, "6"),
        ("--bad-sequence", "1,9", 1, "9"),
        ("--penalty-scope", "prompt", 2, "profile, all or generated"),
        ("--penalty-window", "5000", 1, "penalty_window"),
        ("--valid-vocab", "7", 1, "valid_vocab"),
        ("--top-n-sigma", "-1", 1, "top_n_sigma is -1, outside its range: a finite number from 0 up"),
        ("--dynatemp-range", "-0.5", 1, "dynatemp_range is -0.5, outside its range"),
        ("--top-a", "3", 1, "top_a is 3, outside its range: a number from 0 to 1"),
        ("--adaptive-decay", "1", 1, "a number from 0 to 0.99"),
    ] {
        let output = run(&["explain", "--rows", &file, option, value]);
        assert_eq!(output.status.code(), Some(code), "{option} {value}");
        assert!(stderr(&output).contains(said), "{option} {value}: {}", stderr(&output));
    }
}

/// Greedy is the default of `decode`; an option that does nothing then is named.
#[test]
fn decode_says_what_greedy_leaves_without_effect() {
    let remarks = |options: &[&str]| {
        let output = run(&[&["decode", "--context", "In winter", "--steps", "2", "-q"], options].concat());
        assert_eq!(output.status.code(), Some(0), "{options:?}");
        stderr(&output)
    };
    for (options, said) in [
        (&["--temp", "0.9"][..], "--temp changes the reported probabilities only; --mode sample draws"),
        (
            &["--temp", "0.9", "--top-p", "0.9", "--min-keep", "2"],
            "so --top-p, --min-keep have no effect; --mode sample",
        ),
        (&["--seed", "4"], "so --seed or --stream has no effect"),
        (&["--mode", "greedy", "--top-k", "3"], "so --top-k has no effect\n"),
        (&["--mode", "sample", "--temp", "0", "--top-p", "0.5"], "so --top-p has no effect\n"),
    ] {
        let heard = remarks(options);
        assert!(heard.contains("is greedy") && heard.contains(said), "{options:?}: {heard}");
    }
    for (option, value, said) in [
        ("--mirostat-tau", "-1", "mirostat_tau is -1, outside its range: a finite number from 0 up"),
        ("--dry-base", "0.5", "a finite number from 1 up"),
    ] {
        let output = run(&["decode", "--mode", "sample", option, value]);
        assert_eq!(output.status.code(), Some(1), "{option} {value}");
        assert!(stderr(&output).contains(said), "{option} {value}: {}", stderr(&output));
    }
    for options in [
        &[][..],
        &["--mode", "greedy", "--temp", "0.9"],
        &["--mode", "sample", "--temp", "0.9", "--top-p", "0.5", "--seed", "1"],
        &["--repetition-penalty", "1.2"],
        &["--temp", "0"],
        &["--mode", "sample", "--temp", "0", "--profile", "llama_cpp", "--typical-p", "0.5"],
    ] {
        assert_eq!(remarks(options), "", "{options:?}");
    }
}
