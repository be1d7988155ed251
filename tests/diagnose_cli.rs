//! `argpick diagnose`, by running it, against naive computations in f64.
#![cfg(feature = "cli")]

#[path = "support/tool.rs"]
mod tool;

use half::{bf16, f16};
use serde_json::Value;
use std::fs;
use tool::{folder, json_of, matrix, npy, run, stderr, stdout};

fn integers(values: &[i64]) -> Vec<u8> {
    let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    npy("<i8", &format!("({},)", values.len()), "False", &data)
}

const VOCAB: usize = 70;

/// Rows from flat to saturated, values that f16 and bf16 have, and targets that are more often near the top.
fn rows(count: usize) -> (Vec<Vec<f32>>, Vec<i64>) {
    let mut state = 11u64;
    let mut next = || {
        state = argpick::rng::mix(state);
        (state >> 40) as f32 / (1 << 24) as f32
    };
    let (mut rows, mut targets) = (Vec::new(), Vec::new());
    for row in 0..count {
        let size = [0.0, 0.5, 3.0, 8.0, 40.0][row % 5];
        let mut logits: Vec<f32> = (0..VOCAB).map(|_| ((next() - 0.5) * size * 8.0).round() / 8.0).collect();
        if row % 5 == 4 {
            logits[row * 13 % VOCAB] = 30.0;
        }
        if row % 7 == 3 {
            logits[row % VOCAB] = f32::NEG_INFINITY;
        }
        let mut order: Vec<usize> = (0..VOCAB).collect();
        order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
        let place = (next() * next() * 14.0) as usize;
        targets.push(order[place] as i64);
        rows.push(logits);
    }
    (rows, targets)
}

/// What the definition makes of a row: probabilities in f64 at a temperature.
fn softmax(row: &[f32], temperature: f64) -> Vec<f64> {
    let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f64> = row.iter().map(|&z| ((f64::from(z) - f64::from(top)) / temperature).exp()).collect();
    let total: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / total).collect()
}

fn order(row: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..row.len()).collect();
    order.sort_by(|&a, &b| row[b].partial_cmp(&row[a]).unwrap().then(a.cmp(&b)));
    order
}

/// The expected calibration error of pairs of confidence and hit.
fn calibration_error(pairs: &[(f64, bool)], bins: usize) -> f64 {
    (0..bins)
        .map(|bin| {
            let (from, to) = (bin as f64 / bins as f64, (bin + 1) as f64 / bins as f64);
            let inside: Vec<_> = pairs.iter().filter(|(p, _)| *p >= from && (*p < to || bin + 1 == bins)).collect();
            let hits = inside.iter().filter(|(_, hit)| *hit).count() as f64;
            let sure: f64 = inside.iter().map(|(p, _)| p).sum();
            (hits - sure).abs() / pairs.len() as f64
        })
        .sum()
}

fn near(found: &Value, expected: f64, tolerance: f64, what: &str) {
    let found = found.as_f64().unwrap_or_else(|| panic!("{what} is {found}"));
    assert!((found - expected).abs() <= tolerance, "{what}: {found}, the naive one is {expected}");
}

#[test]
fn every_figure_is_that_of_a_naive_computation() {
    let (_folder, path) = folder();
    let (rows, targets) = rows(200);
    let (file, target_file) = (path("rows.npy"), path("targets.npy"));
    fs::write(&file, matrix(&rows)).unwrap();
    fs::write(&target_file, integers(&targets)).unwrap();
    let told = json_of(
        &[
            "diagnose",
            "--rows",
            &file,
            "--targets",
            &target_file,
            "--temp",
            "0.7",
            "--top-k",
            "6",
            "--json",
            "--accuracy-at",
            "1,3,9",
            "--bins",
            "8",
            "--flat-entropy",
            "0.95",
            "--saturated-top1",
            "0.99",
        ],
        0,
    );
    let (mut flat, mut saturated, mut greedy, mut within) = (0, 0, 0, [0; 3]);
    let (mut loss, mut entropy, mut top1, mut expected) = (0.0, 0.0, 0.0, 0.0);
    let (mut raw, mut drawn) = (Vec::new(), Vec::new());
    for (index, (row, &target)) in rows.iter().zip(&targets).enumerate() {
        let (order, p) = (order(row), softmax(row, 1.0));
        let rank = order.iter().position(|&token| token as i64 == target).unwrap();
        let row_entropy: f64 = p.iter().filter(|&&p| p > 0.0).map(|p| -p * p.ln()).sum();
        let tokens = row.iter().filter(|z| z.is_finite()).count();
        let (best, own) = (p[order[0]], p[target as usize]);
        let verdict = if best >= 0.99 {
            saturated += 1;
            "saturated"
        } else if row_entropy >= 0.95 * (tokens as f64).ln() {
            flat += 1;
            "flat"
        } else {
            "healthy"
        };
        greedy += usize::from(rank == 0);
        for (count, k) in within.iter_mut().zip([1, 3, 9]) {
            *count += usize::from(rank < k);
        }
        // Draws: temperature, then the six best.
        let cold = softmax(row, 0.7);
        let kept: f64 = order[..6].iter().map(|&token| cold[token]).sum();
        let drawn_own = if rank < 6 { cold[target as usize] / kept } else { 0.0 };
        let of_row = &told["results"][index];
        assert_eq!((&of_row["verdict"], &of_row["rank"]), (&verdict.into(), &rank.into()), "row {index}");
        assert_eq!((&of_row["argmax"], &of_row["tokens"]), (&order[0].into(), &tokens.into()), "row {index}");
        near(&of_row["loss"], -own.ln(), 1e-4, "loss");
        near(&of_row["entropy"], row_entropy, 1e-4, "entropy");
        near(&of_row["p_top1"], best, 1e-5, "p_top1");
        near(&of_row["expected_accuracy"], drawn_own, 1e-5, "expected accuracy");
        near(&of_row["drawn_p_argmax"], cold[order[0]] / kept, 1e-5, "confidence");
        (loss, entropy, top1, expected) = (loss - own.ln(), entropy + row_entropy, top1 + best, expected + drawn_own);
        raw.push((best, rank == 0));
        drawn.push((cold[order[0]] / kept, rank == 0));
    }
    let mean = |sum: f64| sum / rows.len() as f64;
    assert!(flat > 20 && saturated > 20 && greedy > 20, "{flat} {saturated} {greedy}");
    assert_eq!((&told["flat"], &told["saturated"]), (&flat.into(), &saturated.into()));
    assert_eq!(told["healthy"], rows.len() - flat - saturated);
    near(&told["greedy_accuracy"], mean(greedy as f64), 1e-9, "greedy accuracy");
    near(&told["expected_accuracy"], mean(expected), 1e-5, "drawn accuracy");
    near(&told["loss"], mean(loss), 1e-4, "loss");
    near(&told["entropy"], mean(entropy), 1e-4, "entropy");
    near(&told["p_top1"], mean(top1), 1e-5, "p_top1");
    for ((of_k, count), k) in told["top_k_accuracy"].as_array().unwrap().iter().zip(within).zip([1, 3, 9]) {
        assert_eq!(of_k["k"], k);
        near(&of_k["accuracy"], mean(count as f64), 1e-9, "top-k accuracy");
    }
    near(&told["calibration"]["expected_error"], calibration_error(&raw, 8), 1e-5, "calibration");
    near(&told["drawn_calibration"]["expected_error"], calibration_error(&drawn, 8), 1e-5, "calibration of draws");
    let over = mean(raw.iter().map(|(p, _)| p).sum::<f64>()) - mean(greedy as f64);
    near(&told["calibration"]["overconfidence"], over, 1e-5, "overconfidence");
    let in_bins: u64 =
        told["calibration"]["bins"].as_array().unwrap().iter().map(|bin| bin["rows"].as_u64().unwrap()).sum();
    assert_eq!(in_bins, 200);
    // Greedy draws are as accurate as the argmax.
    let cold = json_of(&["diagnose", "--rows", &file, "--targets", &target_file, "--temp", "0", "--json"], 0);
    assert_eq!(cold["expected_accuracy"], cold["greedy_accuracy"]);
}

#[test]
fn half_rows_padded_rows_and_lists_of_targets_give_the_same() {
    let (_folder, path) = folder();
    let (rows, targets) = rows(20);
    let list = targets.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
    let shape = format!("(20, {VOCAB})");
    let flat = || rows.iter().flatten().copied();
    let f16s: Vec<u8> = flat().flat_map(|z| f16::from_f32(z).to_le_bytes()).collect();
    let bf16s: Vec<u8> = flat().flat_map(|z| bf16::from_f32(z).to_le_bytes()).collect();
    assert!(flat().all(|z| bf16::from_f32(z).to_f32() == z || z.abs() > 16.0));
    let padded: Vec<Vec<f32>> =
        rows.iter().map(|row| row.iter().copied().chain([f32::NAN, 99.0, f32::INFINITY]).collect()).collect();
    let i32s: Vec<u8> = targets.iter().flat_map(|&target| (target as i32).to_le_bytes()).collect();
    fs::write(path("f32.npy"), matrix(&rows)).unwrap();
    fs::write(path("f16.npy"), npy("<f2", &shape, "False", &f16s)).unwrap();
    fs::write(path("bf16.npy"), npy("<V2", &shape, "False", &bf16s)).unwrap();
    fs::write(path("padded.npy"), matrix(&padded)).unwrap();
    fs::write(path("i32.npy"), npy("<i4", "(20,)", "False", &i32s)).unwrap();
    let of = |file: &str, targets: &str, more: &[&str]| {
        let file = path(file);
        let mut arguments = vec!["diagnose", "--rows", &file, "--targets", targets, "--json"];
        arguments.extend(more);
        let mut told = json_of(&arguments, 0);
        told["rows_file"] = Value::Null;
        told
    };
    let whole = of("f32.npy", &list, &[]);
    assert_eq!(whole["rows"], 20);
    assert_eq!(of("f32.npy", &path("i32.npy"), &[]), whole);
    assert_eq!(of("f16.npy", &list, &[]), whole);
    assert_eq!(of("padded.npy", &list, &["--valid-vocab", "70"]), whole);
    assert_eq!(of("f32.npy", &list, &["--kernel", "scalar"]), whole);
    // bf16 rounds the largest rows.
    let bf16s = of("bf16.npy", &list, &[]);
    for row in (0..20).filter(|row| row % 5 < 4) {
        assert_eq!(bf16s["results"][row], whole["results"][row], "row {row}");
    }
    // Rows that are left out for their target are as if they were not there.
    let mut marked = targets.clone();
    (marked[4], marked[11]) = (-100, -100);
    fs::write(path("marked.npy"), integers(&marked)).unwrap();
    let less = of("f32.npy", &path("marked.npy"), &["--ignore-target", "-100"]);
    assert_eq!((&less["ignored"], &less["rows"]), (&2.into(), &18.into()));
    let others = whole["results"].as_array().unwrap().iter().filter(|row| row["row"] != 4 && row["row"] != 11);
    assert_eq!(less["results"], Value::from_iter(others.cloned()));
}

#[test]
fn a_row_that_is_refused_is_named_and_left_out() {
    let (_folder, path) = folder();
    let (mut rows, targets) = rows(12);
    let list = targets.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
    let file = path("rows.npy");
    fs::write(&file, matrix(&rows)).unwrap();
    let whole = json_of(&["diagnose", "--rows", &file, "--targets", &list, "--json"], 0);
    (rows[3][8], rows[9][0]) = (f32::NAN, f32::INFINITY);
    rows[10].fill(f32::NEG_INFINITY);
    fs::write(&file, matrix(&rows)).unwrap();
    let arguments = ["diagnose", "--rows", &file, "--targets", &list, "--json"];
    let told = json_of(&arguments, 1);
    let message = stderr(&run(&arguments));
    assert!(message.contains("rows.npy: row 3 was refused: the logit of token 8 is NaN"), "{message}");
    assert!(message.contains("(and 2 rows more)"), "{message}");
    let refused: Vec<u64> =
        told["refused"].as_array().unwrap().iter().map(|refused| refused["row"].as_u64().unwrap()).collect();
    assert_eq!(refused, [3, 9, 10]);
    assert_eq!(told["refused"][2]["error"], "every token is masked: there is nothing to pick");
    let left =
        whole["results"].as_array().unwrap().iter().filter(|row| ![3, 9, 10].contains(&row["row"].as_u64().unwrap()));
    assert_eq!(told["results"], Value::from_iter(left.cloned()));
    assert_eq!(told["rows"], 9);
    let text = run(&arguments[..5]);
    assert!(stdout(&text).contains("row 10: every token is masked") && stdout(&text).contains("3 rows refused"));
    // Nothing is left at all.
    rows.iter_mut().for_each(|row| row[0] = f32::NAN);
    fs::write(&file, matrix(&rows)).unwrap();
    let output = run(&arguments[..5]);
    assert!(output.status.code() == Some(1) && stdout(&output).contains("no row was left to look at"));
    assert!(json_of(&arguments, 1)["greedy_accuracy"].is_null());
}

#[test]
fn what_does_not_fit_is_refused_before_anything_is_printed() {
    let (_folder, path) = folder();
    let (rows, targets) = rows(4);
    let data: Vec<u8> = rows.iter().flatten().flat_map(|logit| logit.to_le_bytes()).collect();
    let list = targets.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
    fs::write(path("rows.npy"), matrix(&rows)).unwrap();
    fs::write(path("cube.npy"), npy("<f4", "(2, 2, 70)", "False", &data)).unwrap();
    fs::write(path("fortran.npy"), npy("<f4", "(4, 70)", "True", &data)).unwrap();
    fs::write(path("whole.npy"), npy("<i4", "(4, 70)", "False", &data)).unwrap();
    fs::write(path("short.npy"), npy("<f4", "(5, 70)", "False", &data)).unwrap();
    fs::write(path("square.npy"), npy("<i8", "(2, 2)", "False", &[0; 32])).unwrap();
    fs::write(path("low.npy"), integers(&[0, 1, -1, 3])).unwrap();
    fs::write(path("bad.npy"), b"not an array").unwrap();
    fs::write(path("single.npy"), npy("<f4", "()", "False", &[0; 4])).unwrap();
    let (rows, low, folder) = (path("rows.npy"), path("low.npy"), |name: &str| path(name));
    let before = fs::read(&rows).unwrap();
    for (rows, targets, more, code, part) in [
        (&rows, "1,2,3".to_owned(), &[][..], 1, "--targets: 3 targets, but"),
        (&rows, "1,2,3,70".to_owned(), &[], 1, "the target of row 3 is 70; allowed: 0 to 69, or what --ignore-target"),
        (&rows, "1,2,3,4".to_owned(), &["--valid-vocab", "4"], 1, "the target of row 3 is 4; allowed: 0 to 3"),
        (&rows, folder("low.npy"), &[], 1, "low.npy: the target of row 2 is -1; allowed"),
        (&rows, "1,,3,4".to_owned(), &[], 1, "--targets: \"\""),
        (&rows, folder("square.npy"), &[], 1, "square.npy: the array has 2 dimensions, 1 are needed"),
        (&rows, folder("rows.npy"), &[], 1, "an integer type is needed"),
        (&rows, folder("none.npy"), &[], 1, "none.npy"),
        (&rows, list.clone(), &["--valid-vocab", "0"], 1, "--valid-vocab is 0; allowed: 1 to 70"),
        (&rows, list.clone(), &["--valid-vocab", "71"], 1, "--valid-vocab is 71; allowed: 1 to 70"),
        (&rows, list.clone(), &["--temp", "-1"], 2, "-1"),
        (&rows, list.clone(), &["--bins", "0"], 2, "--bins"),
        (&rows, list.clone(), &["--accuracy-at", "0"], 2, "--accuracy-at"),
        (&rows, list.clone(), &["--flat-entropy", "2"], 2, "from 0 to 1"),
        (&rows, list.clone(), &["--top-a", "7"], 1, "parameter top_a is 7, outside its range"),
        (&rows, list.clone(), &["--plot", "/no/such/folder/x.svg"], 1, "x.svg"),
        (&rows, list.clone(), &["--plot", rows.as_str()], 1, "rows.npy: it is an input, and would be overwritten"),
        (&rows, folder("low.npy"), &["--plot", low.as_str()], 1, "low.npy: it is an input, and would be overwritten"),
        (&path("cube.npy"), list.clone(), &[], 1, "row-major matrix of rows; save rows.reshape(-1, rows.shape[-1])"),
        (&path("fortran.npy"), list.clone(), &[], 1, "it is column-major: save numpy.ascontiguousarray(rows)"),
        (
            &path("single.npy"),
            list.clone(),
            &[],
            1,
            "shape () is neither a row nor a row-major matrix of rows; it is a single",
        ),
        (&path("whole.npy"), list.clone(), &[], 1, "logits are f32, f16, bf16 or f64, not i32"),
        (&path("short.npy"), list.clone(), &[], 1, "not as long as dtype and shape say"),
        (&path("bad.npy"), list.clone(), &[], 1, "bad.npy"),
    ] {
        let mut arguments = vec!["diagnose", "--rows", rows, "--targets", &targets];
        arguments.extend(more);
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(part), "{arguments:?}: {part:?} is not in {}", stderr(&output));
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
    assert_eq!(fs::read(&rows).unwrap(), before);
    let output = run(&["diagnose", "--targets", "1"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn text_and_plot_show_what_was_found() {
    let (_folder, path) = folder();
    let (rows, targets) = rows(30);
    let (file, target_file, plot) = (path("rows.npy"), path("targets.npy"), path("plot.svg"));
    fs::write(&file, matrix(&rows)).unwrap();
    fs::write(&target_file, integers(&targets)).unwrap();
    let arguments = ["diagnose", "--rows", &file, "--targets", &target_file, "--temp", "0.5", "--plot", &plot];
    let output = run(&arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).is_empty(), "no progress bar without a terminal");
    let text = stdout(&output);
    let told = json_of(&["diagnose", "--rows", &file, "--targets", &target_file, "--temp", "0.5", "--json"], 0);
    let accuracy = format!("greedy accuracy    {:>9.4}", told["greedy_accuracy"].as_f64().unwrap());
    let error = format!("{:.4}", told["drawn_calibration"]["expected_error"].as_f64().unwrap());
    for part in [
        "30 rows of 70 logits",
        "draws    temperature 0.5",
        accuracy.as_str(),
        "calibration at temperature 1: expected error",
        &format!("calibration as drawn: expected error {error}"),
        "... 10 more (--all-rows, --json)",
        "top-10 accuracy",
        "overall",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    let all = stdout(&run(&[&arguments[..7], &["--all-rows"]].concat()));
    assert_eq!(
        all.lines()
            .filter(|line| line.ends_with("flat") || line.ends_with("healthy") || line.ends_with("saturated"))
            .count(),
        30 + 1
    );
    let svg = fs::read_to_string(&plot).unwrap();
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    for part in
        ["Reliability", "as drawn: expected error", "healthy: ", "flat: ", "saturated: ", "probability of the argmax"]
    {
        assert!(svg.contains(part), "{part:?} is not in the plot");
    }
    let legend = |name: &str| format!("{name}: {}", told[name]);
    assert!(["healthy", "flat", "saturated"].iter().all(|name| svg.contains(&legend(name))));
    // A point for each row, one for each bin that has a row, in each of two diagrams, and five in the legends.
    let filled = |diagram: &str| {
        let bins = told[diagram]["bins"].as_array().unwrap();
        bins.iter().filter(|bin| bin["rows"] != 0).count()
    };
    let points = 30 + filled("calibration") + filled("drawn_calibration") + 5;
    assert_eq!(svg.matches("<circle").count(), points);
}
