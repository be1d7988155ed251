//! Where the highest logits lie must not change what top-k keeps: rows sorted either way, in teeth, in runs and with ties,
//! against a plain sort. What it costs then is counted by `cross/instructions`.

use argpick::{Candidate, Config, Decoder, Kernels, Level};

/// SplitMix64's finaliser.
fn mix(x: u64) -> u64 {
    let z = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A sum of four uniform numbers.
fn logit(seed: u64) -> f32 {
    (0..4).map(|part| (mix(seed) >> (16 * part) & 0xffff) as f32).sum::<f32>() / 16_384.0 - 8.0
}

/// Rows by their names.
fn rows(vocab: usize) -> Vec<(&'static str, Vec<f32>)> {
    let any: Vec<f32> = (0..vocab as u64).map(|i| logit(i * 7919 + 1)).collect();
    let mut ascending = any.clone();
    ascending.sort_by(f32::total_cmp);
    let descending: Vec<f32> = ascending.iter().rev().copied().collect();
    // Teeth of some blocks, each a little higher than the one before.
    let teeth = (0..vocab).map(|i| (i % 700) as f32 / 100.0 + (i / 700) as f32 / 512.0).collect();
    // High logits in runs of 96.
    let runs = (0..vocab).map(|i| if i / 96 % 3 == 1 { any[i] + 9.0 } else { any[i] }).collect();
    let coarse = any.iter().map(|z| z.round()).collect();
    let coarse_ascending = ascending.iter().map(|z| (z * 4.0).round() / 4.0).collect();
    let outlier = ascending.iter().enumerate().map(|(i, &z)| if i == vocab / 5 { 1e30 } else { z }).collect();
    let masked = ascending.iter().enumerate().map(|(i, &z)| if i % 5 == 2 { f32::NEG_INFINITY } else { z }).collect();
    vec![
        ("any", any),
        ("ascending", ascending),
        ("descending", descending),
        ("teeth", teeth),
        ("runs", runs),
        ("coarse", coarse),
        ("coarse, ascending", coarse_ascending),
        ("ascending, one far above", outlier),
        ("ascending, a fifth masked", masked),
        ("equal", vec![-2.5; vocab]),
    ]
}

#[test]
fn top_k_keeps_the_first_of_a_sorted_row() {
    for level in Level::ALL {
        let Ok(kernels) = Kernels::new(level) else {
            println!("skipped: top-k of rearranged rows on {level}: this processor does not have it");
            continue;
        };
        for vocab in [70_001, 300_000, 5_000] {
            for (name, row) in rows(vocab) {
                let mut order: Vec<u32> = (0..vocab as u32).filter(|&i| row[i as usize] > f32::NEG_INFINITY).collect();
                order.sort_by(|&a, &b| row[b as usize].total_cmp(&row[a as usize]).then(a.cmp(&b)));
                for k in [1, 2, 40, 63, 65, 200, 1000, 4000] {
                    let config = Config { top_k: k, ..Config::default() };
                    let mut decoder = Decoder::new_with_kernels(&config, vocab, kernels).expect("a decoder");
                    let mut kept = vec![Candidate::default(); k as usize];
                    let count = decoder.kept(&row, None, &mut kept).expect("tokens");
                    let tokens: Vec<u32> = kept[..count].iter().map(|candidate| candidate.token).collect();
                    let mut expected = order[..order.len().min(k as usize)].to_vec();
                    expected.sort_unstable();
                    assert_eq!(tokens, expected, "{name}, {vocab} tokens, k {k}, {level}");
                }
            }
        }
    }
}
