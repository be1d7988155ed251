//! The file of results: cut off, of another sweep, stopped, done again.

use super::*;

fn open(path: &std::path::Path, sweep: &Sweep, model: &str) -> Result<Results, String> {
    Results::open(path, sweep, Fingerprint::new(sweep, model)).map_err(|error| error.to_string())
}

#[test]
fn a_sweep_that_was_cut_off_anywhere_goes_on_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results.jsonl");
    let sweep = parse("prompts: [sea, sky]\nparameter_sets: [greedy, careful]\nmax_tokens: 3\n");
    let ends = resolve(&sweep, &Hashes).unwrap();
    let go_on = |results: &mut Results, batch| {
        let left = results.left(false);
        let mut add = |record| results.add(record);
        let whole =
            run(&Hashes, (&sweep, &ends), kernels(), batch, &left, &mut add, &mut |_| ControlFlow::Continue(()));
        assert!(whole.unwrap().is_continue());
        left
    };
    let mut results = open(&path, &sweep, "m").unwrap();
    assert_eq!(go_on(&mut results, 1), [0, 1, 2, 3]);
    let whole: Vec<RunRecord> = results.done().cloned().collect();
    assert!(open(&path, &sweep, "m").unwrap_err().contains("another sweep writes to it"));
    drop(results);
    let bytes = fs::read(&path).unwrap();
    let ends_of_lines: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at] == b'\n').collect();
    assert_eq!(ends_of_lines.len(), 4);
    let cuts = (0..bytes.len()).filter(|cut| cut % 13 == 0 || ends_of_lines.iter().any(|end| cut.abs_diff(*end) < 3));
    for cut in cuts {
        fs::write(&path, &bytes[..cut]).unwrap();
        let mut results = open(&path, &sweep, "m").unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        let there = ends_of_lines.iter().filter(|&&end| end < cut).count();
        assert_eq!(results.done().count(), there, "cut at {cut}");
        let whole_lines = ends_of_lines[..there].last().map_or(0, |end| end + 1);
        assert_eq!(fs::metadata(&path).unwrap().len() as usize, whole_lines, "cut at {cut}");
        assert_eq!(results.torn(), cut - whole_lines);
        assert_eq!(go_on(&mut results, 3).len(), 4 - there);
        let again: Vec<RunRecord> = results.done().cloned().collect();
        assert_eq!(lines(&again), lines(&whole));
        drop(results);
        let again = open(&path, &sweep, "m").unwrap();
        assert!(again.left(false).is_empty());
        assert_eq!(lines(&again.done().cloned().collect::<Vec<_>>()), lines(&whole));
    }
}

#[test]
fn results_of_another_sweep_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results.jsonl");
    let text = "prompts: [sea, sky]\nparameter_sets: [greedy, {name: s, top_k: 5}]\nseeds: [1]\nmax_batch_size: 2\n";
    let sweep = parse(text);
    let ends = resolve(&sweep, &Hashes).unwrap();
    let mut results = open(&path, &sweep, "m").unwrap();
    let mut add = |record| results.add(record);
    let whole = run(&Hashes, (&sweep, &ends), kernels(), 1, &[3, 1], &mut add, &mut |_| ControlFlow::Continue(()));
    assert!(whole.unwrap().is_continue());
    drop(results);
    let bytes = fs::read(&path).unwrap();
    assert_eq!(
        open(&path, &parse(&text.replace("max_batch_size: 2", "max_batch_size: 9")), "m").unwrap().left(false),
        [0, 2]
    );
    for (from, to, parts) in [
        ("sky", "sun", &["its prompts differ", "\"sky\" there, \"sun\" here"][..]),
        ("top_k: 5", "top_k: 6", &["its parameter sets or seeds differ", "run 3 has top_k 5 there, 6 here"]),
        ("top_k: 5", "min_p: 0.5", &["run 3 has top_k 5 there, 0 here"]),
        ("name: s", "name: t", &["the parameter set s there, t here"]),
        ("[1]", "[2]", &["run 3 has seed 1 there, 2 here"]),
        ("[sea, sky]", "[sky]", &["its prompts", "it has a run 3, this sweep has 2 runs"]),
        ("seeds", "stop_strings: [x]\nseeds", &["its end rules differ"]),
        ("seeds", "end_tokens: []\nseeds", &["its end rules differ"]),
    ] {
        let message = open(&path, &parse(&text.replace(from, to)), "m").expect_err(to);
        for part in ["results.jsonl", "another sweep"].iter().chain(parts) {
            assert!(message.contains(part), "{to}: {part:?} is not in {message:?}");
        }
    }
    assert!(open(&path, &sweep, "n").unwrap_err().contains("the model differ"));
    assert_eq!(fs::read(&path).unwrap(), bytes);

    for (content, what) in [
        (&b"my precious notes\n"[..], "line 1: it is no result of a run, and the file is left as it is"),
        (b"my precious notes without an end", "no file of results, and is left as it is"),
        (b"{}\n", "it has no field \"parameters\""),
        (b"\xff\xfe\n", "line 1: not UTF-8"),
    ] {
        fs::write(&path, content).unwrap();
        let message = open(&path, &sweep, "m").unwrap_err();
        assert!(message.contains(what), "{message}");
        assert_eq!(fs::read(&path).unwrap(), content);
    }
    // A line that reads well, but not as a result of this sweep.
    let line = String::from_utf8(bytes.clone()).unwrap();
    fs::write(&path, line.replacen("\"entropy\": [", "\"entropy\": [1.5, ", 1)).unwrap();
    assert!(open(&path, &sweep, "m").unwrap_err().contains("not equally long"));
    assert!(open(folder.path(), &sweep, "m").unwrap_err().contains("no regular file"));
}

#[test]
fn a_line_is_the_record_and_errors_can_be_done_again() {
    let sweep = parse(SWEEP);
    for record in all(&sweep, 8, kernels()) {
        let (of, again) = RunRecord::from_line(&record.to_line("abc")).unwrap();
        assert_eq!(of, "abc");
        // NaN is not equal to itself: compared as text.
        assert_eq!(format!("{again:?}"), format!("{record:?}"));
    }
    let mut record = RunRecord::begin(&sweep, &sweep.run(0));
    record.text = "a \"quote\"\n\u{1}\u{2028} é 😀 \\".to_owned();
    record.steps = Steps {
        tokens: vec![1, 4_000_000],
        pieces: vec!["\t".to_owned(), String::new()],
        entropy: vec![0.0, 1.0e-42],
        margin: vec![f32::INFINITY, 0.1],
        top1_probability: vec![1.0, 0.3],
        logprob: vec![-0.0, -12.5],
        rank: vec![0, u32::MAX],
        kept: vec![1, 2],
    };
    record.parameters.insert("min_keep".to_owned(), f64::from(u32::MAX));
    record.parameters.insert("min_p".to_owned(), f64::from(0.1f32));
    let line = record.to_line("s");
    assert!(!line.contains('\n') && line.contains("\"min_keep\": 4294967295, \"min_p\": 0.1"), "{line}");
    assert_eq!(format!("{:?}", RunRecord::from_line(&line).unwrap().1), format!("{record:?}"));
    assert_eq!((record.mean_margin(), record.mean_entropy()), (f64::from(0.1f32), f64::from(1.0e-42f32) / 2.0));

    let mut results = Results::in_memory(&sweep, Fingerprint::new(&sweep, "m"));
    for record in all(&sweep, 8, kernels()) {
        results.add(record).unwrap();
    }
    assert!(results.left(false).is_empty());
    let failed: Vec<usize> =
        results.done().filter(|record| record.finish == Termination::Error).map(|record| record.run).collect();
    assert!(failed.len() > 10);
    assert_eq!(results.left(true), failed);
}

#[test]
fn a_sweep_that_is_stopped_keeps_what_is_done() {
    let sweep = parse(SWEEP);
    let ends = resolve(&sweep, &Hashes).unwrap();
    let mut results = Results::in_memory(&sweep, Fingerprint::new(&sweep, "m"));
    let numbers = results.left(false);
    let mut add = |record| results.add(record);
    let mut watch = |progress: &Progress| {
        if progress.runs >= 10 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let stopped = run(&Hashes, (&sweep, &ends), kernels(), 4, &numbers, &mut add, &mut watch).unwrap();
    assert!(stopped.is_break());
    let done = results.done().count();
    assert!((10..14).contains(&done), "{done}");
    let whole = all(&sweep, 1, kernels());
    for record in results.done() {
        assert_eq!(lines(std::slice::from_ref(record)), lines(std::slice::from_ref(&whole[record.run])));
    }
}
