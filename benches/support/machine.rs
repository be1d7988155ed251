//! The machine and the build that figures come from.

use std::fmt;

/// What must be known of the machine to compare figures.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The processor's name, as the system gives it.
    pub processor: String,
    /// Processors that this process may use, as the system lists them.
    pub allowed: String,
    /// Architecture and system of this build.
    pub target: String,
    /// Instruction sets that this build takes for granted.
    pub baseline: String,
    /// Whether this build is optimised.
    pub optimised: bool,
    /// The version of argpick.
    pub version: &'static str,
}

impl Machine {
    /// This machine.
    pub fn here() -> Machine {
        // Linux says it in two text files; elsewhere these are unknown.
        let field = |file: &str, key: &str| -> Option<String> {
            let text = std::fs::read_to_string(file).ok()?;
            let line = text.lines().find(|line| line.starts_with(key))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let unknown = || "unknown".to_owned();
        let features = [
            (cfg!(target_feature = "sse2"), "sse2"),
            (cfg!(target_feature = "avx2"), "avx2"),
            (cfg!(target_feature = "avx512f"), "avx512f"),
            (cfg!(target_feature = "neon"), "neon"),
            (cfg!(target_feature = "simd128"), "simd128"),
        ];
        let baseline: Vec<&str> = features.into_iter().filter(|&(has, _)| has).map(|(_, name)| name).collect();
        Machine {
            processor: field("/proc/cpuinfo", "model name").unwrap_or_else(unknown),
            allowed: field("/proc/self/status", "Cpus_allowed_list").unwrap_or_else(unknown),
            target: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
            baseline: if baseline.is_empty() { "plain".to_owned() } else { baseline.join(" ") },
            optimised: !cfg!(debug_assertions),
            version: env!("CARGO_PKG_VERSION"),
        }
    }

    /// Whether the process is bound to one processor, as far as is known.
    pub fn is_pinned(&self) -> bool {
        !self.allowed.is_empty() && self.allowed.chars().all(|c| c.is_ascii_digit())
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pinned = if self.is_pinned() { "pinned" } else { "not pinned" };
        writeln!(f, "processor  {}, processors {} ({pinned})", self.processor, self.allowed)?;
        let optimised = if self.optimised { "" } else { ", NOT OPTIMISED: these figures mean nothing" };
        write!(f, "build      argpick {}, {}, baseline {}{optimised}", self.version, self.target, self.baseline)
    }
}
