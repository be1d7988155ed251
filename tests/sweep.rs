//! A sweep says, for each configuration, what a decoder of its own would.

use argpick::{Candidate, Config, Decoder, Error, Metrics, Mirostat, Mode, Pick, Profile, sweep_words};

fn row(seed: u64, vocab: usize) -> Vec<f32> {
    let mut x = seed;
    (0..vocab)
        .map(|_| {
            let mut sum = 0;
            for _ in 0..3 {
                x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                sum += (x >> 40) as i64;
            }
            (sum - 3 * (1 << 23)) as f32 / (1 << 21) as f32
        })
        .collect()
}

fn configs() -> Vec<Config> {
    let all = Config { metrics: Metrics::ALL, ..Config::default() };
    vec![
        all.clone(),
        Config { temperature: 0.5, ..all.clone() },
        Config { mode: Mode::Greedy, ..all.clone() },
        Config { top_k: 5, seed: 3, ..all.clone() },
        Config { top_k: 40, top_p: 0.9, min_p: 0.05, temperature: 0.8, ..all.clone() },
        Config { top_p: 0.7, metrics: Metrics::CONFIDENCE, ..all.clone() },
        Config { typical_p: 0.6, temperature: 1.5, ..all.clone() },
        Config { eta_cutoff: 0.02, stream: 9, ..all.clone() },
        Config { top_n_sigma: 1.0, ..all.clone() },
        Config { tfs_z: 0.9, ..all.clone() },
        Config { top_h: 0.5, ..all.clone() },
        Config { xtc_probability: 1.0, xtc_threshold: 0.02, ..all.clone() },
        Config { mirostat: Mirostat::Two, ..all.clone() },
        Config { adaptive_target: 0.3, min_p: 0.02, ..all.clone() },
        Config { dynatemp_range: 0.7, ..all },
    ]
}

fn bits(pick: &Pick) -> Vec<u64> {
    let floats = [
        pick.margin,
        pick.top1_probability,
        pick.entropy,
        pick.logprob_raw,
        pick.logprob,
        pick.kept_mass,
        pick.temperature,
        pick.flip_argmax,
        pick.flip_kept,
        pick.flip_token,
    ];
    let numbers = [pick.token, pick.argmax, pick.rank, pick.kept];
    numbers.into_iter().chain(floats.map(f32::to_bits)).map(u64::from).collect()
}

#[test]
fn each_pick_and_kept_set_is_that_of_a_decoder_of_its_own() {
    for (seed, vocab) in [(1, 7), (2, 300), (3, 5000)] {
        let row = row(seed, vocab);
        let configs = configs();
        let mask: Vec<u32> = (0..vocab.div_ceil(32)).map(|i| !(1 << (i % 31))).collect();
        let bias = [(2, 1.5), (4, -0.75)];
        let mut base = Decoder::new(&Config::default(), vocab).unwrap();
        base.set_bias(&bias).unwrap();
        base.seek(4);
        let mut memory = vec![0xdead; sweep_words(&configs, vocab).unwrap()];
        let mut results = vec![Err(Error::Finished); configs.len()];
        let words = vocab.div_ceil(32);
        let mut kept = vec![7; configs.len() * words];
        base.sweep(&row, Some(&mask), &configs, &mut memory, &mut results, &mut kept).unwrap();
        for (i, config) in configs.iter().enumerate() {
            let mut own = Decoder::new(config, vocab).unwrap();
            own.set_bias(&bias).unwrap();
            own.seek(4);
            let pick = own.evaluate(&row, Some(&mask)).unwrap();
            assert_eq!(bits(&results[i].unwrap()), bits(&pick), "configuration {i} of {vocab}");
            let mut list = vec![Candidate::default(); vocab];
            let count = own.kept(&row, Some(&mask), &mut list).unwrap();
            let mut expected = vec![0; words];
            list[..count].iter().for_each(|c| expected[c.token as usize / 32] |= 1 << (c.token % 32));
            assert_eq!(kept[i * words..(i + 1) * words], expected, "configuration {i} of {vocab}");
        }
    }
}

/// Filters that measure the row, at more temperatures than sums are kept for, some of them again; of each profile; on a row
/// that penalties, a bias and a mask adjust.
#[test]
fn shared_sums_and_histories_say_what_each_decoder_says() {
    let vocab = 3000;
    for (seed, profile) in
        [(11, Profile::Canon), (12, Profile::HuggingFace), (13, Profile::LlamaCpp), (14, Profile::Vllm)]
    {
        let row = row(seed, vocab);
        let own = Config { profile, repetition_penalty: 1.3, ..Config::default() };
        let (mut configs, mut others) = (Vec::new(), Vec::new());
        for i in 0..48u32 {
            let metrics =
                [Metrics::NONE, Metrics::ALL, Metrics::KEPT, Metrics::LOGPROB | Metrics::KEPT_MASS][i as usize / 3 % 4];
            let temperature = [0.5, 0.7, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 0.7, 1.0][i as usize % 11];
            let base = Config { seed: i.into(), temperature, metrics, ..own.clone() };
            let filtered = match i % 8 {
                0 => Config { typical_p: 0.8, ..base.clone() },
                1 => Config { epsilon_cutoff: 0.001, ..base.clone() },
                2 => Config { eta_cutoff: 0.002, ..base.clone() },
                3 => Config { top_p: 0.9, ..base.clone() },
                4 => Config { top_a: 0.2, ..base.clone() },
                5 => Config { mirostat: Mirostat::Two, ..base.clone() },
                6 => Config { xtc_probability: 0.5, xtc_threshold: 0.01, top_p: 0.99, ..base.clone() },
                _ => Config { top_k: 40, typical_p: 0.9, min_p: 0.01, min_keep: 3, ..base.clone() },
            };
            // llama.cpp's mirostat knows no penalties, so its row is another one.
            let is_another_row = profile == Profile::LlamaCpp && filtered.mirostat != Mirostat::Off;
            if is_another_row {
                others.push(filtered.clone());
            }
            let is_shared = !is_another_row && Decoder::new(&filtered, vocab).is_ok();
            configs.push(if is_shared { filtered } else { base });
        }
        let mask: Vec<u32> = (0..vocab.div_ceil(32)).map(|i| !(0x11 << (i % 27))).collect();
        let prepare = |config: &Config| {
            let mut decoder = Decoder::new(config, vocab).unwrap();
            decoder.prompt(&[5, 9, 2000]).unwrap();
            decoder.accept(&[7, 9, 11]).unwrap();
            decoder.set_bias(&[(9, 2.5), (2999, f32::NEG_INFINITY)]).unwrap();
            decoder
        };
        let words = vocab.div_ceil(32);
        let mut memory = vec![0; sweep_words(&configs, vocab).unwrap()];
        let mut results = vec![Err(Error::Finished); configs.len()];
        let mut kept = vec![7; configs.len() * words];
        prepare(&own).sweep(&row, Some(&mask), &configs, &mut memory, &mut results, &mut kept).unwrap();
        if let Some(other) = others.first() {
            let mut results = [Err(Error::Finished)];
            let configs = std::slice::from_ref(other);
            prepare(&own).sweep(&row, Some(&mask), configs, &mut memory, &mut results, &mut []).unwrap();
            assert_eq!(results, [Err(Error::InvalidParameter { name: "mirostat", value: 2.0 })]);
        }
        for (i, config) in configs.iter().enumerate() {
            let mut decoder = prepare(config);
            let pick = decoder.evaluate(&row, Some(&mask)).unwrap();
            assert_eq!(bits(&results[i].unwrap()), bits(&pick), "configuration {i} of {}: {config:?}", profile.name());
            let mut list = vec![Candidate::default(); vocab];
            let count = decoder.kept(&row, Some(&mask), &mut list).unwrap();
            let mut expected = vec![0; words];
            list[..count].iter().for_each(|c| expected[c.token as usize / 32] |= 1 << (c.token % 32));
            assert_eq!(kept[i * words..(i + 1) * words], expected, "configuration {i} of {}", profile.name());
        }
    }
}

#[test]
fn what_cannot_be_swept_is_refused_by_name_and_the_rest_goes_on() {
    let row = row(5, 64);
    let mut base = Decoder::new(&Config::default(), 64).unwrap();
    let good = Config { top_k: 3, ..Config::default() };
    let configs = [
        Config { repetition_penalty: 1.2, ..Config::default() },
        Config { top_p: 1.5, ..Config::default() },
        good.clone(),
        Config { valid_vocab: 9, ..Config::default() },
    ];
    let mut memory = vec![0; sweep_words(&[good], 64).unwrap()];
    let mut results = [Err(Error::Finished); 4];
    base.sweep(&row, None, &configs, &mut memory, &mut results, &mut []).unwrap();
    assert!(matches!(results[0], Err(Error::InvalidParameter { name: "repetition_penalty", .. })));
    assert!(matches!(results[1], Err(Error::InvalidParameter { name: "top_p", value: 1.5 })));
    assert!(results[2].is_ok());
    assert!(matches!(results[3], Err(Error::InvalidParameter { name: "valid_vocab", value: 9.0 })));

    base.sweep(&row, None, &configs, &mut [], &mut results, &mut []).unwrap();
    assert!(matches!(results[2], Err(Error::StorageTooSmall { actual: 0, .. })));
    let short = base.sweep(&row, None, &configs, &mut memory, &mut results[..3], &mut []);
    assert_eq!(short, Err(Error::WrongLength { what: "results", expected: 4, actual: 3 }));
    let short = base.sweep(&row, None, &configs, &mut memory, &mut results, &mut [0; 3]);
    assert_eq!(short, Err(Error::WrongLength { what: "kept", expected: 8, actual: 3 }));
    let mut bad = row.clone();
    bad[9] = f32::NAN;
    let refused = base.sweep(&bad, None, &configs, &mut memory, &mut results, &mut []);
    assert!(matches!(refused, Err(Error::InvalidLogit { index: 9, .. })));
    assert_eq!(base.position(), 0);
}
