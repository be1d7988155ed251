//! `argpick kernels`: what the processor offers, which levels there are, which one is used and why.

use crate::Failure;
use argpick::{Kernels, Level};
use serde_json::json;
use std::io::Write;

/// The variable that forces a level.
const VARIABLE: &str = "ARGPICK_KERNEL";

/// The options of `argpick kernels`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// One JSON document instead of the table
    #[arg(long)]
    json: bool,
}

/// Processor features that the levels need, and whether this processor has them.
fn features() -> Vec<(&'static str, bool)> {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    {
        vec![
            ("sse2", is_x86_feature_detected!("sse2")),
            ("avx", is_x86_feature_detected!("avx")),
            ("avx2", is_x86_feature_detected!("avx2")),
            ("f16c", is_x86_feature_detected!("f16c")),
            ("fma", is_x86_feature_detected!("fma")),
            ("avx512f", is_x86_feature_detected!("avx512f")),
            ("avx512bw", is_x86_feature_detected!("avx512bw")),
            ("avx512dq", is_x86_feature_detected!("avx512dq")),
            ("avx512vl", is_x86_feature_detected!("avx512vl")),
        ]
    }
    #[cfg(target_arch = "aarch64")]
    {
        vec![("neon", std::arch::is_aarch64_feature_detected!("neon"))]
    }
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
    {
        Vec::new()
    }
}

fn what(level: Level) -> &'static str {
    match level {
        Level::Scalar => "plain Rust, the yardstick of the tests",
        Level::Portable => "SSE2, NEON or simd128, whichever the target has",
        Level::Avx2 => "8 lanes, x86-64",
        Level::Avx512 => "16 lanes, x86-64",
        _ => "",
    }
}

/// Runs the command.
pub fn run(args: Args, out: &mut dyn Write) -> Result<(), Failure> {
    let wanted = std::env::var_os(VARIABLE).map(|value| value.to_string_lossy().into_owned());
    let chosen = Kernels::detect();
    let reason = match &wanted {
        Some(value) if !value.is_empty() => format!("{VARIABLE}={value}"),
        _ => "the best that this processor has".to_owned(),
    };
    if args.json {
        let document = json!({
            "architecture": std::env::consts::ARCH,
            "features": features().into_iter().map(|(name, has)| (name.to_owned(), has.into())).collect::<serde_json::Map<_, _>>(),
            "levels": Level::ALL.iter().map(|&level| json!({
                "name": level.name(),
                "compiled": level.is_compiled(),
                "available": level.is_available(),
                "what": what(level),
            })).collect::<Vec<_>>(),
            "chosen": chosen.as_ref().ok().map(|kernels| kernels.level().name()),
            "reason": reason,
        });
        writeln!(out, "{document:#}")?;
    } else {
        writeln!(out, "processor  {}", std::env::consts::ARCH)?;
        let (has, lacks): (Vec<_>, Vec<_>) = features().into_iter().partition(|&(_, has)| has);
        let names = |list: Vec<(&'static str, bool)>| list.iter().map(|&(name, _)| name).collect::<Vec<_>>().join(" ");
        writeln!(out, "  has      {}", names(has))?;
        if !lacks.is_empty() {
            writeln!(out, "  lacks    {}", names(lacks))?;
        }
        writeln!(out, "levels")?;
        for level in Level::ALL {
            let state = match (level.is_compiled(), level.is_available()) {
                (false, _) => "not compiled",
                (_, false) => "not available",
                _ => "available",
            };
            let used = chosen.as_ref().is_ok_and(|kernels| kernels.level() == level);
            let mark = if used { '>' } else { ' ' };
            writeln!(out, "{mark} {:<10}{state:<15}{}", level.name(), what(level))?;
        }
        if let Ok(kernels) = &chosen {
            writeln!(out, "in use     {}: {reason}", kernels.level().name())?;
        }
    }
    chosen?;
    Ok(())
}
