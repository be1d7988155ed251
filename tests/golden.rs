//! Golden vectors: small steps written down as plain JSON, so that every language and every machine can be held to them.
//!
//! `tests/golden/decode.json` is a list of steps. Numbers are JSON integers below 2^53 or, where 64 bits are needed, decimal
//! strings; an f32 is its bit pattern as an unsigned integer (`0x3f800000`, that is 1065353216, is 1.0). A step has the row
//! (`row_bits`; or `row_f16`, `row_bf16`), `mask` (words, or null), `bias` (pairs of token and bits), `bans`, `generated`
//! (tokens recorded before), `config` (its `profile` and the parameters of filters beyond top-k, top-p and min-p only where they are
//! not the default ones), `position` (set after recording), and what must come out: `expected`, a pick with
//! the bits of its numbers, and the bits of what `process` and `probabilities` leave in the row; or `error`, with the
//! `status` number, and for an invalid logit its index. `tests/golden/random.json` has the numbers of some steps.
//!
//! `UPDATE=1 cargo test --test golden` writes both anew from the library, after holding every step to the judges. The
//! files are part of the contract: a change of a token is a change of `ARGPICK_NUMERICS_VERSION`.

#[path = "golden/filters.rs"]
mod filters;
mod support;

use argpick::kernels::Kernels;
use argpick::rng::{Purpose, StepNumbers};
use argpick::{Candidate, Decoder, Error, Metrics, Pick, Row, numeric};
use filters::{filter_steps, filters_from_json, filters_to_json};
use half::{bf16, f16};
use serde_json::{Value, json};
use std::path::PathBuf;
use support::exact::{self, Path};
use support::filters::{Filters, Memory, outcome as outcome_of};
use support::generators::{self, MaskKind, Shape, Source};
use support::oracle::{Case, Reality, Settings};
use support::report::{self, close};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// The element type a golden row is stored in.
#[derive(Clone, Copy, PartialEq)]
enum Element {
    F32,
    F16,
    Bf16,
}

const LATER_ROUND: &str = "envelope, a later round";
const THE_END: &str = "envelope, the end";

/// The steps, by name. Each is small, and each is there for a rule that could be got wrong.
fn steps() -> Vec<(String, Element, Case)> {
    let mut steps: Vec<(String, Element, Case)> = Vec::new();
    let mut add = |name: &str, case: Case| steps.push((name.to_string(), Element::F32, case));
    let base = || Settings { seed: 7, ..Settings::default() };
    let row = |seed: u64, shape, vocab| generators::row(&mut Source::new(seed), shape, vocab);
    let with = |row: Vec<f32>, settings| Case { settings, ..Case::new(row) };

    add("one token", with(vec![-3.25], base()));
    add("greedy takes the lowest id of equals", with(vec![0.5, 2.0, 2.0, -1.0], Settings { greedy: true, ..base() }));
    add("negative zero equals zero", with(vec![-1.0, -0.0, 0.0], Settings { greedy: true, ..base() }));
    add("temperature 0 is greedy", with(row(1, Shape::Normal, 70), Settings { temperature: 0.0, ..base() }));
    add("top-k cuts equals by id", with(vec![1.0; 12], Settings { top_k: 5, ..base() }));
    add("top-p keeps the token that crosses", with(vec![1.0; 8], Settings { top_p: 0.5, ..base() }));
    add("top-p 0 keeps one", with(row(2, Shape::Normal, 66), Settings { top_p: 0.0, ..base() }));
    add(
        "min-p 1 keeps the equals of the first",
        with(vec![1.0, 3.0, 3.0, 2.0, 3.0], Settings { min_p: 1.0, ..base() }),
    );
    add(
        "each filter keeps min_keep",
        with(vec![9.0, 1.0, 0.5, 0.0, -1.0], Settings { top_k: 1, top_p: 0.1, min_p: 0.9, min_keep: 3, ..base() }),
    );
    add("only valid_vocab takes part", {
        let mut row = row(3, Shape::Normal, 80);
        row[64..].fill(50.0);
        with(row, Settings { valid_vocab: 64, ..base() })
    });
    add("weights vanish below 2^-40", with(vec![0.0, -27.7, -27.8, -28.0, -100.0], base()));
    add("huge differences", with(vec![3.0e38, -3.0e38, 2.9e38, f32::NEG_INFINITY], base()));
    add("the extremes of temperature", with(row(4, Shape::Normal, 130), Settings { temperature: 1.0e-30, ..base() }));
    add("the other extreme", with(row(4, Shape::Normal, 130), Settings { temperature: 3.0e38, ..base() }));
    add("nothing left", Case { mask: Some(vec![0]), ..with(vec![1.0, 2.0], base()) });
    add("not a number", with(vec![1.0, 2.0, f32::NAN, f32::INFINITY], base()));
    add("infinite by bias", Case { bias: vec![(1, 3.0e38)], ..with(vec![1.0, 2.0e38, f32::NAN], base()) });

    let plans = [
        ("full", base()),
        ("hot", Settings { temperature: 1.9, ..base() }),
        ("top-k", Settings { top_k: 20, ..base() }),
        ("top-p", Settings { top_p: 0.9, temperature: 0.7, ..base() }),
        ("min-p", Settings { min_p: 0.03, ..base() }),
        ("all", Settings { top_k: 40, top_p: 0.95, min_p: 0.05, temperature: 0.8, ..base() }),
        ("greedy", Settings { greedy: true, temperature: 0.6, ..base() }),
    ];
    let shapes = [Shape::Normal, Shape::Flat, Shape::Ties, Shape::Peaked, Shape::Holes, Shape::Zipf];
    for (index, shape) in shapes.into_iter().enumerate() {
        for (plan, settings) in &plans {
            for draw in 0..2u64 {
                let vocab = [130, 129, 64, 100, 193, 66][index];
                let place = Settings {
                    seed: [7, u64::MAX][draw as usize],
                    stream: draw * 3,
                    position: draw * 1_000_000_007,
                    ..settings.clone()
                };
                add(&format!("{shape:?} {plan} {draw}"), with(row(20 + index as u64, shape, vocab), place));
            }
        }
    }
    for (plan, settings) in &plans {
        let mut source = Source::new(33);
        let mut case = with(generators::row(&mut source, Shape::Normal, 200), settings.clone());
        case.mask = generators::mask(&mut source, MaskKind::Short, 200);
        case.bias = vec![(3, 2.5), (64, -1.0), (65, f32::NEG_INFINITY), (150, 4.0)];
        case.bans = vec![8, 64, 199];
        case.generated = vec![10, 11, 12, 13];
        case.settings.no_repeat_window = 3;
        case.settings.position = 4;
        add(&format!("adjusted {plan}"), case);
    }
    // Blocks with one spike each, so that most proposals fail: the first of two is decided in a later round, the second,
    // whose nucleus is a few tokens of three hundred, after the last. The seeds are the first that lead there.
    type End = (&'static str, f32, fn(Path) -> bool);
    let ends: [End; 2] = [
        (LATER_ROUND, 1.0, |path| matches!(path, Path::Envelope { proposal } if proposal >= exact::PROPOSALS)),
        (THE_END, 0.01, |path| path == Path::Exhausted),
    ];
    for (name, top_p, is_there) in ends {
        let mut source = Source::new(40);
        let mut row = vec![-40.0; 300 * 64];
        for block in 0..300 {
            row[block * 64 + source.below(64)] = source.below(8) as f32 / 64.0;
        }
        let mut case = with(row, Settings { top_p, ..Settings::default() });
        let prepared = exact::Prepared::new(&case, numeric::weight).expect("a valid row");
        for seed in (0..).filter(|&seed| is_there(prepared.draw(seed, 0, 0).path)).take(3) {
            case.settings.seed = seed;
            add(name, case.clone());
        }
    }
    for (name, case) in filter_steps() {
        steps.push((name, Element::F32, case));
    }
    for (element, label, round) in [
        (Element::F16, "f16", (|z| f16::from_f32(z).to_f32()) as fn(f32) -> f32),
        (Element::Bf16, "bf16", |z| bf16::from_f32(z).to_f32()),
    ] {
        for (plan, settings) in &plans {
            let row: Vec<f32> = row(50, Shape::Normal, 150).into_iter().map(round).collect();
            steps.push((format!("{label} {plan}"), element, with(row, settings.clone())));
        }
    }
    steps
}

fn bits(row: &[f32]) -> Vec<u32> {
    row.iter().map(|z| z.to_bits()).collect()
}

/// A row in runs, `[count, bits]` each: rows made of few values stay short and stay plain JSON.
fn runs(row: &[f32]) -> Vec<(usize, u32)> {
    let mut runs: Vec<(usize, u32)> = Vec::new();
    for value in bits(row) {
        match runs.last_mut() {
            Some((count, last)) if *last == value => *count += 1,
            _ => runs.push((1, value)),
        }
    }
    runs
}

fn unroll(runs: &Value) -> Vec<f32> {
    let runs = runs.as_array().expect("a list of runs");
    let pairs = runs.iter().map(|run| (whole(&run[0]) as usize, f32::from_bits(whole(&run[1]) as u32)));
    pairs.flat_map(|(count, value)| std::iter::repeat_n(value, count)).collect()
}

fn whole(value: &Value) -> u64 {
    value
        .as_u64()
        .or_else(|| value.as_str().and_then(|text| text.parse().ok()))
        .unwrap_or_else(|| panic!("{value}: a number"))
}

fn float(value: &Value) -> f32 {
    f32::from_bits(whole(value) as u32)
}

fn list<T>(value: &Value, item: impl Fn(&Value) -> T) -> Vec<T> {
    value.as_array().unwrap_or_else(|| panic!("{value}: a list")).iter().map(item).collect()
}

/// The inputs of a step as JSON.
fn inputs_to_json(name: &str, element: Element, case: &Case) -> Value {
    let s = &case.settings;
    let row = match element {
        Element::F32 if case.row.len() > 1_000 => ("row_runs", json!(runs(&case.row))),
        Element::F32 => ("row_bits", json!(bits(&case.row))),
        Element::F16 => ("row_f16", json!(case.row.iter().map(|&z| f16::from_f32(z).to_bits()).collect::<Vec<_>>())),
        Element::Bf16 => ("row_bf16", json!(case.row.iter().map(|&z| bf16::from_f32(z).to_bits()).collect::<Vec<_>>())),
    };
    let mut inputs = json!({
        "name": name,
        row.0: row.1,
        "mask": case.mask,
        "bias": case.bias.iter().map(|(token, amount)| (token, amount.to_bits())).collect::<Vec<_>>(),
        "bans": case.bans,
        "generated": case.generated,
        "position": s.position.to_string(),
        "config": {
            "seed": s.seed.to_string(),
            "stream": s.stream.to_string(),
            "mode": u32::from(s.greedy),
            "temperature": s.temperature.to_bits(),
            "top_k": s.top_k,
            "top_p": s.top_p.to_bits(),
            "min_p": s.min_p.to_bits(),
            "no_repeat_window": s.no_repeat_window,
            "min_keep": s.min_keep,
            "valid_vocab": s.valid_vocab,
        },
    });
    inputs["config"].as_object_mut().expect("an object").extend(filters_to_json(&s.filters));
    inputs
}

fn inputs_from_json(step: &Value) -> (Element, Case) {
    let (element, row) = if step["row_f16"].is_array() {
        (Element::F16, list(&step["row_f16"], |v| f16::from_bits(whole(v) as u16).to_f32()))
    } else if step["row_bf16"].is_array() {
        (Element::Bf16, list(&step["row_bf16"], |v| bf16::from_bits(whole(v) as u16).to_f32()))
    } else if step["row_runs"].is_array() {
        (Element::F32, unroll(&step["row_runs"]))
    } else {
        (Element::F32, list(&step["row_bits"], float))
    };
    let c = &step["config"];
    let number = |name: &str| whole(&c[name]) as u32;
    let case = Case {
        row,
        mask: step["mask"].is_array().then(|| list(&step["mask"], |v| whole(v) as u32)),
        bias: list(&step["bias"], |pair| (whole(&pair[0]) as u32, float(&pair[1]))),
        bans: list(&step["bans"], |v| whole(v) as u32),
        generated: list(&step["generated"], |v| whole(v) as u32),
        settings: Settings {
            seed: whole(&c["seed"]),
            stream: whole(&c["stream"]),
            position: whole(&step["position"]),
            greedy: number("mode") == 1,
            temperature: float(&c["temperature"]),
            top_k: number("top_k"),
            top_p: float(&c["top_p"]),
            min_p: float(&c["min_p"]),
            no_repeat_window: number("no_repeat_window"),
            min_keep: number("min_keep"),
            valid_vocab: number("valid_vocab"),
            filters: filters_from_json(c),
        },
    };
    (element, case)
}

fn evaluate(decoder: &mut Decoder, element: Element, case: &Case) -> argpick::Result<Pick> {
    let mask = case.mask.as_deref();
    match element {
        Element::F32 => decoder.evaluate(&case.row, mask),
        Element::F16 => {
            let row: Vec<f16> = case.row.iter().map(|&z| f16::from_f32(z)).collect();
            decoder.evaluate(Row::F16(&row), mask)
        }
        Element::Bf16 => {
            let row: Vec<bf16> = case.row.iter().map(|&z| bf16::from_f32(z)).collect();
            decoder.evaluate(Row::Bf16(&row), mask)
        }
    }
}

/// What the library makes of a step, as JSON; with `rows`, also what it leaves in a row.
fn outcome(element: Element, case: &Case, kernels: Kernels, rows: bool) -> Value {
    let mut decoder = report::decoder(case, kernels, Metrics::ALL);
    let error = |error: Error| match error {
        Error::InvalidLogit { index, value } => {
            json!({"status": error.status(), "name": "InvalidLogit", "index": index,
                   "value": if value.is_nan() { "nan".to_string() } else { value.to_string() }})
        }
        other => json!({"status": other.status(), "name": format!("{other:?}")}),
    };
    let pick = match evaluate(&mut decoder, element, case) {
        Ok(pick) => pick,
        Err(refusal) => return json!({ "error": error(refusal) }),
    };
    let mut expected = json!({
        "token": pick.token,
        "argmax": pick.argmax,
        "rank": pick.rank,
        "kept": pick.kept,
        "finish": pick.finish as u32,
        "margin": pick.margin.to_bits(),
        "top1_probability": pick.top1_probability.to_bits(),
        "entropy": pick.entropy.to_bits(),
        "logprob_raw": pick.logprob_raw.to_bits(),
        "logprob": pick.logprob.to_bits(),
        "kept_mass": pick.kept_mass.to_bits(),
    });
    if case.settings.filters.dynatemp_range > 0.0 {
        expected["temperature"] = json!(pick.temperature.to_bits());
    }
    if !rows {
        return json!({ "expected": expected });
    }
    let (mut processed, mut probabilities) = (case.row.clone(), case.row.clone());
    let mask = case.mask.as_deref();
    let processed = match decoder.process(&mut processed, mask) {
        Ok(()) => json!(runs(&processed)),
        Err(refusal) => json!({ "error": error(refusal) }),
    };
    decoder.probabilities(&mut probabilities, mask).expect("what can be evaluated has probabilities");
    json!({ "expected": expected, "process_runs": processed, "probabilities_runs": runs(&probabilities) })
}

/// A step is not written down unless the judges agree with it.
fn hold_to_the_judges(name: &str, case: &Case, outcome: &Value) {
    if case.settings.filters != Filters::default() {
        return hold_to_the_chain(name, case);
    }
    let (exact, reality) = match (exact::step(case, numeric::weight), Reality::of(case)) {
        (Ok(exact), Ok(reality)) => (exact, reality),
        _ => {
            assert!(outcome["error"].is_object(), "{name}: the judges refuse it, the library answers {outcome}");
            return;
        }
    };
    let expected = &outcome["expected"];
    assert!(expected.is_object(), "{name}: the library answers {outcome}");
    for (field, value) in [("token", exact.token), ("argmax", exact.argmax), ("rank", exact.rank), ("kept", exact.kept)]
    {
        assert_eq!(whole(&expected[field]), u64::from(value), "{name}: {field}");
    }
    let kept = exact.kept as usize;
    for (field, value) in [
        ("top1_probability", reality.top1_probability()),
        ("entropy", reality.entropy),
        ("logprob_raw", reality.logprob_raw(exact.token)),
        ("logprob", reality.logprob(exact.rank as usize, kept, case.settings.metric_temperature())),
        ("kept_mass", reality.kept_mass(kept)),
    ] {
        let (actual, value) = (f64::from(float(&expected[field])), f64::from(value as f32));
        assert!(close(actual, value, 1e-5, 1e-5), "{name}: {field} is {actual:e}, in real arithmetic {value:e}");
    }
}

/// The same for steps with other filters: what is kept is what the naive chain keeps.
fn hold_to_the_chain(name: &str, case: &Case) {
    let mut decoder = report::decoder(case, report::levels("golden")[0], Metrics::ALL);
    let pick = decoder.evaluate(&case.row, case.mask.as_deref()).expect("a valid step");
    let mut kept = vec![Candidate::default(); case.row.len()];
    let count = decoder.kept(&case.row, case.mask.as_deref(), &mut kept).expect("a valid step");
    let mut tokens: Vec<u32> = kept[..count].iter().map(|candidate| candidate.token).collect();
    let memory = Memory::first(&case.settings.filters);
    let found = outcome_of(case, &memory, pick.temperature, numeric::weight).expect("a valid step");
    let sets = found.sets.expect("few boundaries");
    let mut expected: Vec<u32> = sets[0].iter().map(|&rank| found.order[rank]).collect();
    expected.sort_unstable();
    tokens.sort_unstable();
    assert_eq!(tokens, expected, "{name}");
}

fn write(name: &str, value: &[Value]) {
    // One step per line: a change shows as the lines it touches.
    let lines: Vec<String> = value.iter().map(|step| format!(" {step}")).collect();
    let text = format!("[\n{}\n]\n", lines.join(",\n"));
    let beside = path(&format!("{name}.new"));
    std::fs::create_dir_all(path("")).expect("the folder can be made");
    std::fs::write(&beside, text).expect("the file can be written");
    std::fs::rename(&beside, path(name)).expect("the file can be renamed");
    println!("wrote {} entries to {}", value.len(), path(name).display());
}

fn read(name: &str) -> Vec<Value> {
    let file = path(name);
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| {
        panic!("{}: {error}; `UPDATE=1 cargo test --test golden` writes it", file.display());
    });
    let json: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    json.as_array().expect("a list").clone()
}

fn updating() -> bool {
    std::env::var_os("UPDATE").is_some_and(|value| value == "1")
}

#[test]
fn every_step_gives_the_bits_that_are_written_down() {
    let levels = report::levels("golden");
    if updating() {
        let written: Vec<Value> = steps()
            .iter()
            .map(|(name, element, case)| {
                // The second draw from a row leaves the same in it as the first.
                let rows = case.row.len() <= 1_000 && case.settings.stream == 0;
                let outcome = outcome(*element, case, levels[0], rows);
                hold_to_the_judges(name, case, &outcome);
                let mut step = inputs_to_json(name, *element, case);
                step.as_object_mut().expect("an object").extend(outcome.as_object().expect("an object").clone());
                step
            })
            .collect();
        write("decode.json", &written);
    }
    let steps = read("decode.json");
    assert!(steps.len() >= 100, "{} steps are too few", steps.len());
    for step in &steps {
        let name = step["name"].as_str().expect("a name");
        let (element, case) = inputs_from_json(step);
        for &kernels in &levels {
            let outcome = outcome(element, &case, kernels, step["process_runs"].is_array());
            for (field, actual) in outcome.as_object().expect("an object") {
                assert_eq!(actual, &step[field.as_str()], "{name} on {}: {field}", kernels.level().name());
            }
            let answers = ["expected", "error"].map(|field| (step[field].is_object(), outcome[field].is_object()));
            assert!(answers.iter().all(|(written, given)| written == given), "{name}: {outcome}");
        }
    }
}

/// What is written down is what the generators make: no step was edited or lost.
#[test]
fn the_file_holds_the_steps_of_this_test() {
    let written = read("decode.json");
    let steps = steps();
    assert_eq!(written.len(), steps.len());
    for (step, (name, element, case)) in written.iter().zip(&steps) {
        let inputs = inputs_to_json(name, *element, case);
        // The file is the truth about logits and biases: the last bit of a generated one is the system's logarithm's.
        for (field, value) in inputs.as_object().expect("an object") {
            if !field.starts_with("row_") && field != "bias" {
                assert_eq!(value, &step[field.as_str()], "{name}: {field}");
            }
        }
        let (read_element, read) = inputs_from_json(step);
        assert!(read_element == *element, "{name}: the element type comes back");
        assert_eq!(read.row.len(), case.row.len(), "{name}: the length comes back");
        assert_eq!(read.settings, case.settings, "{name}: the settings come back");
        let path = exact::step(&read, numeric::weight).map(|exact| exact.path);
        match name.as_str() {
            LATER_ROUND => {
                assert!(matches!(path, Ok(Path::Envelope { proposal }) if proposal >= exact::PROPOSALS), "{path:?}");
            }
            THE_END => assert!(matches!(path, Ok(Path::Exhausted)), "{path:?}"),
            _ => {}
        }
    }
}

#[test]
fn the_random_numbers_are_those_written_down() {
    let places = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (7, 3, 1_000_000_007), (u64::MAX, u64::MAX, u64::MAX)];
    let draw = |seed, stream, position| {
        let mut numbers = StepNumbers::new(seed, stream, position, Purpose::Draw);
        (0..8).map(|_| numbers.next_number().to_string()).collect::<Vec<_>>()
    };
    if updating() {
        let written: Vec<Value> = places
            .iter()
            .map(|&(seed, stream, position)| {
                json!({"seed": seed.to_string(), "stream": stream.to_string(), "position": position.to_string(),
                       "purpose": 0, "numbers": draw(seed, stream, position)})
            })
            .collect();
        write("random.json", &written);
    }
    let written = read("random.json");
    assert_eq!(written.len(), places.len());
    for entry in written {
        let [seed, stream, position] = ["seed", "stream", "position"].map(|field| whole(&entry[field]));
        let numbers = list(&entry["numbers"], |v| v.as_str().expect("a decimal string").to_string());
        assert_eq!(draw(seed, stream, position), numbers, "seed {seed}, stream {stream}, position {position}");
        let mut judge = exact::numbers(seed, stream, position, 0);
        assert_eq!(numbers.iter().map(|_| judge.next().to_string()).collect::<Vec<_>>(), numbers);
    }
}
