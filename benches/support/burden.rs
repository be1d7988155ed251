//! What a long conversation and a grammar put on a decoder.

use argpick::{Decoder, Error};

/// Tokens of a history in which 1,500 are distinct.
pub const HISTORY: usize = 4_096;
const DISTINCT: usize = 1_500;
const BIASES: usize = 300;

/// A long history, half of it likely tokens and half any.
pub fn give_history(decoder: &mut Decoder, logits: &[f32], length: usize) -> Result<(), Error> {
    let vocab = logits.len();
    let mut order: Vec<u32> = (0..vocab as u32).collect();
    order.sort_by(|&a, &b| logits[b as usize].total_cmp(&logits[a as usize]).then(a.cmp(&b)));
    let distinct = DISTINCT.min(vocab / 2).max(1);
    let likely = order[..distinct / 2].iter().copied();
    let any = (0..distinct - distinct / 2).map(|i| order[distinct / 2 + i * (vocab - distinct / 2) / distinct]);
    let tokens: Vec<u32> = likely.chain(any).collect();
    // Some tokens stand in it more often than others.
    let history: Vec<u32> = (0..length).map(|i| tokens[if i < distinct { i } else { i * i / 7 % distinct }]).collect();
    decoder.accept(&history)
}

/// Biases all over the vocabulary.
pub fn give_biases(decoder: &mut Decoder) -> Result<(), Error> {
    let vocab = decoder.vocab();
    let count = BIASES.min(vocab);
    let biases: Vec<(u32, f32)> =
        (0..count).map(|i| ((i * (vocab / count)) as u32, if i % 2 == 0 { 0.5 } else { -0.5 })).collect();
    decoder.set_bias(&biases)
}

/// A grammar's bitmask: half of the words allow nothing, in runs of sixteen.
pub fn mask(vocab: usize) -> Vec<u32> {
    (0..vocab.div_ceil(32)).map(|word| if word / 16 % 2 == 0 { u32::MAX } else { 0 }).collect()
}
