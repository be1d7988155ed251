//! Every kernel on every level against the scalar level, bit for bit; and the scalar level against plain loops.
//!
//! A case is a row of any element type, or a sum of columns, with a bitmask and overrides; all lengths stand on or beside a boundary of lanes (16),
//! blocks (64), groups (16 blocks) or run past two groups. `inputs` makes the cases, `checks` says for each kernel how it is called,
//! `naive` is the second opinion. A level that this processor lacks is printed as skipped; a level that it has must run.
//! Failures print the seed and the recipe of the case, the level and the first place that differs.

#[path = "differential/checks.rs"]
mod checks;
#[path = "differential/inputs.rs"]
mod inputs;
#[path = "differential/naive.rs"]
mod naive;

use argpick::kernels::{ColumnSum, ColumnType, Cut, Kernels, RowView, Scale};
use argpick::{Level, Row};
use checks::{COLUMN_CHECKS, Check, ROW_CHECKS, Said};
use inputs::{Adjusted, Case, LONG, Mask, Origin, Recipe, SHORT, Shape, Source};

/// The levels beside the scalar one that can run here.
fn levels() -> Vec<Kernels> {
    Level::ALL
        .into_iter()
        .filter(|&level| level != Level::Scalar)
        .filter_map(|level| Kernels::new(level).ok())
        .collect()
}

fn scalar() -> Kernels {
    Kernels::new(Level::Scalar).expect("the scalar level is everywhere")
}

/// Holds all levels against the scalar one and counts, for each kernel, the words it said.
fn compare(checks: &[(&str, Check)], case: &Case, levels: &[Kernels], spoken: &mut [usize]) {
    for (&(kernel, check), spoken) in checks.iter().zip(spoken) {
        let mut expected = Said::default();
        check(scalar(), case, &mut expected);
        *spoken += expected.0.len();
        for &kernels in levels {
            let mut actual = Said::default();
            check(kernels, case, &mut actual);
            if actual.0 == expected.0 {
                continue;
            }
            let at = (0..).find(|&i| actual.0.get(i) != expected.0.get(i)).unwrap_or(0);
            panic!(
                "{kernel} on {} differs from scalar at {at} of {}: {:x?} instead of {:x?}; {}",
                kernels.level(),
                expected.0.len(),
                actual.0.get(at),
                expected.0.get(at),
                case.name
            );
        }
    }
}

/// One in `of` of all shapes with all bitmasks and all sets of overrides at each length: over the lengths, all pairs occur.
fn recipes(lengths: &[usize], origin: Origin, of: usize) -> Vec<Recipe> {
    let mut source = Source(1000 + origin as u64);
    let mut recipes = Vec::new();
    for &length in lengths {
        for shape in Shape::ALL {
            for mask in Mask::ALL {
                for adjusted in Adjusted::ALL {
                    if source.below(of) == 0 {
                        recipes.push(Recipe { seed: source.next(), length, origin, shape, mask, adjusted });
                    }
                }
            }
        }
    }
    recipes
}

fn sweep(checks: &[(&str, Check)], recipes: &[Recipe]) {
    let (levels, mut spoken) = (levels(), vec![0; checks.len()]);
    for &recipe in recipes {
        compare(checks, &Case::new(recipe), &levels, &mut spoken);
    }
    for (&(kernel, _), words) in checks.iter().zip(spoken) {
        // Rows are rewritten in place as f32 only.
        let silent = ["write_logits", "write_weights"].contains(&kernel) && recipes[0].origin != Origin::F32;
        assert_eq!(words == 0, silent, "{kernel} said {words} words");
    }
}

#[test]
fn every_level_of_this_machine_runs() {
    for level in Level::ALL {
        match Kernels::new(level) {
            Ok(kernels) => {
                assert_eq!(kernels.level(), level);
                println!("tested: {level}");
            }
            Err(error) => println!("skipped: {level} ({error})"),
        }
    }
    assert!(levels().iter().any(|kernels| kernels.level() == Level::Portable), "the portable level is everywhere");
    // The standard library is a second opinion on what the processor has.
    #[cfg(target_arch = "x86_64")]
    {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("f16c");
        let avx512 = avx2
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        assert_eq!(Level::Avx2.is_available(), avx2, "AVX2 and F16C");
        assert_eq!(Level::Avx512.is_available(), avx512, "AVX-512 F, BW, DQ and VL");
    }
}

/// Adding a kernel to the list without a check here fails.
#[test]
fn every_kernel_of_the_list_is_checked() {
    let dispatch = include_str!("../src/kernels/dispatch.rs");
    let list = dispatch.split("macro_rules! for_each_kernel").nth(1).expect("the list of kernels");
    let list = list.split("\nmacro_rules!").next().expect("the end of the list");
    // A kernel is a line `name(arguments...`; the arguments of long ones stand on lines of their own.
    let mut kernels: Vec<&str> = list
        .lines()
        .filter_map(|line| line.strip_prefix("            ")?.split_once('(').map(|(name, _)| name))
        .filter(|name| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit())
        })
        .collect();
    let mut checked: Vec<&str> = ROW_CHECKS.iter().chain(COLUMN_CHECKS).map(|&(name, _)| name).collect();
    assert!(kernels.len() > 20, "found only {kernels:?}");
    kernels.sort_unstable();
    checked.sort_unstable();
    assert_eq!(kernels, checked);
    // And a check calls the kernel that it is named after.
    let source = include_str!("differential/checks.rs");
    for name in checked {
        assert!(source.contains(&format!("kernels.{name}(")), "the check of {name} does not call it");
    }
}

/// Element types and byte offsets of columns are varied inside the checks.
#[test]
fn columns_of_every_length() {
    let recipe = Recipe {
        seed: 1,
        length: 1,
        origin: Origin::F32,
        shape: Shape::Equal,
        mask: Mask::Absent,
        adjusted: Adjusted::None,
    };
    let recipes: Vec<Recipe> =
        SHORT.into_iter().chain([333, 1023, 1024, 1025]).map(|length| Recipe { length, ..recipe }).collect();
    sweep(COLUMN_CHECKS, &recipes);
}

#[test]
fn short_rows_of_f32() {
    sweep(ROW_CHECKS, &recipes(&SHORT, Origin::F32, 5));
}

#[test]
fn short_rows_of_f16() {
    sweep(ROW_CHECKS, &recipes(&SHORT, Origin::F16, 5));
}

#[test]
fn short_rows_of_bf16() {
    sweep(ROW_CHECKS, &recipes(&SHORT, Origin::Bf16, 5));
}

#[test]
fn short_sums_of_columns() {
    sweep(ROW_CHECKS, &recipes(&SHORT, Origin::Columns, 12));
}

#[test]
fn long_sums_of_columns() {
    sweep(ROW_CHECKS, &recipes(&LONG, Origin::Columns, 72));
}

#[test]
fn long_rows_of_f32() {
    sweep(ROW_CHECKS, &recipes(&LONG, Origin::F32, 36));
}

#[test]
fn long_rows_of_f16() {
    sweep(ROW_CHECKS, &recipes(&LONG, Origin::F16, 36));
}

#[test]
fn long_rows_of_bf16() {
    sweep(ROW_CHECKS, &recipes(&LONG, Origin::Bf16, 36));
}

/// The first pass finds a NaN wherever it stands, and names +inf as the maximum, on every level.
#[test]
fn invalid_logits_are_found() {
    let mut source = Source(11);
    let levels: Vec<Kernels> = levels().into_iter().chain([scalar()]).collect();
    for origin in Origin::ALL {
        for mask in [Mask::Absent, Mask::Everything, Mask::Random, Mask::Runs] {
            for length in [1, 16, 65, 129, 1025, 2771] {
                let recipe = Recipe {
                    seed: source.next(),
                    length,
                    origin,
                    shape: Shape::Normal,
                    mask,
                    adjusted: Adjusted::None,
                };
                let case = Case::new(recipe);
                for token in [0, 1, 15, 16, 63, 64, 127, 1023, 1024, length / 2, length - 1] {
                    if token >= length {
                        continue;
                    }
                    for bad in [f32::NAN, -f32::NAN, f32::INFINITY] {
                        let case = case.with_logit(token, bad);
                        let counts = case.view().is_allowed(token as u32);
                        for kernels in &levels {
                            let mut maxima = vec![0.0; case.maxima.len()];
                            let first = kernels.block_maxima(&case.view(), &mut maxima);
                            let level = kernels.level();
                            assert_eq!(first.has_nan, counts && bad.is_nan(), "{level}: {}", case.name);
                            if !first.has_nan {
                                let infinite = first.maximum == f32::INFINITY;
                                assert_eq!(infinite, counts && bad == f32::INFINITY, "{level}: {}", case.name);
                            }
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn the_scalar_level_agrees_with_plain_loops() {
    for origin in Origin::ALL {
        for (i, recipe) in recipes(&[1, 17, 65, 129, 1025, 2771], origin, 12).into_iter().enumerate() {
            // The long ones are slow without optimisation: a third of them.
            if recipe.length < 200 || i % 3 == 0 {
                naive::check(&Case::new(recipe));
            }
        }
    }
    for rows in [1, 15, 16, 17, 300] {
        naive::check_columns(rows, rows as u64);
    }
}

/// Widening is exact for every one of the 65,536 bit patterns of both half types.
#[test]
fn all_half_precision_patterns_widen_alike() {
    for first in (0..=u16::MAX).step_by(64) {
        let patterns: Vec<u16> = (first..=first + 63).collect();
        let f16s: Vec<half::f16> = patterns.iter().map(|&bits| half::f16::from_bits(bits)).collect();
        let bf16s: Vec<half::bf16> = patterns.iter().map(|&bits| half::bf16::from_bits(bits)).collect();
        for kernels in levels().into_iter().chain([scalar()]) {
            for row in [Row::F16(&f16s), Row::Bf16(&bf16s)] {
                let kind = if let Row::F16(_) = row { ColumnType::F16 } else { ColumnType::Bf16 };
                let bytes: Vec<u8> = patterns.iter().flat_map(|bits| bits.to_le_bytes()).collect();
                let sum = ColumnSum {
                    kernels,
                    weights: &[],
                    kind,
                    bias: &bytes,
                    bias_kind: kind,
                    rows: 64,
                    columns: &[],
                    values: None,
                };
                let mut widened = [0.0f32; 64];
                kernels.write_sum(&sum, 0, &mut widened);
                for (i, value) in widened.iter().enumerate() {
                    let expected = row.get(i);
                    let same = value.to_bits() == expected.to_bits() || value.is_nan() && expected.is_nan();
                    assert!(same, "{} {:04x}: {value} instead of {expected}", row.dtype(), patterns[i]);
                }
            }
        }
    }
}

/// Masses are summed in 32-bit lanes that must be emptied in time: a long row of the heaviest weights.
#[test]
fn masses_of_long_rows_do_not_overflow() {
    let row = vec![1.25f32; 150_001];
    let view = RowView { source: Row::F32(&row).into(), words: None, valid: row.len(), overrides: &[], band: None };
    let mut maxima = vec![1.25; row.len().div_ceil(64)];
    maxima.resize(maxima.len().next_multiple_of(16), f32::NEG_INFINITY);
    let scale = Scale { maximum: 1.25, scale: 1.0 };
    let whole = (row.len() as u64) << 40;
    for kernels in levels().into_iter().chain([scalar()]) {
        let sums = kernels.sums(&view, &maxima, scale, true);
        assert_eq!((sums.mass, sums.weight), (whole, row.len() as f64), "{}", kernels.level());
        let both = kernels.kept_and_total_mass(&view, &maxima, 0.0, scale, Cut::ALL);
        assert_eq!(both, (whole, whole), "{}", kernels.level());
    }
}
