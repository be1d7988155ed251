//! The options about what has been said already, shared by the commands that decode.

use argpick::{Config, PenaltyScope};

/// Penalties and their like. The defaults are those of [`Config`]: off.
#[derive(Clone, Debug, clap::Args)]
pub struct RepetitionArgs {
    /// Divide positive logits of what was said by this and multiply the others; 1 = off
    #[arg(
        long,
        alias = "repetition_penalty",
        value_name = "X",
        default_value_t = 1.0,
        allow_negative_numbers = true,
        help_heading = "Repetition"
    )]
    pub repetition_penalty: f32,
    /// Subtract this from a logit for each time its word was said
    #[arg(
        long,
        alias = "frequency_penalty",
        value_name = "X",
        default_value_t = 0.0,
        allow_negative_numbers = true,
        help_heading = "Repetition"
    )]
    pub frequency_penalty: f32,
    /// Subtract this from a logit if its word was said
    #[arg(
        long,
        alias = "presence_penalty",
        value_name = "X",
        default_value_t = 0.0,
        allow_negative_numbers = true,
        help_heading = "Repetition"
    )]
    pub presence_penalty: f32,
    /// The penalties see the last N words, those of the prompt among them; 0 = all
    #[arg(long, alias = "penalty_window", value_name = "N", default_value_t = 0, help_heading = "Repetition")]
    pub penalty_window: u32,
    /// Whose words the penalties count: what the profile's engine counts, all, or generated ones
    #[arg(long, alias = "penalty_scope", value_name = "profile|all|generated", default_value = "profile",
          value_parser = penalty_scope, help_heading = "Repetition")]
    pub penalty_scope: PenaltyScope,
    /// DRY: subtract this, times --dry-base for each further word, where a word would prolong a repetition; 0 = off
    #[arg(
        long,
        alias = "dry_multiplier",
        value_name = "X",
        default_value_t = 0.0,
        allow_negative_numbers = true,
        help_heading = "Repetition"
    )]
    pub dry_multiplier: f32,
    /// See --dry-multiplier
    #[arg(
        long,
        alias = "dry_base",
        value_name = "X",
        default_value_t = 1.75,
        allow_negative_numbers = true,
        help_heading = "Repetition"
    )]
    pub dry_base: f32,
    /// DRY: repetitions of fewer words are free
    #[arg(long, alias = "dry_allowed_length", value_name = "N", default_value_t = 2, help_heading = "Repetition")]
    pub dry_allowed_length: u32,
    /// DRY sees the last N words; 0 = all
    #[arg(long, alias = "dry_window", value_name = "N", default_value_t = 0, help_heading = "Repetition")]
    pub dry_window: u32,
    /// No N words in a row twice; 0 = off
    #[arg(long, alias = "no_repeat_ngram", value_name = "N", default_value_t = 0, help_heading = "Repetition")]
    pub no_repeat_ngram: u32,
    /// End a text when its end stands N times in a row; 0 = never
    #[arg(long, alias = "loop_repeats", value_name = "N", default_value_t = 0, help_heading = "Repetition")]
    pub loop_repeats: u32,
    /// The longest circle of words that --loop-repeats looks for; 0 = 64
    #[arg(long, alias = "loop_period", value_name = "N", default_value_t = 0, help_heading = "Repetition")]
    pub loop_period: u32,
    /// No end token before N tokens are generated; --min-steps also keeps off punctuation
    #[arg(long, alias = "min_tokens", value_name = "N", default_value_t = 0, help_heading = "Repetition")]
    pub min_tokens: u32,
    /// From N generated tokens on, end tokens become likelier with each token, see --length-decay-factor
    #[arg(long, alias = "length_decay_start", value_name = "N", default_value_t = 0, help_heading = "Repetition")]
    pub length_decay_start: u32,
    /// Add to the logit of an end token its size times X to the power of the tokens past that start, less 1; 1 = off
    #[arg(long, alias = "length_decay_factor", value_name = "X", default_value_t = 1.0, help_heading = "Repetition")]
    pub length_decay_factor: f32,
    /// Words that the history holds, older ones leave it; 0 = 4096
    #[arg(long, alias = "history_capacity", value_name = "N", default_value_t = 0, help_heading = "Repetition")]
    pub history_capacity: u32,
}

impl RepetitionArgs {
    /// The configuration with these options, the rest as in `rest`.
    pub fn config(&self, rest: Config) -> Config {
        // Without `..`: a new option must get its place here.
        let &RepetitionArgs {
            repetition_penalty,
            frequency_penalty,
            presence_penalty,
            penalty_window,
            penalty_scope,
            dry_multiplier,
            dry_base,
            dry_allowed_length,
            dry_window,
            no_repeat_ngram,
            loop_repeats,
            loop_period,
            min_tokens,
            length_decay_start,
            length_decay_factor,
            history_capacity,
        } = self;
        Config {
            repetition_penalty,
            frequency_penalty,
            presence_penalty,
            penalty_window,
            penalty_scope,
            dry_multiplier,
            dry_base,
            dry_allowed_length,
            dry_window,
            no_repeat_ngram,
            loop_repeats,
            loop_period,
            min_tokens,
            length_decay_start,
            length_decay_factor,
            history_capacity,
            ..rest
        }
    }
}

/// A configuration without what these options set.
pub fn without_repetition(config: &Config) -> Config {
    let off = Config::default();
    Config {
        repetition_penalty: off.repetition_penalty,
        frequency_penalty: off.frequency_penalty,
        presence_penalty: off.presence_penalty,
        penalty_window: off.penalty_window,
        penalty_scope: off.penalty_scope,
        dry_multiplier: off.dry_multiplier,
        dry_base: off.dry_base,
        dry_allowed_length: off.dry_allowed_length,
        dry_window: off.dry_window,
        no_repeat_ngram: off.no_repeat_ngram,
        loop_repeats: off.loop_repeats,
        loop_period: off.loop_period,
        min_tokens: off.min_tokens,
        length_decay_start: off.length_decay_start,
        length_decay_factor: off.length_decay_factor,
        history_capacity: off.history_capacity,
        ..config.clone()
    }
}

/// Its name on the command line.
pub fn penalty_scope_name(scope: PenaltyScope) -> &'static str {
    match scope {
        PenaltyScope::Profile => "profile",
        PenaltyScope::All => "all",
        PenaltyScope::Generated => "generated",
    }
}

/// A scope by name.
fn penalty_scope(text: &str) -> Result<PenaltyScope, String> {
    match text.to_ascii_lowercase().as_str() {
        "profile" => Ok(PenaltyScope::Profile),
        "all" => Ok(PenaltyScope::All),
        "generated" => Ok(PenaltyScope::Generated),
        _ => Err("it must be profile, all or generated".to_owned()),
    }
}
