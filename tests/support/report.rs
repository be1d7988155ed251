//! What differs, in words: every failure names the case it can be reproduced from; every skip is printed.

use super::filters::Whose;
use super::oracle::{Case, Settings};
use argpick::kernels::{Kernels, Level};
use argpick::{Config, Decoder, Metrics, Mirostat, Mode, Pick, Profile};
use std::path::PathBuf;

/// The configuration of the library that corresponds to a case's settings.
pub fn config(settings: &Settings, metrics: Metrics) -> Config {
    let filters = &settings.filters;
    Config {
        seed: settings.seed,
        stream: settings.stream,
        mode: if settings.greedy { Mode::Greedy } else { Mode::Sample },
        temperature: settings.temperature,
        top_k: settings.top_k,
        top_p: settings.top_p,
        min_p: settings.min_p,
        no_repeat_window: settings.no_repeat_window,
        min_keep: settings.min_keep,
        valid_vocab: settings.valid_vocab,
        profile: match filters.whose {
            Whose::Canon => Profile::Canon,
            Whose::HuggingFace => Profile::HuggingFace,
            Whose::LlamaCpp => Profile::LlamaCpp,
            Whose::Vllm => Profile::Vllm,
        },
        typical_p: filters.typical_p,
        epsilon_cutoff: filters.epsilon_cutoff,
        eta_cutoff: filters.eta_cutoff,
        top_n_sigma: filters.top_n_sigma,
        top_a: filters.top_a,
        tfs_z: filters.tfs_z,
        top_h: filters.top_h,
        xtc_probability: filters.xtc_probability,
        xtc_threshold: filters.xtc_threshold,
        keep_ties: filters.keep_ties,
        dynatemp_range: filters.dynatemp_range,
        dynatemp_exponent: filters.dynatemp_exponent,
        mirostat: [Mirostat::Off, Mirostat::One, Mirostat::Two][filters.mirostat as usize],
        mirostat_tau: filters.mirostat_tau,
        mirostat_eta: filters.mirostat_eta,
        adaptive_target: filters.adaptive_target,
        adaptive_decay: filters.adaptive_decay,
        metrics,
        ..Config::default()
    }
}

/// A decoder that stands where the case says: bias, bans, generated tokens and position.
pub fn decoder(case: &Case, kernels: Kernels, metrics: Metrics) -> Decoder {
    let mut decoder = Decoder::new_with_kernels(&config(&case.settings, metrics), case.row.len(), kernels)
        .unwrap_or_else(|error| panic!("{error} for {:?}", case.settings));
    decoder.set_bias(&case.bias).expect("the case's bias is valid");
    decoder.set_bans(&case.bans).expect("the case's bans are valid");
    decoder.accept(&case.generated).expect("the case's tokens are valid");
    decoder.seek(case.settings.position);
    decoder
}

/// The kernel levels to be had here, scalar first. The others are printed; none at all is a failure.
pub fn levels(test: &str) -> Vec<Kernels> {
    let mut available = Vec::new();
    for level in Level::ALL {
        match Kernels::new(level) {
            Ok(kernels) => available.push(kernels),
            Err(error) => println!("SKIPPED {test}: {error}"),
        }
    }
    assert!(!available.is_empty(), "{test}: no kernel level could be exercised");
    assert_eq!(available[0].level().name(), "scalar", "{test}: the scalar level is always there and comes first");
    available
}

/// Every field of a pick as bits, with its name.
pub fn pick_bits(pick: &Pick) -> [(&'static str, u32); 11] {
    [
        ("token", pick.token),
        ("argmax", pick.argmax),
        ("rank", pick.rank),
        ("kept", pick.kept),
        ("finish", pick.finish as u32),
        ("margin", pick.margin.to_bits()),
        ("top1_probability", pick.top1_probability.to_bits()),
        ("entropy", pick.entropy.to_bits()),
        ("logprob_raw", pick.logprob_raw.to_bits()),
        ("logprob", pick.logprob.to_bits()),
        ("kept_mass", pick.kept_mass.to_bits()),
    ]
}

/// The first field in which two picks differ, in words.
pub fn first_difference(a: &Pick, b: &Pick) -> Option<String> {
    let (bits_a, bits_b) = (pick_bits(a), pick_bits(b));
    let field = (0..bits_a.len()).find(|&field| bits_a[field] != bits_b[field])?;
    let (name, a_bits) = bits_a[field];
    let b_bits = bits_b[field].1;
    Some(format!("{name}: {a_bits} ({:e}) against {b_bits} ({:e})", f32::from_bits(a_bits), f32::from_bits(b_bits)))
}

/// The first index at which two rows differ in bits.
pub fn first_row_difference(a: &[f32], b: &[f32]) -> Option<String> {
    if a.len() != b.len() {
        return Some(format!("length {} against {}", a.len(), b.len()));
    }
    let at = (0..a.len()).find(|&i| a[i].to_bits() != b[i].to_bits())?;
    Some(format!("index {at}: {:e} ({:#010x}) against {:e} ({:#010x})", a[at], a[at].to_bits(), b[at], b[at].to_bits()))
}

/// Whether a number is as close to the expected one as asked: within `absolute` or within `relative` of it.
pub fn close(actual: f64, expected: f64, absolute: f64, relative: f64) -> bool {
    actual == expected || (actual - expected).abs() <= absolute + relative * expected.abs()
}

/// The file of reference data, or a printed skip.
pub fn shared(test: &str, path: &str) -> Option<PathBuf> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(path);
    if file.is_file() {
        Some(file)
    } else {
        println!("SKIPPED {test}: {} is not there", file.display());
        None
    }
}

/// Reads a version 1 `.npy` of little-endian f32 in C order: (rows, columns, values).
pub fn read_npy_f32(path: &std::path::Path) -> (usize, usize, Vec<f32>) {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00", "{}: a version 1 npy", path.display());
    let header_end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..header_end]).expect("the header is ASCII");
    assert!(header.contains("'<f4'") && header.contains("'fortran_order': False"), "{header}");
    let shape = header.split("'shape': (").nth(1).and_then(|rest| rest.split(')').next()).expect("a shape");
    let sizes: Vec<usize> =
        shape.split(',').filter(|s| !s.trim().is_empty()).map(|s| s.trim().parse().expect("a size")).collect();
    let values: Vec<f32> =
        bytes[header_end..].chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let [rows, columns] = sizes[..] else { panic!("{header}: two dimensions are expected") };
    assert_eq!(values.len(), rows * columns, "{}: as many values as the shape says", path.display());
    (rows, columns, values)
}

/// The `.npy` of real next-token rows of Gemma 3 270M with its facts, or a printed skip.
pub fn gemma(test: &str) -> Option<(Vec<Vec<f32>>, Vec<serde_json::Value>)> {
    let rows = shared(test, "logits/gemma3_270m_16x262144_f32.npy")?;
    let facts = shared(test, "logits/gemma3_270m_16.json")?;
    let (count, vocab, values) = read_npy_f32(&rows);
    let text = std::fs::read_to_string(&facts).expect("the facts are readable");
    let json: serde_json::Value = serde_json::from_str(&text).expect("the facts are JSON");
    let facts = json["rows"].as_array().expect("a list of rows").clone();
    assert_eq!(facts.len(), count, "one fact sheet per row");
    Some((values.chunks_exact(vocab).map(<[f32]>::to_vec).collect(), facts))
}

/// The value a chi-square statistic exceeds with probability 1e-4: by bisection, or for many degrees of freedom, where the
/// sum below would underflow and the approximation of Wilson and Hilferty is within 0.1 %, by that.
pub fn chi_square_limit(degrees: usize) -> f64 {
    if degrees > 200 {
        return chi_square_limit_of_many(degrees);
    }
    let (mut low, mut high) = (0.0, 10.0 * degrees as f64 + 100.0);
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if chi_square_tail(degrees, middle) > 1e-4 { low = middle } else { high = middle }
    }
    high
}

/// Wilson and Hilferty: the cube root of chi-square is nearly normal.
pub fn chi_square_limit_of_many(degrees: usize) -> f64 {
    let part = 2.0 / (9.0 * degrees as f64);
    let upper_1e4_of_normal = 3.719_016_485;
    degrees as f64 * (1.0 - part + upper_1e4_of_normal * part.sqrt()).powi(3)
}

/// The probability that chi-square exceeds x: the regularised upper incomplete gamma function Q(degrees / 2, x / 2),
/// by its finite sum (for an even number of degrees it is a Poisson tail; an odd one starts from the error function).
pub fn chi_square_tail(degrees: usize, x: f64) -> f64 {
    let half = 0.5 * x;
    // Q(a + 1) = Q(a) + half^a e^-half / gamma(a + 1)
    let (mut a, mut tail, mut term) = if degrees.is_multiple_of(2) {
        (1.0, (-half).exp(), (-half).exp() * half)
    } else {
        (0.5, error_function_complement(half.sqrt()), (-half).exp() * half.sqrt() / (0.5 * std::f64::consts::PI.sqrt()))
    };
    for _ in 0..(degrees - 1) / 2 {
        tail += term;
        a += 1.0;
        term *= half / a;
    }
    tail
}

/// erfc for x >= 0, by Simpson's rule on the integral from x to x + 8 (what lies beyond is below 1e-28).
fn error_function_complement(x: f64) -> f64 {
    let (steps, width) = (4_000, 8.0);
    let h = width / steps as f64;
    let density = |i: usize| (-(x + i as f64 * h).powi(2)).exp();
    let inner: f64 = (1..steps).map(|i| density(i) * if i % 2 == 1 { 4.0 } else { 2.0 }).sum();
    (density(0) + inner + density(steps)) * h / 3.0 * 2.0 / std::f64::consts::PI.sqrt()
}

/// Chi-square of observed counts against probabilities; cells are pooled, smallest first, until each expects ten.
/// Returns the statistic and the degrees of freedom. Panics if a count stands where the probability is zero.
pub fn chi_square(observed: &[u64], probabilities: &[f64]) -> (f64, usize) {
    let draws: u64 = observed.iter().sum();
    let mut cells: Vec<usize> = (0..observed.len()).collect();
    cells.sort_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b]).then(a.cmp(&b)));
    let (mut statistic, mut pooled) = (0.0, 0);
    let (mut count, mut expected) = (0u64, 0.0);
    let mut rest: f64 = cells.iter().map(|&c| probabilities[c] * draws as f64).sum();
    for cell in cells {
        if probabilities[cell] == 0.0 {
            assert_eq!(observed[cell], 0, "cell {cell} has probability 0 and was drawn");
            continue;
        }
        count += observed[cell];
        expected += probabilities[cell] * draws as f64;
        rest -= probabilities[cell] * draws as f64;
        // The last cell takes what would be too small on its own.
        if expected >= 10.0 && (rest >= 10.0 || rest.abs() < 1e-6 * draws as f64) {
            let difference = count as f64 - expected;
            statistic += difference * difference / expected;
            pooled += 1;
            count = 0;
            expected = 0.0;
        }
    }
    if expected > 1e-6 * draws as f64 {
        let difference = count as f64 - expected;
        statistic += difference * difference / expected;
        pooled += 1;
    }
    assert!(pooled >= 2, "{pooled} cells are too few to test");
    (statistic, pooled - 1)
}

/// A one-line description of a case that is enough to find it again.
pub fn describe(case: &Case) -> String {
    let mask = case.mask.as_ref().map_or("no mask".to_string(), |mask| format!("mask of {} words", mask.len()));
    format!(
        "vocab {}, {mask}, {} biases, {} bans, generated {:?}, {:?}",
        case.row.len(),
        case.bias.len(),
        case.bans.len(),
        case.generated,
        case.settings
    )
}
