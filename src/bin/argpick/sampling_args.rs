//! The options that decide what a draw is made from: the profile and the filters, shared by the commands that decode.
//!
//! Each is named like its field in [`Config`] with hyphens, and is accepted with underscores; the core checks the ranges, but
//! for those that are usage errors wherever they are written.

use crate::repetition_args::penalty_scope_name;
use crate::{args, remark};
use argpick::{Config, Mirostat, Mode, Profile};

/// Profile and filters. The defaults are those of [`Config`]: off.
#[derive(Clone, Debug, clap::Args)]
pub struct SamplingArgs {
    /// Whose order of stages and whose rules hold: canon, huggingface, llama_cpp or vllm
    #[arg(long, value_name = "NAME", default_value = "canon", value_parser = profile, help_heading = "Filters")]
    pub profile: Profile,
    /// Sample among the K best; 0 = all
    #[arg(
        long,
        visible_alias = "topk",
        alias = "top_k",
        value_name = "K",
        default_value_t = 0,
        help_heading = "Filters"
    )]
    pub top_k: u32,
    /// Top-k keeps all that equal the K-th
    #[arg(long, alias = "keep_ties", value_name = "0|1", default_value = "0", num_args = 0..=1,
          default_missing_value = "1", value_parser = args::flag, help_heading = "Filters")]
    pub keep_ties: bool,
    /// Sample among the best that together have this probability; 1 = all
    #[arg(long, alias = "top_p", value_name = "P", default_value = "1", value_parser = args::probability,
          help_heading = "Filters")]
    pub top_p: f32,
    /// Sample among those with at least this share of the best one's probability; 0 = all
    #[arg(long, alias = "min_p", value_name = "P", default_value = "0", value_parser = args::probability,
          help_heading = "Filters")]
    pub min_p: f32,
    /// Sample among those whose surprise is nearest the entropy, up to this probability; 1 = all
    #[arg(long, alias = "typical_p", value_name = "P", default_value = "1", value_parser = args::probability,
          help_heading = "Filters")]
    pub typical_p: f32,
    /// Without tokens less likely than this; 0 = off
    #[arg(long, alias = "epsilon_cutoff", value_name = "P", default_value = "0", value_parser = args::probability,
          help_heading = "Filters")]
    pub epsilon_cutoff: f32,
    /// The same, with a limit that falls with the entropy; 0 = off
    #[arg(long, alias = "eta_cutoff", value_name = "P", default_value = "0", value_parser = args::probability,
          help_heading = "Filters")]
    pub eta_cutoff: f32,
    /// Logits within so many standard deviations of the highest; 0 = off
    #[arg(
        long,
        alias = "top_n_sigma",
        value_name = "N",
        default_value_t = 0.0,
        allow_negative_numbers = true,
        help_heading = "Filters"
    )]
    pub top_n_sigma: f32,
    /// Without tokens less likely than this times the square of the best one's probability; 0 = off
    #[arg(
        long,
        alias = "top_a",
        value_name = "A",
        default_value_t = 0.0,
        allow_negative_numbers = true,
        help_heading = "Filters"
    )]
    pub top_a: f32,
    /// Tail-free: cut where the sorted probabilities bend, at this share of their curvature; 1 = off
    #[arg(long, alias = "tfs_z", value_name = "Z", default_value = "1", value_parser = args::probability,
          help_heading = "Filters")]
    pub tfs_z: f32,
    /// Top-h: the prefix with at most this share of the entropy of the first 100; 0 = off
    #[arg(long, alias = "top_h", value_name = "H", default_value = "0", value_parser = args::probability,
          help_heading = "Filters")]
    pub top_h: f32,
    /// XTC: how often the top choices go; 0 = never
    #[arg(long, alias = "xtc_probability", value_name = "P", default_value = "0", value_parser = args::probability,
          help_heading = "Filters")]
    pub xtc_probability: f32,
    /// XTC: what is a top choice; all but the least likely of them go
    #[arg(long, alias = "xtc_threshold", value_name = "P", default_value = "0.1", value_parser = args::probability,
          help_heading = "Filters")]
    pub xtc_threshold: f32,
    /// Each filter keeps at least the first N of its order
    #[arg(long, alias = "min_keep", value_name = "N", default_value_t = 0, help_heading = "Filters")]
    pub min_keep: u32,
    /// A temperature that follows the entropy: half of its range; 0 = off
    #[arg(
        long,
        alias = "dynatemp_range",
        value_name = "T",
        default_value_t = 0.0,
        allow_negative_numbers = true,
        help_heading = "Filters"
    )]
    pub dynatemp_range: f32,
    /// The exponent of that curve
    #[arg(
        long,
        alias = "dynatemp_exponent",
        value_name = "X",
        default_value_t = 1.0,
        allow_negative_numbers = true,
        help_heading = "Filters"
    )]
    pub dynatemp_exponent: f32,
    /// Mirostat in place of the filters: 1 or 2; 0 = off
    #[arg(long, value_name = "0|1|2", default_value = "0", value_parser = mirostat, help_heading = "Filters")]
    pub mirostat: Mirostat,
    /// Mirostat: the surprise to hold, in bits
    #[arg(
        long,
        alias = "mirostat_tau",
        value_name = "BITS",
        default_value_t = 5.0,
        allow_negative_numbers = true,
        help_heading = "Filters"
    )]
    pub mirostat_tau: f32,
    /// Mirostat: how fast it learns
    #[arg(
        long,
        alias = "mirostat_eta",
        value_name = "X",
        default_value_t = 0.1,
        allow_negative_numbers = true,
        help_heading = "Filters"
    )]
    pub mirostat_eta: f32,
    /// Adaptive-p: prefer tokens whose probability is near this; negative = off
    #[arg(long, alias = "adaptive_target", value_name = "P", default_value_t = -1.0, allow_negative_numbers = true,
          help_heading = "Filters")]
    pub adaptive_target: f32,
    /// Adaptive-p: how slowly it forgets what was picked, 0 to 0.99
    #[arg(
        long,
        alias = "adaptive_decay",
        value_name = "X",
        default_value_t = 0.9,
        allow_negative_numbers = true,
        help_heading = "Filters"
    )]
    pub adaptive_decay: f32,
}

/// What matters to a draw alone. A threshold or an exponent without its filter is not named: it does nothing either way.
const OF_DRAWS: [&str; 16] = [
    "top_k",
    "keep_ties",
    "top_p",
    "min_p",
    "typical_p",
    "epsilon_cutoff",
    "eta_cutoff",
    "top_n_sigma",
    "top_a",
    "tfs_z",
    "top_h",
    "xtc_probability",
    "min_keep",
    "dynatemp_range",
    "mirostat",
    "adaptive_target",
];

/// Says which options do nothing because the mode is greedy, or the temperature 0 where that is the same. `seeded` is whether a seed or a stream was given. `asked` is whether
/// greedy was: a temperature is then understood to be that of the reported probabilities.
pub fn remark_on_greedy(config: &Config, seeded: bool, asked: bool) {
    let is_cold = config.temperature == 0.0 && config.profile != Profile::LlamaCpp;
    if config.mode != Mode::Greedy && !is_cold {
        return;
    }
    let is_greedy = if config.mode == Mode::Greedy { "the mode is greedy" } else { "temperature 0 is greedy" };
    let names = in_force(config).into_iter().map(|(name, _)| name);
    let mut idle: Vec<String> =
        names.filter(|name| OF_DRAWS.contains(name)).map(|name| format!("--{}", name.replace('_', "-"))).collect();
    if seeded && !asked {
        idle.push("--seed or --stream".to_owned());
    }
    let way_out = if asked { "" } else { "; --mode sample draws" };
    let has = if idle.len() == 1 { "has" } else { "have" };
    if !idle.is_empty() {
        remark(format_args!("{is_greedy}, so {} {has} no effect{way_out}", idle.join(", ")));
    } else if !asked && config.temperature != Config::default().temperature && config.temperature != 0.0 {
        remark(format_args!("the mode is greedy, so --temp changes the reported probabilities only{way_out}"));
    }
}

impl SamplingArgs {
    /// The configuration with these options, the rest as in `rest`.
    pub fn config(&self, rest: Config) -> Config {
        // Without `..`: a new option must get its place here.
        let &SamplingArgs {
            profile,
            top_k,
            keep_ties,
            top_p,
            min_p,
            typical_p,
            epsilon_cutoff,
            eta_cutoff,
            top_n_sigma,
            top_a,
            tfs_z,
            top_h,
            xtc_probability,
            xtc_threshold,
            min_keep,
            dynatemp_range,
            dynatemp_exponent,
            mirostat,
            mirostat_tau,
            mirostat_eta,
            adaptive_target,
            adaptive_decay,
        } = self;
        Config {
            profile,
            top_k,
            keep_ties,
            top_p,
            min_p,
            typical_p,
            epsilon_cutoff,
            eta_cutoff,
            top_n_sigma,
            top_a,
            tfs_z,
            top_h,
            xtc_probability,
            xtc_threshold,
            min_keep,
            dynatemp_range,
            dynatemp_exponent,
            mirostat,
            mirostat_tau,
            mirostat_eta,
            adaptive_target,
            adaptive_decay,
            ..rest
        }
    }
}

/// The parameters of a configuration that are not at their defaults, by name.
pub fn in_force(config: &Config) -> Vec<(&'static str, f64)> {
    let standard = Config::default();
    config
        .parameters()
        .zip(standard.parameters())
        .filter(|(ours, theirs)| ours != theirs)
        .map(|(ours, _)| ours)
        .collect()
}

/// The same as text, named like the options; what is reported decides nothing and is left out.
pub fn in_force_text(config: &Config) -> Vec<String> {
    let text = |(name, value): (&str, f64)| match name {
        "profile" => format!("profile {}", config.profile.name()),
        "mode" => "mode greedy".to_owned(),
        "penalty_scope" => format!("penalty-scope {}", penalty_scope_name(config.penalty_scope)),
        // The fewest digits that read back the same f32, which all of them are.
        _ => format!("{} {}", name.replace('_', "-"), value as f32),
    };
    in_force(config).into_iter().filter(|(name, _)| *name != "metrics").map(text).collect()
}

/// A profile by name; hyphens do for underscores.
pub fn profile(text: &str) -> Result<Profile, String> {
    Profile::from_name(&text.to_ascii_lowercase().replace('-', "_")).ok_or_else(|| {
        let names: Vec<&str> = Profile::ALL.iter().map(|profile| profile.name()).collect();
        format!("the profiles are {}", names.join(", "))
    })
}

fn mirostat(text: &str) -> Result<Mirostat, String> {
    let number = text.parse().ok();
    number.and_then(Mirostat::from_number).ok_or_else(|| "it must be 0 (off), 1 or 2".to_owned())
}
