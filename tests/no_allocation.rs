//! A step allocates nothing: a counting allocator watches everything a host calls while it generates.

mod support;

use argpick::weights::{Column, ColumnMatrix, ElementType, SparseHead};
use argpick::{
    BeamConfig, BeamSearch, Config, Continuation, Decoder, Metrics, Pick, Profile, Recorder, Replay, Row, Trace,
    TraceBuffer, TraceParts, decode_batch,
};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use support::generators::{self, MaskKind, Shape, Source};
use support::oracle::{Case, Settings};
use support::report;

/// The system's allocator, counting the calls of each thread by itself, so that the test harness does not disturb.
struct Counting;

thread_local! {
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    // A thread that is being torn down has no counter any more; it runs no test either.
    let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
}

// SAFETY: every call is handed on unchanged to the system's allocator, which keeps the contract of `GlobalAlloc`;
// counting touches a thread-local `Cell` without a destructor and allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise about `layout` is the one `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise about `layout` is the one `System` asks for.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: `pointer` came from `System` through the functions above, with this layout.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count();
        // SAFETY: `pointer` came from `System` through the functions above, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs something and answers how often it called the allocator.
fn calls_during<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = CALLS.with(Cell::get);
    let result = work();
    (CALLS.with(Cell::get) - before, result)
}

#[test]
fn the_counter_counts() {
    let (calls, vector) = calls_during(|| std::hint::black_box(Vec::<u8>::with_capacity(100)));
    assert_eq!(calls, 1);
    assert_eq!(calls_during(|| drop(vector)).0, 1);
    assert_eq!(calls_during(|| std::hint::black_box(1 + 1)).0, 0);
}

fn plans() -> Vec<(&'static str, Settings)> {
    let base = Settings { seed: 1, no_repeat_window: 4, ..Settings::default() };
    vec![
        ("full", base.clone()),
        ("greedy", Settings { greedy: true, ..base.clone() }),
        ("top-k", Settings { top_k: 40, ..base.clone() }),
        ("large top-k", Settings { top_k: 3_000, ..base.clone() }),
        ("top-p", Settings { top_p: 0.95, ..base.clone() }),
        ("min-p", Settings { min_p: 0.05, ..base.clone() }),
        ("all", Settings { top_k: 40, top_p: 0.95, min_p: 0.05, temperature: 0.8, min_keep: 3, ..base }),
    ]
}

#[test]
fn a_step_allocates_nothing() {
    for kernels in report::levels("a_step_allocates_nothing") {
        for (name, settings) in plans() {
            for shape in [Shape::Normal, Shape::Flat, Shape::Peaked, Shape::AllEqual, Shape::Holes] {
                for metrics in [Metrics::NONE, Metrics::ALL] {
                    let mut source = Source::new(9);
                    let vocab = 5_003;
                    let case =
                        Case { settings: settings.clone(), ..Case::new(generators::row(&mut source, shape, vocab)) };
                    let mask = generators::mask(&mut source, MaskKind::Runs, vocab).expect("a mask");
                    let mut decoder = report::decoder(&case, kernels, metrics);
                    let (mut row, original) = (case.row.clone(), &case.row);
                    let half: Vec<half::bf16> = original.iter().map(|&z| half::bf16::from_f32(z)).collect();
                    // A sparse head whose one column and whose bias are the row.
                    let bytes = bytemuck::cast_slice(original);
                    let column = Column { bytes, element: ElementType::F32 };
                    let head = ColumnMatrix::new(bytes, ElementType::F32, vocab, 1)
                        .and_then(|columns| SparseHead::new(columns, column))
                        .expect("a head");
                    let (calls, ()) = calls_during(|| {
                        decoder.prompt(&[1, 2, 3]).expect("a prompt");
                        decoder.set_bias(&[(7, 1.0), (4_000, -2.0)]).expect("biases");
                        decoder.set_bans(&[9, 10]).expect("bans");
                        for _ in 0..3 {
                            decoder.decode(original, None).expect("a step");
                            decoder.decode(&half[..], None).expect("a step");
                            decoder.decode_sparse(&head, &[0], None, None).expect("a step");
                            // With a random mask a row of holes may have nothing left; a refusal allocates nothing either.
                            let _ = decoder.evaluate(original, Some(&mask));
                            row.copy_from_slice(original);
                            decoder.process(&mut row, None).expect("a step");
                            row.copy_from_slice(original);
                            decoder.probabilities(&mut row, None).expect("a step");
                            decoder.accept(&[3, 4, 5]).expect("tokens");
                            decoder.undo(2).expect("tokens to undo");
                        }
                        row.copy_from_slice(original);
                        row[5] = f32::NAN;
                        decoder.decode(&row, None).expect_err("NaN is refused");
                        decoder.seek(100);
                        decoder.reset(None).expect("a reset");
                    });
                    assert_eq!(calls, 0, "{name}, {shape:?}, {}", kernels.level().name());
                }
            }
        }
    }
}

#[test]
fn a_batch_and_a_softmax_allocate_nothing() {
    let mut source = Source::new(10);
    let rows: Vec<Vec<f32>> = (0..6).map(|_| generators::row(&mut source, Shape::Normal, 1_025)).collect();
    for kernels in report::levels("a_batch_allocates_nothing") {
        for (name, settings) in plans() {
            let case = Case { settings, ..Case::new(rows[0].clone()) };
            let mut decoders: Vec<Decoder> =
                rows.iter().map(|_| report::decoder(&case, kernels, Metrics::ALL)).collect();
            let views: Vec<Row> = rows.iter().map(Row::from).collect();
            let masks = vec![None; rows.len()];
            let mut results: Vec<argpick::Result<Pick>> = vec![Err(argpick::Error::EverythingMasked); rows.len()];
            let (calls, outcome) = calls_during(|| decode_batch(&mut decoders, &views, &masks, &mut results));
            outcome.expect("a batch");
            assert!(results.iter().all(Result::is_ok));
            assert_eq!(calls, 0, "{name}, {}", kernels.level().name());
        }
    }
    let mut row = rows[0].clone();
    // The first use of the run-time choice reads the environment.
    argpick::softmax(&mut row, 0.7).expect("a row");
    assert_eq!(calls_during(|| argpick::softmax(&mut row, 0.7).expect("a row")).0, 0);
}

/// Everything that the history keeps, and all lists: recording, undoing and steps allocate nothing.
#[test]
fn a_history_allocates_nothing() {
    let config = argpick::Config {
        repetition_penalty: 1.1,
        frequency_penalty: 0.1,
        dry_multiplier: 0.5,
        no_repeat_ngram: 3,
        no_repeat_window: 2,
        loop_repeats: 50,
        min_tokens: 3,
        length_decay_factor: 1.01,
        history_capacity: 64,
        metrics: Metrics::ALL,
        ..argpick::Config::default()
    };
    let mut source = Source::new(13);
    let row = generators::row(&mut source, Shape::Normal, 1_025);
    let mut decoder = Decoder::new(&config, row.len()).expect("a decoder");
    let mut bytes = vec![0; 1 << 16];
    let (calls, ()) = calls_during(|| {
        decoder.set_end_tokens(&[1, 2]).expect("end tokens");
        decoder.set_stops(&[&[3, 4], &[5]]).expect("stops");
        decoder.set_breakers(&[&[6], &[7, 8]]).expect("breakers");
        decoder.set_bad_sequences(&[&[9, 10], &[11]]).expect("bad sequences");
        decoder.set_sequence_bias(&[(&[9, 12], 1.0), (&[13], -1.0)]).expect("biased sequences");
        decoder.set_forced(&[(5, 14)]).expect("forced tokens");
        decoder.set_stop_strings(&[b"never", b"ever"]).expect("stop strings");
        decoder.prompt(&[20, 21, 20, 21, 20]).expect("a prompt");
        for i in 0..200u32 {
            decoder.accept(&[20 + i % 5, 30 + i % 7]).expect("tokens");
            decoder.push_bytes(b"eve");
            decoder.evaluate(&row, None).expect("a step");
            decoder.undo(1).expect("a token");
        }
        let written = decoder.save(&mut bytes).expect("room");
        decoder.load(&bytes[..written]).expect("a saved decoder");
        decoder.reset(None).expect("a reset");
    });
    assert_eq!(calls, 0);
}

/// A decoder in the caller's memory allocates nothing even to be made.
#[test]
fn a_decoder_in_given_memory_allocates_nothing_at_all() {
    let mut source = Source::new(12);
    let row = generators::row(&mut source, Shape::Normal, 1_025);
    for kernels in report::levels("a_decoder_in_given_memory") {
        let config = report::config(&Settings { top_p: 0.9, no_repeat_window: 3, ..Settings::default() }, Metrics::ALL);
        let words = Decoder::<Vec<u64>>::storage_words(&config, row.len()).expect("a size");
        let mut storage = vec![0u64; words];
        let (calls, pick) = calls_during(|| {
            let mut decoder = Decoder::new_in(&config, row.len(), kernels, &mut storage[..]).expect("enough memory");
            decoder.decode(&row, None).expect("a step")
        });
        let mut owned = Decoder::new_with_kernels(&config, row.len(), kernels).expect("a decoder");
        assert!(report::first_difference(&pick, &owned.decode(&row, None).expect("a step")).is_none());
        assert_eq!(calls, 0, "{}", kernels.level().name());
    }
}

/// Drafts verified, chain and tree, by every rule, and refused: the allocator is not called.
#[test]
fn a_verification_allocates_nothing() {
    use argpick::{Acceptance, DraftModel, Drafts, ROOT, verify};
    let mut source = Source::new(14);
    let vocab = 1_025;
    let rows: Vec<Vec<f32>> = (0..6).map(|_| generators::row(&mut source, Shape::Normal, vocab)).collect();
    let given: Vec<Row> = rows.iter().map(Row::from).collect();
    for kernels in report::levels("a_verification_allocates_nothing") {
        for (name, settings) in plans() {
            let case = Case { settings, ..Case::new(rows[0].clone()) };
            let mut target = report::decoder(&case, kernels, Metrics::ALL);
            let mut draft = report::decoder(&Case::new(rows[0].clone()), kernels, Metrics::NONE);
            let rules = [Acceptance::Match, Acceptance::Certain, Acceptance::Drawn, Acceptance::WithoutReplacement];
            for acceptance in rules {
                for parents in [&[][..], &[ROOT, ROOT, 0, 0, 1]] {
                    let mut picks = [Pick::default(); 6];
                    let mut refused = rows[0].clone();
                    refused[3] = f32::NAN;
                    let bad = [Row::from(&refused); 6];
                    let (calls, ()) = calls_during(|| {
                        for round in 0..4 {
                            let tokens = [round, 7, 3, 9, 11];
                            let drafts = Drafts { tokens: &tokens, parents, rows: &given, masks: &[], acceptance };
                            let model = DraftModel { decoder: &mut draft, rows: &given, masks: &[] };
                            verify(&mut target, &drafts, Some(model), &mut picks).expect("a verification");
                            let drafts = Drafts { rows: &bad, ..drafts };
                            let model = DraftModel { decoder: &mut draft, rows: &given, masks: &[] };
                            verify(&mut target, &drafts, Some(model), &mut picks).expect_err("NaN is refused");
                        }
                    });
                    assert_eq!(calls, 0, "{name}, {acceptance:?}, {}", kernels.level().name());
                }
            }
        }
    }
}

/// Recording into a caller's buffer, reading it and executing it again, all without a heap.
#[test]
fn a_trace_in_given_memory_allocates_nothing_at_all() {
    let mut source = Source::new(13);
    let row = generators::row(&mut source, Shape::Normal, 1_025);
    let mask = generators::mask(&mut source, MaskKind::Runs, 1_025).expect("a mask");
    for kernels in report::levels("a_trace_in_given_memory") {
        let config = report::config(&Settings { top_p: 0.9, no_repeat_window: 3, ..Settings::default() }, Metrics::ALL);
        let words = Decoder::<Vec<u64>>::storage_words(&config, row.len()).expect("a size");
        let (mut storage, mut other) = (vec![0u64; words], vec![0u64; words]);
        let (mut memory, mut lists) = (vec![0u8; 4_000], vec![0u32; 100]);
        let (calls, steps) = calls_during(|| {
            let mut decoder = Decoder::new_in(&config, row.len(), kernels, &mut storage[..]).expect("enough memory");
            let mut recorder = Recorder::new(TraceBuffer::new(&mut memory), &decoder, TraceParts::default());
            recorder.prompt(&mut decoder, &[1, 2, 3]).expect("a prompt");
            recorder.set_bias(&mut decoder, &[(7, 1.0), (9, -2.0)]).expect("biases");
            for _ in 0..4 {
                recorder.decode(&mut decoder, &row, None).expect("a step");
                let _ = recorder.decode(&mut decoder, &row, Some(&mask));
            }
            recorder.undo(&mut decoder, 1).expect("a token to undo");
            let buffer = recorder.finish().expect("room");
            let trace = Trace::open(buffer.bytes()).expect("a trace");
            let mut replay = Replay::new_in(trace, kernels, &mut other[..], &mut lists[..]).expect("enough memory");
            while replay.advance().expect("a step").is_some() {
                assert!(replay.check(&row, None).expect("an answer").is_none());
            }
            replay.steps()
        });
        assert_eq!((calls, steps), (0, 8), "{}", kernels.level().name());
    }
}

/// A beam search, with and without decoders beside it: no step allocates, nor does reading what it found.
#[test]
fn a_beam_search_allocates_nothing() {
    let mut source = Source::new(13);
    let rows: Vec<Vec<f32>> = (0..12).map(|_| generators::row(&mut source, Shape::Ties, 5_003)).collect();
    let mask = vec![0x7fff_fffeu32; 5_003usize.div_ceil(32)];
    for kernels in report::levels("a_beam_search_allocates_nothing") {
        for profile in [Profile::Canon, Profile::HuggingFace, Profile::Vllm] {
            let config = BeamConfig {
                profile,
                beams: 6,
                groups: if profile == Profile::Canon { 3 } else { 1 },
                max_tokens: 9,
                min_tokens: 3,
                end_tokens: &[5, 17],
                length_penalty: 0.6,
                ..BeamConfig::default()
            };
            let words = BeamSearch::<Vec<u64>>::storage_words(&config, 5_003).expect("a size");
            let mut storage = vec![0; words];
            let beside = Config { no_repeat_window: 4, ..Config::default() };
            let mut decoders: Vec<Decoder> =
                (0..6).map(|_| Decoder::new_with_kernels(&beside, 5_003, kernels).expect("a decoder")).collect();
            let views: Vec<Row> = rows.iter().map(Row::from).collect();
            let masks = vec![Some(&mask[..]); rows.len()];
            let (calls, told) = calls_during(|| {
                let mut search = BeamSearch::new_in(&config, 5_003, kernels, &mut storage[..]).expect("enough memory");
                let mut next = [Continuation::default(); 18];
                let mut tokens = [0; 9];
                let mut told = 0;
                for with_decoders in [false, true] {
                    while !search.is_finished() {
                        let (rows, masks) = (&views[..search.live()], &masks[..search.live()]);
                        let step = match with_decoders {
                            true => search.step_with_decoders(&mut decoders, rows, masks, &mut next),
                            false => search.step(rows, masks, &mut next),
                        };
                        step.expect("a step");
                    }
                    for rank in 0..search.hypotheses() {
                        told += search.hypothesis_tokens(rank, &mut tokens).expect("room");
                    }
                    search.reset(None).expect("the same again");
                }
                told
            });
            assert!(told >= 12);
            assert_eq!(calls, 0, "{profile:?}, {}", kernels.level().name());
        }
    }
}
