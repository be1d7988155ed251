//! The rows that are decoded with and without std, and the lines that tell what came of them.

use argpick::{Config, Decoder, Error, Kernels, Metrics, Mode};
use core::fmt::Write;

/// Logits of a row: not a multiple of a block.
const VOCAB: usize = 1000;

/// Words of static memory; more than any configuration here needs.
pub const STORAGE_WORDS: usize = 4096;

/// Logits of about -8 to 8 from a linear congruential generator, with a few masked and a few equal ones.
fn fill(row: &mut [f32; VOCAB]) {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for (token, logit) in row.iter_mut().enumerate() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *logit = match token % 97 {
            13 => f32::NEG_INFINITY,
            29 => 6.5,
            _ => (state >> 40) as f32 / (1 << 20) as f32 - 8.0,
        };
    }
}

/// Decodes the row under each configuration in `storage` and writes one line per pick.
pub fn run(kernels: Kernels, storage: &mut [u64], out: &mut impl Write) -> Result<(), Error> {
    let base = Config {
        seed: 7,
        history_capacity: 64,
        adjustment_capacity: 16,
        sequence_capacity: 16,
        metrics: Metrics::ALL,
        ..Config::default()
    };
    let configurations = [
        ("greedy", Config { mode: Mode::Greedy, no_repeat_window: 3, ..base.clone() }),
        ("draw", Config { temperature: 0.8, ..base.clone() }),
        ("chain", Config { temperature: 0.8, top_k: 40, top_p: 0.95, min_p: 0.05, ..base.clone() }),
        ("top_p", Config { top_p: 0.9, valid_vocab: 990, ..base.clone() }),
    ];
    let mut row = [0.0; VOCAB];
    fill(&mut row);
    let mut mask = [u32::MAX; VOCAB.div_ceil(32)];
    mask[4] = 0;
    mask[5] = 0x00ff_00ff;
    for (name, config) in &configurations {
        let mut decoder = Decoder::new_in(config, VOCAB, kernels, &mut *storage)?;
        decoder.set_bias(&[(1, 2.5), (999, -1.0)])?;
        decoder.set_bans(&[29, 700])?;
        for step in 0..4 {
            let pick = decoder.decode(&row, (step % 2 == 1).then_some(&mask[..]))?;
            let _ = write!(out, "{name} {step}: {} {} {} {}", pick.token, pick.argmax, pick.rank, pick.kept);
            let numbers =
                [pick.margin, pick.top1_probability, pick.entropy, pick.logprob_raw, pick.logprob, pick.kept_mass];
            for number in numbers {
                let _ = write!(out, " {:08x}", number.to_bits());
            }
            let _ = writeln!(out);
        }
        row[3] = f32::NAN;
        match decoder.decode(&row, None) {
            Err(error) => _ = writeln!(out, "{name} refused: {error}"),
            Ok(pick) => _ = writeln!(out, "{name} made up: {}", pick.token),
        }
        row[3] = 0.0;
    }
    Ok(())
}
