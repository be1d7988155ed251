//! A decoder as bytes: everything that decides its next tokens, so that a sequence can go on elsewhere or be kept.
//!
//! ```text
//! "APKS", format (2), numerics version, vocabulary                              4 x 4 bytes
//! position, tokens recorded, tokens generated                                   3 x 8 bytes
//! the configuration: seed and stream, then each field                          CONFIG_WORDS x 4 bytes
//! number of biases, of bans, of tokens held, 0                                  4 x 4 bytes
//! (token, bias) each; banned tokens; tokens held, oldest first
//! ```
//! All little-endian. Bytes from outside are not trusted: every number is checked before anything is changed.

use super::storage::Layout;
use super::{Decoder, compile};
use crate::constrain::history::History;
use crate::error::{Error, Result};
use crate::kernels::Override;
use crate::numeric::NUMERICS_VERSION;
use crate::plan::{CONFIG_WORDS, Config};

const MAGIC: u32 = u32::from_le_bytes(*b"APKS");
const FORMAT: u32 = 2;
const HEADER: usize = 16 + 24 + 4 * CONFIG_WORDS + 16;

/// Writes little-endian words one after the other.
struct Writer<'a> {
    to: &'a mut [u8],
    at: usize,
}

impl Writer<'_> {
    fn word(&mut self, value: u32) {
        self.to[self.at..self.at + 4].copy_from_slice(&value.to_le_bytes());
        self.at += 4;
    }
    fn long(&mut self, value: u64) {
        self.word(value as u32);
        self.word((value >> 32) as u32);
    }
}

/// Reads them back; past the end it reads zeros, which the length check refuses.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn word(&mut self) -> u32 {
        let Some((head, tail)) = self.0.split_first_chunk::<4>() else { return 0 };
        self.0 = tail;
        u32::from_le_bytes(*head)
    }
    fn float(&mut self) -> f32 {
        f32::from_bits(self.word())
    }
    fn long(&mut self) -> u64 {
        u64::from(self.word()) | u64::from(self.word()) << 32
    }
}

fn bad<T>(what: &'static str) -> Result<T> {
    Err(Error::BadState { what })
}

impl<S: AsRef<[u64]> + AsMut<[u64]>> Decoder<S> {
    /// The bytes that [`Decoder::save`] writes now.
    pub fn saved_size(&mut self) -> usize {
        let (lists, _) = self.layout.split(self.storage.as_mut());
        HEADER + 8 * self.biases + 4 * self.bans + 4 * self.history.tokens(lists.history).len()
    }

    /// Writes the decoder's state (configuration, position, history, biases, bans) to `bytes` and returns how many it took.
    ///
    /// # Errors
    /// [`Error::WrongLength`] with the length needed, if `bytes` is shorter; nothing is written then.
    pub fn save(&mut self, bytes: &mut [u8]) -> Result<usize> {
        let expected = self.saved_size();
        if bytes.len() < expected {
            return Err(Error::WrongLength { what: "the memory for a saved decoder", expected, actual: bytes.len() });
        }
        let (lists, _) = self.layout.split(self.storage.as_mut());
        let tokens = self.history.tokens(lists.history);
        let mut out = Writer { to: bytes, at: 0 };
        for word in [MAGIC, FORMAT, NUMERICS_VERSION, self.plan.vocab as u32] {
            out.word(word);
        }
        for long in [self.position, self.history.recorded(), self.history.generated] {
            out.long(long);
        }
        for word in self.plan.config.to_words() {
            out.word(word);
        }
        for word in [self.biases as u32, self.bans as u32, tokens.len() as u32, 0] {
            out.word(word);
        }
        for bias in &lists.biases[..self.biases] {
            out.word(bias.token);
            out.word(bias.logit.to_bits());
        }
        for &ban in &lists.bans[..self.bans] {
            out.word(ban);
        }
        for token in tokens {
            out.word(token);
        }
        Ok(out.at)
    }

    /// Takes over a state that [`Decoder::save`] wrote, its configuration included: the next tokens are those that the
    /// saved decoder would have picked. Vocabulary and numerics version must be the same.
    ///
    /// # Errors
    /// [`Error::BadState`] with what is wrong, [`Error::InvalidParameter`], [`Error::StorageTooSmall`]. Nothing has
    /// changed then.
    pub fn load(&mut self, bytes: &[u8]) -> Result<()> {
        let mut from = Reader(bytes);
        if bytes.len() < HEADER || from.word() != MAGIC {
            return bad("it does not begin as one");
        }
        if from.word() != FORMAT {
            return bad("its format is not known");
        }
        if from.word() != NUMERICS_VERSION {
            return bad("it was made by another version of the numerics");
        }
        if from.word() as usize != self.plan.vocab {
            return bad("its vocabulary is another");
        }
        let (position, recorded, generated) = (from.long(), from.long(), from.long());
        let mut fields = [0; CONFIG_WORDS];
        for word in &mut fields {
            *word = from.word();
        }
        let Ok(config) = Config::from_words(&fields) else { return bad("a choice in its configuration is not known") };
        let (biases, bans, held) = (from.word() as usize, from.word() as usize, from.word() as usize);
        if from.word() != 0 {
            return bad("a reserved word is not 0");
        }
        let plan = compile(&config, self.plan.vocab)?;
        let layout = Layout::new(&plan);
        layout.check(self.storage.as_ref())?;
        if biases > plan.adjustment_capacity || bans > plan.adjustment_capacity || held > plan.history_capacity {
            return bad("its lists are longer than its capacities");
        }
        if from.0.len() != 8 * biases + 4 * bans + 4 * held {
            return bad("its length is wrong");
        }
        let (bias_bytes, rest) = from.0.split_at(8 * biases);
        let (ban_bytes, token_bytes) = rest.split_at(4 * bans);
        let entries = || {
            bias_bytes.as_chunks::<8>().0.iter().map(|entry| {
                let mut entry = Reader(entry);
                Override { token: entry.word(), logit: entry.float() }
            })
        };
        fn words(bytes: &[u8]) -> impl ExactSizeIterator<Item = u32> + Clone {
            bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word))
        }
        let vocab = self.plan.vocab as u32;
        if !entries().zip(entries().skip(1)).all(|(a, b)| a.token < b.token)
            || entries().any(|bias| bias.token >= vocab || bias.logit.is_nan() || bias.logit == f32::INFINITY)
        {
            return bad("its biases are out of order or out of range");
        }
        if !words(ban_bytes).zip(words(ban_bytes).skip(1)).all(|(a, b)| a < b)
            || words(ban_bytes).chain(words(token_bytes)).any(|token| token >= vocab)
        {
            return bad("its tokens are out of order or out of range");
        }
        let limit = u64::from(config.max_tokens);
        if generated > recorded || held as u64 > recorded || (limit != 0 && generated > limit) {
            return bad("its counts contradict each other");
        }
        let (lists, _) = layout.split(self.storage.as_mut());
        for (to, bias) in lists.biases.iter_mut().zip(entries()) {
            *to = bias;
        }
        for (to, ban) in lists.bans.iter_mut().zip(words(ban_bytes)) {
            *to = ban;
        }
        self.history = History::restore(lists.history, recorded, generated, words(token_bytes));
        (self.plan, self.layout, self.position) = (plan, layout, position);
        (self.biases, self.bans) = (biases, bans);
        Ok(())
    }
}
