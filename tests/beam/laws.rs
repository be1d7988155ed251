//! What holds for any rows.

use super::oracle::{Early, Rules, Search, Settings};
use super::tables::{Host, levels, recipe, word};
use argpick::{
    BeamConfig, BeamSearch, Config, Continuation, Decoder, EarlyStopping, Error, Finish, Mode, Profile, Row,
};
use half::{bf16, f16};

fn key(tokens: &[u32]) -> u64 {
    tokens.iter().fold(11, |key, &token| word(key, u64::from(token)))
}

fn no_mask(_: &[u32]) -> Option<Vec<u32>> {
    None
}

/// Everything a search answered, to the bit.
fn bits(host: &Host) -> Vec<(Vec<u32>, u64, u64, u32)> {
    let told = host.told().into_iter();
    told.map(|(tokens, told)| (tokens, told.score.to_bits(), told.logprob.to_bits(), told.finish as u32)).collect()
}

#[test]
fn every_level_and_every_run_gives_the_same_bits() {
    for (profile, groups, kind) in [
        (Profile::Canon, 1, "normal"),
        (Profile::Canon, 3, "ties"),
        (Profile::Canon, 2, "flat"),
        (Profile::HuggingFace, 1, "bf16"),
        (Profile::Vllm, 1, "peaked"),
    ] {
        let config = BeamConfig {
            profile,
            beams: 6,
            groups,
            diversity_penalty: if groups > 1 { 0.7 } else { 0.0 },
            length_penalty: 0.6,
            max_tokens: 12,
            end_tokens: &[5, 900],
            ..BeamConfig::default()
        };
        let run = |kernels, host: Option<Host>| {
            let mut host = host.unwrap_or_else(|| Host::new(&config, 3001, kernels));
            let mut seen = vec![];
            while !host.search.is_finished() {
                let step = host.step(|tokens| recipe(kind, key(tokens), 3001), no_mask);
                let outputs = &host.next[..step.live + step.ended];
                seen.extend(outputs.iter().map(|out| (out.parent, out.token, out.score.to_bits())));
            }
            (seen, bits(&host), host)
        };
        let mut expected = None;
        for kernels in levels() {
            let (seen, told, mut host) = run(kernels, None);
            let (expected_seen, expected_told) = expected.get_or_insert((seen.clone(), told.clone()));
            assert_eq!((&seen, &told), (&*expected_seen, &*expected_told), "{kernels:?}");
            // And once more in the same memory.
            host.search.reset(None).unwrap();
            host.beams = vec![vec![]];
            let (seen, told, _) = run(kernels, Some(host));
            assert_eq!((&seen, &told), (&*expected_seen, &*expected_told), "{kernels:?}");
        }
    }
}

#[test]
fn memory_may_contain_anything() {
    let config = BeamConfig { beams: 3, max_tokens: 5, end_tokens: &[1], ..BeamConfig::default() };
    let words = BeamSearch::<Box<[u64]>>::storage_words(&config, 777).unwrap();
    let run = |fill: u64| {
        let storage = vec![fill; words + 3];
        let mut search = BeamSearch::new_in(&config, 777, levels()[0], storage).unwrap();
        let mut next = vec![Continuation::default(); search.outputs()];
        while !search.is_finished() {
            let rows: Vec<Vec<f32>> = (0..search.live()).map(|i| recipe("normal", i as u64 + 5, 777)).collect();
            let rows: Vec<Row<'_>> = rows.iter().map(Row::from).collect();
            search.step(&rows, &[], &mut next).unwrap();
        }
        assert!(search.storage()[words..].iter().all(|&word| word == fill));
        (0..search.hypotheses()).map(|rank| search.hypothesis(rank)).collect::<Vec<_>>()
    };
    assert_eq!(run(0), run(0xa5a5_5a5a_ffff_0001));
    let error = BeamSearch::new_in(&config, 777, levels()[0], vec![0; words - 1]).err();
    assert_eq!(error, Some(Error::StorageTooSmall { expected: words, actual: words - 1 }));
}

#[test]
fn one_beam_is_greedy() {
    let special = |i: usize, x: u64| match i {
        0 => f32::from_bits((x & 0x007f_ffff) as u32 | ((x >> 40) as u32 & 1) << 31),
        1 => [0.0, -0.0, -1.0, 0.0][(x & 3) as usize],
        2 => [3.0e38, f32::MAX, f32::MIN, 2.9e38][(x & 3) as usize],
        _ => 1.5,
    };
    for profile in [Profile::Canon, Profile::HuggingFace, Profile::Vllm] {
        for (i, vocab) in [1, 2, 63, 64, 65, 1024, 5000, 70_001].into_iter().enumerate() {
            let row_of = |tokens: &[u32]| match i % 2 + tokens.len() % 4 {
                0 => recipe("normal", key(tokens), vocab),
                1 => recipe("ties", key(tokens), vocab),
                other => (0..vocab as u64).map(|t| special(other - 2, word(key(tokens), t))).collect(),
            };
            let config = BeamConfig { profile, beams: 1, max_tokens: 9, ..BeamConfig::default() };
            let mut host = Host::new(&config, vocab, levels()[i % levels().len()]);
            let mut decoder = Decoder::new(&Config { mode: Mode::Greedy, ..Config::default() }, vocab).unwrap();
            let mut greedy = vec![];
            while !host.search.is_finished() {
                host.step(row_of, no_mask);
                greedy.push(decoder.decode(&row_of(&greedy), None).unwrap().token);
            }
            assert_eq!(host.told()[0].0, greedy, "{profile:?}, vocabulary {vocab}");
        }
    }
}

#[test]
fn ties_stand_in_the_order_of_beam_and_token() {
    let config = BeamConfig { beams: 3, max_tokens: 3, end_tokens: &[2], ..BeamConfig::default() };
    let mut host = Host::new(&config, 6, levels()[0]);
    let step = host.step(|_| vec![1.0; 6], no_mask);
    assert_eq!(host.beams, [[0], [1], [3]]);
    assert_eq!((step.live, step.ended, host.next[3].token), (3, 1, 2));
    // All of beam 0 comes before all of beam 1.
    host.step(|_| vec![-0.0, 0.0, -0.0, 0.0, 0.0, -0.0], no_mask);
    assert_eq!(host.beams, [[0, 0], [0, 1], [0, 3]]);
    host.step(|_| vec![1.0; 6], no_mask);
    let told: Vec<Vec<u32>> = host.told().into_iter().map(|(tokens, _)| tokens).collect();
    assert_eq!(told, [vec![2], vec![0, 2], vec![0, 0, 0]]);
}

#[test]
fn hypotheses_are_sorted_and_their_scores_are_sums_of_log_probabilities() {
    for length_penalty in [0.0, 1.0, -0.5, 0.7] {
        let config = BeamConfig { beams: 8, length_penalty, max_tokens: 15, end_tokens: &[3], ..BeamConfig::default() };
        let row_of = |tokens: &[u32]| {
            let mut row = recipe("normal", key(tokens), 400);
            row[3] += 6.0;
            row
        };
        let mut host = Host::new(&config, 400, levels()[0]);
        while !host.search.is_finished() {
            host.step(row_of, no_mask);
            let told = host.told();
            assert!(told.windows(2).all(|pair| pair[0].1.score >= pair[1].1.score));
            for (tokens, told) in told {
                let mut sum = 0.0;
                for (i, &token) in tokens.iter().enumerate() {
                    let row = row_of(&tokens[..i]);
                    let z: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
                    sum += f64::from(row[token as usize]) - z.ln();
                }
                assert!((told.logprob - sum).abs() < 1e-5, "{} {sum}", told.logprob);
                let score = sum / (tokens.len() as f64).powf(f64::from(length_penalty));
                assert!((told.score - score).abs() < 1e-5, "{} {score}", told.score);
            }
        }
        assert_eq!(host.search.hypotheses(), 8);
    }
}

#[test]
fn enough_beams_find_the_best_of_all_sequences() {
    const VOCAB: u32 = 3;
    let row_of = |tokens: &[u32]| recipe("normal", key(tokens) ^ 77, VOCAB as usize);
    let config = BeamConfig { beams: 81, max_tokens: 4, end_tokens: &[], ..BeamConfig::default() };
    let mut host = Host::new(&config, VOCAB as usize, levels()[0]);
    while !host.search.is_finished() {
        host.step(row_of, no_mask);
    }
    let mut all: Vec<(f64, Vec<u32>)> = vec![];
    for number in 0..VOCAB.pow(4) {
        let tokens: Vec<u32> = (0..4).map(|place| number / VOCAB.pow(place) % VOCAB).collect();
        let sum = (0..4).map(|i| {
            let row = row_of(&tokens[..i]);
            f64::from(row[tokens[i] as usize]) - row.iter().map(|&x| f64::from(x).exp()).sum::<f64>().ln()
        });
        all.push((sum.sum(), tokens));
    }
    all.sort_by(|a, b| b.0.partial_cmp(&a.0).unwrap());
    let told: Vec<Vec<u32>> = host.told().into_iter().map(|(tokens, _)| tokens).collect();
    assert_eq!(told, all.into_iter().map(|(_, tokens)| tokens).collect::<Vec<_>>());
}

#[test]
fn never_loses_nothing() {
    let (mut early, mut lost) = (0, 0);
    for seed in 0..240u64 {
        let row_of = |tokens: &[u32]| {
            let mut row = recipe("peaked", key(tokens) ^ seed << 20, 50);
            row[7] += 3.0;
            row
        };
        let length_penalty = [0.0, 0.5, 1.0, -0.5][seed as usize % 4];
        let config = BeamConfig { beams: 4, length_penalty, max_tokens: 12, end_tokens: &[7], ..BeamConfig::default() };
        let run = |early_stopping| {
            let mut host = Host::new(&BeamConfig { early_stopping, ..config }, 50, levels()[0]);
            let mut steps = 0;
            while !host.search.is_finished() {
                host.step(row_of, no_mask);
                steps += 1;
            }
            (steps, host.told().into_iter().map(|(tokens, _)| tokens).collect::<Vec<_>>())
        };
        // A search that goes on to the end whatever it has found.
        let mut judge = Search::new(Settings {
            rules: Rules::Canon,
            beams: 4,
            groups: 1,
            diversity: 0.0,
            length_penalty: f64::from(length_penalty),
            early: Early::Off,
            temperature: 1.0,
            min_tokens: 0,
            max_tokens: 12,
            valid: 50,
            end_tokens: vec![7],
        });
        for _ in 0..12 {
            judge.step(&row_of, &|_, _| true);
        }
        if judge.nearest < 2e-5 {
            continue;
        }
        let expected: Vec<Vec<u32>> = judge.told().into_iter().map(|told| told.tokens).collect();
        let (steps, found) = run(EarlyStopping::Never);
        assert_eq!(found, expected, "seed {seed}");
        early += usize::from(steps < 12);
        let (hasty_steps, hasty) = run(EarlyStopping::Full);
        assert!(hasty_steps <= steps);
        lost += usize::from(hasty != expected);
    }
    assert!(early > 20 && lost > 20, "{early} ended early, {lost} lost something by haste");
}

#[test]
fn half_rows_search_as_their_f32_copies() {
    let config = BeamConfig { beams: 4, max_tokens: 6, end_tokens: &[9], ..BeamConfig::default() };
    for brain in [false, true] {
        let row_of = |tokens: &[u32]| recipe("normal", key(tokens), 1500);
        let mut wide = Host::new(&config, 1500, levels()[0]);
        let mut narrow = Host::new(&config, 1500, *levels().last().unwrap());
        while !wide.search.is_finished() {
            let f16s: Vec<Vec<f16>> =
                narrow.beams.iter().map(|t| row_of(t).into_iter().map(f16::from_f32).collect()).collect();
            let bf16s: Vec<Vec<bf16>> =
                narrow.beams.iter().map(|t| row_of(t).into_iter().map(bf16::from_f32).collect()).collect();
            let rows: Vec<Row<'_>> = (0..narrow.beams.len())
                .map(|i| if brain { Row::Bf16(&bf16s[i]) } else { Row::F16(&f16s[i]) })
                .collect();
            let step = narrow.search.step(&rows, &[], &mut narrow.next).unwrap();
            narrow.follow(step);
            let round = |x: f32| if brain { bf16::from_f32(x).to_f32() } else { f16::from_f32(x).to_f32() };
            wide.step(|tokens| row_of(tokens).into_iter().map(round).collect(), no_mask);
            assert_eq!(wide.next[..step.live], narrow.next[..step.live]);
        }
        assert_eq!(bits(&wide), bits(&narrow));
    }
}

#[test]
fn diverse_groups_avoid_each_others_tokens() {
    let config = BeamConfig { beams: 4, groups: 4, diversity_penalty: 1e6, max_tokens: 5, ..BeamConfig::default() };
    let mut host = Host::new(&config, 100, levels()[0]);
    while !host.search.is_finished() {
        let before = host.beams.clone();
        let step = host.step(|tokens| recipe("normal", tokens.len() as u64, 100), no_mask);
        let mut tokens: Vec<u32> = host.next[..step.live + step.ended].iter().map(|out| out.token).collect();
        tokens.sort_unstable();
        tokens.dedup();
        // With the last step all groups end at once, and beams that end do not count.
        assert_eq!(tokens.len(), if step.finished { 1 } else { 4 }, "{before:?}");
    }
    // The penalty is in no score.
    assert!(host.told().iter().all(|(_, told)| told.logprob > -100.0));
    assert_eq!(host.told().len(), 4);
}

/// The last of the best so far may be a penalised token: then lower logits than its own can still drive it out, also those
/// that come long after it.
#[test]
fn a_penalised_token_does_not_hide_later_ones() {
    let mut row = vec![0.0; 2000];
    row[1..8].fill(3.0);
    (row[8], row[1500]) = (2.0, 1.5);
    let config = BeamConfig { beams: 16, groups: 2, diversity_penalty: 1.0, max_tokens: 3, ..BeamConfig::default() };
    for kernels in levels() {
        let mut host = Host::new(&config, 2000, kernels);
        host.step(|_| row.clone(), no_mask);
        let tokens: Vec<u32> = host.beams.iter().map(|tokens| tokens[0]).collect();
        assert_eq!(tokens[..8], [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(tokens[8..], [1, 2, 3, 4, 5, 6, 7, 1500]);
    }
}

#[test]
fn a_beam_without_a_token_is_given_up_and_the_search_goes_on() {
    let config = BeamConfig { beams: 3, max_tokens: 4, ..BeamConfig::default() };
    for profile in [Profile::Canon, Profile::HuggingFace, Profile::Vllm] {
        let mut host = Host::new(&BeamConfig { profile, ..config }, 40, levels()[0]);
        host.step(|_| recipe("normal", 3, 40), no_mask);
        let best = host.beams[0].clone();
        let row = |tokens: &[u32]| recipe("normal", key(tokens), 40);
        let step = host.step(row, |tokens| (tokens == best).then(|| vec![0, 0]));
        assert_eq!(step.live, 3);
        assert!(host.beams.iter().all(|tokens| tokens[0] != best[0]));
        // And if it is the row that is empty.
        let worst = host.beams[2].clone();
        host.step(|tokens| if tokens == worst { vec![f32::NEG_INFINITY; 40] } else { row(tokens) }, no_mask);
        assert!(host.beams.iter().all(|tokens| tokens[..2] != worst[..]));
    }
}

/// Decoders beside the beams: what they mask is what masks of the same tokens would mask, so their histories followed.
#[test]
fn decoders_follow_their_beams() {
    for seed in 0..60u64 {
        let (beams, groups) = [(1, 1), (2, 1), (5, 1), (8, 1), (6, 3), (9, 3)][seed as usize % 6];
        let config = BeamConfig {
            beams,
            groups,
            diversity_penalty: groups as f32 - 1.0,
            max_tokens: 14,
            min_tokens: 2,
            end_tokens: &[4],
            length_penalty: 1.0,
            ..BeamConfig::default()
        };
        const VOCAB: usize = 70;
        let row_of = |tokens: &[u32]| {
            // Few tokens are good, so that beams cross over and windows matter.
            let mut row = recipe("flat", key(tokens) ^ seed << 30, VOCAB);
            for (i, logit) in row.iter_mut().enumerate().take(8) {
                *logit += 4.0 + (word(key(tokens) ^ seed, i as u64) % 4) as f32;
            }
            row
        };
        let mut masked = Host::new(&config, VOCAB, levels()[0]);
        let mut beside = Host::new(&config, VOCAB, levels()[0]);
        let settings = Config { no_repeat_window: 5, history_capacity: 6, adjustment_capacity: 2, ..Config::default() };
        let mut decoders: Vec<Decoder> = (0..beams).map(|_| Decoder::new(&settings, VOCAB).unwrap()).collect();
        // The others take over all of this with the first step.
        decoders[0].set_bans(&[20]).unwrap();
        decoders[0].prompt(&[1, 2, 3]).unwrap();
        while !masked.search.is_finished() {
            let rows: Vec<Vec<f32>> = beside.beams.iter().map(|tokens| row_of(tokens)).collect();
            let rows: Vec<Row<'_>> = rows.iter().map(Row::from).collect();
            let step = beside.search.step_with_decoders(&mut decoders, &rows, &[], &mut beside.next).unwrap();
            beside.follow(step);
            masked.step(row_of, |tokens| {
                let mut words = vec![u32::MAX; VOCAB.div_ceil(32)];
                for &token in tokens.iter().rev().take(5).chain([&20]) {
                    words[token as usize / 32] &= !(1 << (token % 32));
                }
                Some(words)
            });
            assert_eq!(masked.beams, beside.beams, "seed {seed}");
            assert_eq!(masked.next[..step.live], beside.next[..step.live]);
            for (decoder, tokens) in decoders.iter().zip(&beside.beams) {
                assert_eq!(decoder.position(), tokens.len() as u64);
            }
        }
        assert_eq!(bits(&masked), bits(&beside));
    }
}

/// A beam ends where its decoder ends: with a stop sequence, with one of the decoder's own end tokens, with a loop.
#[test]
fn beams_end_where_their_decoders_end() {
    let (mut stops, mut loops) = (0, 0);
    for profile in [Profile::Canon, Profile::HuggingFace, Profile::Vllm] {
        for seed in 0..20u64 {
            let row_of = |tokens: &[u32]| {
                let mut row = recipe("normal", key(tokens) ^ seed << 24, 30);
                row[3] += 2.5;
                row[4] += 2.5;
                row
            };
            let config = BeamConfig { profile, beams: 4, max_tokens: 9, ..BeamConfig::default() };
            let settings = Config { loop_repeats: 3, ..Config::default() };
            let mut decoders: Vec<Decoder> = (0..4).map(|_| Decoder::new(&settings, 30).unwrap()).collect();
            for decoder in &mut decoders {
                decoder.set_stops(&[&[3, 4][..], &[7][..]]).unwrap();
            }
            let mut host = Host::new(&config, 30, levels()[0]);
            while !host.search.is_finished() {
                let rows: Vec<Vec<f32>> = host.beams.iter().map(|tokens| row_of(tokens)).collect();
                let rows: Vec<Row<'_>> = rows.iter().map(Row::from).collect();
                let step = host.search.step_with_decoders(&mut decoders, &rows, &[], &mut host.next).unwrap();
                host.follow(step);
                let stopped = |tokens: &[u32]| tokens.ends_with(&[3, 4]) || tokens.ends_with(&[7]);
                assert!(host.beams.iter().all(|tokens| !stopped(tokens)));
            }
            for (tokens, told) in host.told() {
                let stopped = tokens.ends_with(&[3, 4]) || tokens.ends_with(&[7]);
                assert_eq!(told.finish == Finish::Stop, stopped, "{tokens:?} {told:?}");
                let looped = tokens.len() >= 3 && tokens[tokens.len() - 3..].windows(2).all(|pair| pair[0] == pair[1]);
                assert!(!looped || told.finish == Finish::Loop || told.length == 9, "{tokens:?} {told:?}");
                stops += usize::from(stopped);
                loops += usize::from(told.finish == Finish::Loop);
            }
        }
    }
    assert!(stops > 50 && loops > 0, "{stops} stops, {loops} loops");
}

/// A step reports all that go on and all that end, whoever ends them: with the rules of Hugging Face it looks at twice the beams
/// even if the search has no end token, so decoders may end as many as go on.
#[test]
fn what_a_step_reports_has_room() {
    for (profile, end_tokens, live, ended) in [
        (Profile::Canon, &[][..], 0, 3),
        (Profile::Canon, &[8][..], 3, 3),
        (Profile::HuggingFace, &[][..], 3, 3),
        (Profile::HuggingFace, &[8][..], 3, 3),
        (Profile::Vllm, &[][..], 0, 3),
        (Profile::Vllm, &[3, 4][..], 0, 5),
    ] {
        // Long texts are worth waiting for.
        let config =
            BeamConfig { profile, beams: 3, max_tokens: 4, length_penalty: 2.0, end_tokens, ..BeamConfig::default() };
        let mut decoders: Vec<Decoder> = (0..3).map(|_| Decoder::new(&Config::default(), 9).unwrap()).collect();
        decoders[0].set_stops(&[&[0], &[1], &[2]]).unwrap();
        let mut host = Host::new(&config, 9, levels()[0]);
        let row: Vec<f32> = (0..9).map(|token| -0.5 * token as f32).collect();
        let step =
            host.search.step_with_decoders(&mut decoders, &[Row::from(&row)], &[], &mut host.next).expect("a step");
        let context = format!("{profile:?}, end tokens {end_tokens:?}");
        assert_eq!((step.live, step.ended), (live, ended), "{context}");
        assert!(live + ended <= host.search.outputs(), "{context}: {} outputs", host.search.outputs());
        let tokens = |from: &[Continuation]| from.iter().map(|out| out.token).collect::<Vec<_>>();
        if live > 0 {
            assert_eq!(tokens(&host.next[..live]), [3, 4, 5], "{context}");
        }
        let mut told = tokens(&host.next[live..live + ended]);
        told.sort_unstable();
        assert_eq!(told, (0..ended as u32).collect::<Vec<_>>(), "{context}");
    }
}

/// vLLM 0.33.0 divides by the generated tokens, the end token among them, whatever the prompt is; so does transformers.
#[test]
fn lengths_are_those_of_what_was_generated() {
    for profile in [Profile::Canon, Profile::HuggingFace, Profile::Vllm] {
        let config = BeamConfig {
            profile,
            beams: 3,
            max_tokens: 2,
            length_penalty: 1.0,
            end_tokens: &[0],
            ..BeamConfig::default()
        };
        let mut host = Host::new(&config, 2, levels()[0]);
        let row_of = |tokens: &[u32]| {
            if tokens.is_empty() { vec![0.4f32.ln(), 0.6f32.ln()] } else { vec![0.9f32.ln(), 0.1f32.ln()] }
        };
        while !host.search.is_finished() {
            host.step(row_of, no_mask);
        }
        let expected =
            [(vec![1, 0], (0.6f64 * 0.9).ln() / 2.0), (vec![0], 0.4f64.ln()), (vec![1, 1], (0.6f64 * 0.1).ln() / 2.0)];
        let told = host.told();
        assert_eq!(told.len(), 3, "{profile:?}");
        for ((tokens, told), (wanted, score)) in told.iter().zip(&expected) {
            assert_eq!(tokens, wanted, "{profile:?}");
            assert!((told.score - score).abs() < 1e-6, "{profile:?}: {tokens:?} {told:?}, not {score}");
        }
    }
}
