//! Decoders beside the beams, one for each: their biases, bans, windows and penalties adjust that beam's row, and their
//! state follows the beams when these are chosen anew.

use super::config::Plan;
use super::gather::Seen;
use crate::decoder::Decoder;
use crate::error::{Error, Result};
use crate::plan::Profile;
use crate::trace::Finish;
use crate::types::{Row, TokenId};

/// What a step does with the decoders beside it. An implementation that lies elsewhere (handles of another language)
/// only says where each is.
pub(crate) trait Company {
    /// The storage of a decoder.
    type Storage: AsRef<[u64]> + AsMut<[u64]>;

    /// How many there are; `None`: the search runs without decoders.
    fn count(&self) -> Option<usize>;

    /// The decoder of a beam; `index` is below the count.
    fn decoder(&mut self, index: usize) -> &mut Decoder<Self::Storage>;

    /// The decoders of two different beams.
    fn two(&mut self, a: usize, b: usize) -> (&mut Decoder<Self::Storage>, &mut Decoder<Self::Storage>);
}

/// No decoders.
pub(crate) struct Alone;

impl Company for Alone {
    type Storage = [u64; 0];

    fn count(&self) -> Option<usize> {
        None
    }
    fn decoder(&mut self, index: usize) -> &mut Decoder<[u64; 0]> {
        unreachable!("there is no decoder {index}")
    }
    fn two(&mut self, a: usize, b: usize) -> (&mut Decoder<[u64; 0]>, &mut Decoder<[u64; 0]>) {
        unreachable!("there are no decoders {a} and {b}")
    }
}

impl<S: AsRef<[u64]> + AsMut<[u64]>> Company for &mut [Decoder<S>] {
    type Storage = S;

    fn count(&self) -> Option<usize> {
        Some(self.len())
    }
    fn decoder(&mut self, index: usize) -> &mut Decoder<S> {
        &mut self[index]
    }
    fn two(&mut self, a: usize, b: usize) -> (&mut Decoder<S>, &mut Decoder<S>) {
        let (low, high) = if a < b { (a, b) } else { (b, a) };
        let (front, back) = self.split_at_mut(high);
        if a < b { (&mut front[low], &mut back[0]) } else { (&mut back[0], &mut front[low]) }
    }
}

/// Refuses decoders that the search cannot use: too few, of another vocabulary, or cut differently.
pub(crate) fn check(company: &mut impl Company, plan: &Plan, live: usize) -> Result<()> {
    let Some(count) = company.count() else { return Ok(()) };
    let Plan { beams, vocab, valid, profile, .. } = *plan;
    if count != beams {
        return Err(Error::WrongLength { what: "decoders", expected: beams, actual: count });
    }
    for i in 0..count {
        let decoder = company.decoder(i);
        if decoder.vocab() != vocab {
            return Err(Error::WrongLength {
                what: "a decoder's vocabulary",
                expected: vocab,
                actual: decoder.vocab(),
            });
        }
        if decoder.valid() != valid {
            return Err(Error::InvalidParameter { name: "valid_vocab", value: decoder.valid() as f64 });
        }
        let config = decoder.config();
        let penalties = [
            ("repetition_penalty", config.repetition_penalty != 1.0),
            ("frequency_penalty", config.frequency_penalty != 0.0),
            ("presence_penalty", config.presence_penalty != 0.0),
        ];
        if let Some((name, _)) = penalties.into_iter().find(|(_, used)| *used && profile == Profile::Vllm) {
            return Err(Error::NotInProfile { name, profile: profile.name() });
        }
        if i < live && !decoder.can_go_on() {
            return Err(Error::Finished);
        }
        if i > 0 {
            let (first, other) = company.two(0, i);
            if !first.is_like(other) {
                return Err(Error::InvalidParameter { name: "decoders", value: i as f64 });
            }
        }
    }
    Ok(())
}

/// Shows the row of a beam as its decoder adjusts it; its rules see each logit less `shift`.
pub(crate) fn look<R>(
    decoder: &mut Decoder<impl AsRef<[u64]> + AsMut<[u64]>>,
    row: Row<'_>,
    words: Option<&[u32]>,
    shift: f64,
    mut answer: impl FnMut(&Seen<'_>) -> R,
) -> Result<R> {
    decoder.with_shifted_row(row, words, shift, |opened| {
        let surface = &opened.surface;
        answer(&Seen {
            kernels: surface.kernels,
            view: surface.view,
            maxima: surface.maxima,
            group_maxima: surface.group_maxima,
            maximum: surface.scale.maximum,
        })
    })
}

/// Whether and why a beam ends with this token as its decoder has it: its end tokens, its stop sequences, its length, loops.
pub(crate) fn finish_with(company: &mut impl Company, beam: u32, token: TokenId) -> Finish {
    match company.count() {
        Some(_) => company.decoder(beam as usize).finish_with(token),
        None => Finish::None,
    }
}

/// Gives each new beam the decoder state of the beam it goes on from, and then its token. `sources[i]` is the old index
/// of beam i; it is used up.
///
/// States are copied into decoders that nobody goes on from any more; what is then left are cycles, which are swapped
/// around. So no other memory is needed.
pub(crate) fn follow(
    company: &mut impl Company,
    sources: &mut [u32],
    token_at: impl Fn(usize) -> TokenId,
) -> Result<()> {
    if company.count().is_none() {
        return Ok(());
    }
    let mut changed = true;
    while changed {
        changed = false;
        for i in 0..sources.len() {
            let source = sources[i];
            // Done, or somebody still needs what lies here.
            if source as usize == i || sources.contains(&(i as u32)) {
                continue;
            }
            let (to, from) = company.two(i, source as usize);
            to.copy_state_of(from);
            // It is now its own source.
            sources[i] = i as u32;
            changed = true;
        }
    }
    for i in 0..sources.len() {
        let mut at = i;
        while sources[at] as usize != i {
            let source = sources[at] as usize;
            let (a, b) = company.two(at, source);
            a.swap_states(b);
            sources[at] = at as u32;
            at = source;
        }
        sources[at] = at as u32;
    }
    for i in 0..sources.len() {
        company.decoder(i).accept(&[token_at(i)])?;
    }
    Ok(())
}
