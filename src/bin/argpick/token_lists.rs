//! The options with lists of tokens, by id: what a row is adjusted by beside the history.

use argpick::{Config, Decoder};

/// A token, or a sequence of them, and what is added to a logit.
#[derive(Clone, Debug)]
pub struct Biased {
    tokens: Vec<u32>,
    bias: f32,
}

/// Lists of tokens. Without any, nothing is adjusted.
#[derive(Clone, Debug, clap::Args)]
pub struct TokenListArgs {
    /// Add X to the logit of a token (-inf bans it), or of the last of a sequence where the others end the history
    #[arg(long, value_name = "ID[,ID...]=X", value_parser = biased, help_heading = "Tokens")]
    pub bias: Vec<Biased>,
    /// Tokens never to pick, with commas between
    #[arg(long, value_name = "IDS", value_delimiter = ',', help_heading = "Tokens")]
    pub ban: Vec<u32>,
    /// A sequence that may not be said; may be given again
    #[arg(long, alias = "bad_sequence", value_name = "IDS", value_parser = sequence, help_heading = "Tokens")]
    pub bad_sequence: Vec<Sequence>,
    /// A sequence that DRY does not look past; may be given again
    #[arg(long, value_name = "IDS", value_parser = sequence, help_heading = "Tokens")]
    pub breaker: Vec<Sequence>,
    /// Tokens that end the sequence, with commas between
    #[arg(long, alias = "end_tokens", value_name = "IDS", value_delimiter = ',', help_heading = "Tokens")]
    pub end_tokens: Vec<u32>,
}

/// Some tokens, one or more.
#[derive(Clone, Debug)]
pub struct Sequence(Vec<u32>);

fn ids(text: &str) -> Result<Vec<u32>, String> {
    text.split(',').map(|id| id.trim().parse().map_err(|_| format!("{id:?} is no token id"))).collect()
}

fn sequence(text: &str) -> Result<Sequence, String> {
    ids(text).map(Sequence)
}

fn biased(text: &str) -> Result<Biased, String> {
    let (tokens, bias) = text.rsplit_once('=').ok_or("it must be ID=X, or ID,ID=X for a sequence")?;
    let bias: f32 = bias.trim().parse().map_err(|_| format!("{bias:?} is no number"))?;
    Ok(Biased { tokens: ids(tokens)?, bias })
}

impl TokenListArgs {
    /// The configuration with room for these lists.
    pub fn config(&self, rest: Config) -> Config {
        let sequences = |lists: &[Sequence]| lists.iter().map(|list| list.0.len()).sum::<usize>();
        let biased = self.bias.iter().map(|biased| biased.tokens.len()).sum::<usize>();
        let longest = [sequences(&self.bad_sequence), sequences(&self.breaker), biased, self.end_tokens.len()];
        let room = |standard: u32, needed: usize| if needed > standard as usize { needed as u32 } else { 0 };
        Config {
            adjustment_capacity: room(1024, self.bias.len().max(self.ban.len())),
            sequence_capacity: room(256, longest.into_iter().max().unwrap_or(0)),
            ..rest
        }
    }

    /// Tells a decoder of them.
    pub fn tell(&self, decoder: &mut Decoder) -> argpick::Result<()> {
        let (single, longer): (Vec<&Biased>, Vec<&Biased>) =
            self.bias.iter().partition(|biased| biased.tokens.len() == 1);
        let single: Vec<(u32, f32)> = single.into_iter().map(|biased| (biased.tokens[0], biased.bias)).collect();
        let longer: Vec<(&[u32], f32)> = longer.into_iter().map(|biased| (&biased.tokens[..], biased.bias)).collect();
        decoder.set_bias(&single)?;
        decoder.set_sequence_bias(&longer)?;
        decoder.set_bans(&self.ban)?;
        decoder.set_bad_sequences(&sequences(&self.bad_sequence))?;
        decoder.set_breakers(&sequences(&self.breaker))?;
        decoder.set_end_tokens(&self.end_tokens)
    }
}

impl TokenListArgs {
    /// What was given, as the options have it.
    pub fn in_words(&self) -> Vec<String> {
        let ids = |tokens: &[u32]| tokens.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let mut words: Vec<String> =
            self.bias.iter().map(|biased| format!("bias {}={}", ids(&biased.tokens), biased.bias)).collect();
        for (name, tokens) in [("ban", &self.ban), ("end-tokens", &self.end_tokens)] {
            words.extend((!tokens.is_empty()).then(|| format!("{name} {}", ids(tokens))));
        }
        for (name, lists) in [("bad-sequence", &self.bad_sequence), ("breaker", &self.breaker)] {
            words.extend(lists.iter().map(|list| format!("{name} {}", ids(&list.0))));
        }
        words
    }
}

fn sequences(lists: &[Sequence]) -> Vec<&[u32]> {
    lists.iter().map(|list| &list.0[..]).collect()
}
