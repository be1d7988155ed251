//! The options that say which sequence a row belongs to: what stands before it, and what is set for it. Shared by the commands
//! that take rows of a file; tokens are ids.

use crate::Failure;
use argpick::{Config, Decoder, Finish};

/// Tokens with commas between.
#[derive(Clone, Debug, PartialEq)]
pub struct Sequence(pub Vec<u32>);

/// Tokens with commas between, and what is added to the logit of the last one.
#[derive(Clone, Debug, PartialEq)]
pub struct BiasedSequence(pub Vec<u32>, pub f32);

/// The sequence so far, and its lists. The defaults are empty.
#[derive(Clone, Debug, clap::Args)]
pub struct SequenceArgs {
    /// Tokens of the prompt, with commas between
    #[arg(long, value_name = "IDS", value_delimiter = ',', help_heading = "Sequence")]
    pub prompt: Vec<u32>,
    /// Tokens generated before, with commas between
    #[arg(long, value_name = "IDS", value_delimiter = ',', help_heading = "Sequence")]
    pub generated: Vec<u32>,
    /// Position of the draw [default: the number of generated tokens]
    #[arg(long, value_name = "N", help_heading = "Sequence")]
    pub position: Option<u64>,
    /// Add X to the logit of a token, with commas between; -inf bans it
    #[arg(long, value_name = "ID=X", value_delimiter = ',', value_parser = bias, help_heading = "Sequence")]
    pub bias: Vec<(u32, f32)>,
    /// Tokens never to pick, with commas between
    #[arg(long, value_name = "IDS", value_delimiter = ',', help_heading = "Sequence")]
    pub ban: Vec<u32>,
    /// Tokens that end the sequence, with commas between
    #[arg(long, alias = "end_tokens", value_name = "IDS", value_delimiter = ',', help_heading = "Sequence")]
    pub end_tokens: Vec<u32>,
    /// A sequence of tokens that ends it; may be given again, as the following may
    #[arg(long, value_name = "IDS", value_parser = sequence, help_heading = "Sequence")]
    pub stop: Vec<Sequence>,
    /// A sequence across which DRY counts no repetition
    #[arg(long, value_name = "IDS", value_parser = sequence, help_heading = "Sequence")]
    pub breaker: Vec<Sequence>,
    /// A sequence that must not come: the token that would complete it is masked
    #[arg(long, alias = "bad_sequence", value_name = "IDS", value_parser = sequence, help_heading = "Sequence")]
    pub bad_sequence: Vec<Sequence>,
    /// Add X to the logit of the token that would complete a sequence
    #[arg(long, alias = "sequence_bias", value_name = "IDS=X", value_parser = biased_sequence, help_heading = "Sequence")]
    pub sequence_bias: Vec<BiasedSequence>,
    /// The token of a position, with commas between
    #[arg(long, value_name = "POSITION=ID", value_delimiter = ',', value_parser = forced, help_heading = "Sequence")]
    pub forced: Vec<(u64, u32)>,
}

/// What a sequence is decoded with besides the filters and the penalties.
#[derive(Clone, Debug, clap::Args)]
pub struct LimitArgs {
    /// None of the last N generated tokens again; 0 = off
    #[arg(long, alias = "no_repeat_window", value_name = "N", default_value_t = 0, help_heading = "Sequence")]
    no_repeat_window: u32,
    /// End the sequence after N generated tokens; 0 = never
    #[arg(long, alias = "max_tokens", value_name = "N", default_value_t = 0, help_heading = "Sequence")]
    max_tokens: u32,
    /// Only the first N logits of a row take part; 0 = all
    #[arg(long, alias = "valid_vocab", value_name = "N", default_value_t = 0, help_heading = "Sequence")]
    valid_vocab: u32,
}

impl LimitArgs {
    /// The configuration with these options, the rest as in `rest`.
    pub fn config(&self, rest: Config) -> Config {
        let &LimitArgs { no_repeat_window, max_tokens, valid_vocab } = self;
        Config { no_repeat_window, max_tokens, valid_vocab, ..rest }
    }
}

impl SequenceArgs {
    /// Whether any of them is given.
    pub fn is_given(&self) -> bool {
        // Without `..`: a new option must get its place here, and in the two functions below.
        let SequenceArgs {
            prompt,
            generated,
            position,
            bias,
            ban,
            end_tokens,
            stop,
            breaker,
            bad_sequence,
            sequence_bias,
            forced,
        } = self;
        let lists = [prompt, generated, ban, end_tokens].iter().any(|list| !list.is_empty());
        let sequences = [stop, breaker, bad_sequence].iter().any(|list| !list.is_empty());
        lists || sequences || position.is_some() || !bias.is_empty() || !sequence_bias.is_empty() || !forced.is_empty()
    }

    /// The configuration with room for all lists.
    pub fn with_room(&self, config: Config) -> Config {
        let tokens = |list: &[Sequence]| list.iter().map(|sequence| sequence.0.len()).sum::<usize>();
        let biased = self.sequence_bias.iter().map(|sequence| sequence.0.len()).sum();
        let sequences = [tokens(&self.stop), tokens(&self.breaker), tokens(&self.bad_sequence), biased];
        let longest = sequences.into_iter().chain([self.end_tokens.len(), self.forced.len()]).max().unwrap_or(0);
        // 0 is 1,024 and 256; what is larger than may be, the core says.
        let room = |given: u32, standard: usize, needed: usize| match needed > given.max(standard as u32) as usize {
            true => u32::try_from(needed).unwrap_or(u32::MAX),
            false => given,
        };
        Config {
            adjustment_capacity: room(config.adjustment_capacity, 1024, self.bias.len().max(self.ban.len())),
            sequence_capacity: room(config.sequence_capacity, 256, longest),
            ..config
        }
    }

    /// Sets all lists and records what stands before the row.
    pub fn begin(&self, decoder: &mut Decoder) -> Result<(), Failure> {
        fn slices(list: &[Sequence]) -> Vec<&[u32]> {
            list.iter().map(|sequence| &sequence.0[..]).collect()
        }
        let biased: Vec<(&[u32], f32)> =
            self.sequence_bias.iter().map(|sequence| (&sequence.0[..], sequence.1)).collect();
        let at = |option: &str, answer: argpick::Result<()>| {
            answer.map_err(|error| Failure::Message(format!("{option}: {error}")))
        };
        at("--bias", decoder.set_bias(&self.bias))?;
        at("--ban", decoder.set_bans(&self.ban))?;
        at("--end-tokens", decoder.set_end_tokens(&self.end_tokens))?;
        at("--stop", decoder.set_stops(&slices(&self.stop)))?;
        at("--breaker", decoder.set_breakers(&slices(&self.breaker)))?;
        at("--bad-sequence", decoder.set_bad_sequences(&slices(&self.bad_sequence)))?;
        at("--sequence-bias", decoder.set_sequence_bias(&biased))?;
        at("--forced", decoder.set_forced(&self.forced))?;
        at("--prompt", decoder.prompt(&self.prompt))?;
        at("--generated", decoder.accept(&self.generated))?;
        let ends = match decoder.finish() {
            Finish::None => None,
            Finish::Length => Some("--max-tokens"),
            Finish::EndToken => Some("one of --end-tokens"),
            Finish::Stop => Some("a --stop"),
            Finish::Loop => Some("--loop-repeats"),
        };
        if let Some(what) = ends {
            return Err(Failure::Message(format!(
                "--generated: {what} ends the sequence with it; no row comes after that"
            )));
        }
        if let Some(position) = self.position {
            decoder.seek(position);
        }
        Ok(())
    }

    /// The lists as the options have them.
    pub fn in_words(&self) -> Vec<String> {
        let ids = |tokens: &[u32]| tokens.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let mut words: Vec<String> = self.bias.iter().map(|(token, bias)| format!("bias {token}={bias}")).collect();
        for (name, tokens) in [("ban", &self.ban), ("end-tokens", &self.end_tokens)] {
            words.extend((!tokens.is_empty()).then(|| format!("{name} {}", ids(tokens))));
        }
        for (name, lists) in [("stop", &self.stop), ("breaker", &self.breaker), ("bad-sequence", &self.bad_sequence)] {
            words.extend(lists.iter().map(|list| format!("{name} {}", ids(&list.0))));
        }
        words.extend(self.sequence_bias.iter().map(|list| format!("sequence-bias {}={}", ids(&list.0), list.1)));
        words.extend(self.forced.iter().map(|(position, token)| format!("forced {position}={token}")));
        words
    }

    /// The position of the row.
    pub fn position(&self) -> u64 {
        self.position.unwrap_or(self.generated.len() as u64)
    }
}

fn id(text: &str) -> Result<u32, String> {
    text.trim().parse().map_err(|_| format!("{text:?} is no token: a whole number from 0 up"))
}

fn logit(text: &str) -> Result<f32, String> {
    let value: f32 = text.trim().parse().map_err(|_| format!("{text:?} is no number"))?;
    if value < f32::INFINITY { Ok(value) } else { Err("what is added must be finite, or -inf".to_owned()) }
}

/// What stands before and after the `=`.
fn halves(text: &str) -> Result<(&str, &str), String> {
    text.split_once('=').ok_or_else(|| "there is no = in it".to_owned())
}

fn bias(text: &str) -> Result<(u32, f32), String> {
    let (token, value) = halves(text)?;
    Ok((id(token)?, logit(value)?))
}

fn forced(text: &str) -> Result<(u64, u32), String> {
    let (position, token) = halves(text)?;
    let place =
        position.trim().parse().map_err(|_| format!("{position:?} is no position: a whole number from 0 up"))?;
    Ok((place, id(token)?))
}

fn sequence(text: &str) -> Result<Sequence, String> {
    Ok(Sequence(text.split(',').map(id).collect::<Result<_, _>>()?))
}

fn biased_sequence(text: &str) -> Result<BiasedSequence, String> {
    let (tokens, value) = halves(text)?;
    Ok(BiasedSequence(sequence(tokens)?.0, logit(value)?))
}
