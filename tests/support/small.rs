//! A model of five words for tests of the tool, whose rows depend on all that it sees.

use super::npz;

/// Numbers from -`size` to `size`.
pub fn numbers(seed: u64, count: usize, size: f32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = argpick::rng::mix(state);
        ((state >> 40) as f32 / (1 << 23) as f32 - 1.0) * size
    };
    (0..count).map(|_| next()).collect()
}

pub const SMALL: [&str; 5] = ["the", "cat", "sat", ".", "<EOS>"];

/// A model of five words whose rows depend on all that it sees.
pub fn small_model() -> Vec<u8> {
    let inputs: Vec<&str> = ["<BOS>", "<UNK>"].into_iter().chain(SMALL).collect();
    let features = inputs.len() + 11 + 13;
    npz::npz(&[
        npz::floats("W", &format!("(5, {features})"), &numbers(3, 5 * features, 1.5)),
        npz::floats("b", "(5,)", &numbers(4, 5, 0.5)),
        npz::integers("classes", "(5,)", &[0, 1, 2, 3, 4]),
        npz::strings("in_vocab", &inputs),
        npz::strings("out_vocab", &SMALL),
        npz::integers("d2", "()", &[11]),
        npz::integers("d3", "()", &[13]),
    ])
}
