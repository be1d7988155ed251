//! One answer: the hashes of the corpus (`cross/src/corpus`) on every kernel level of this processor, in hostile float
//! environments and on two threads are those of `golden/bits.json`. `cross/run` compares the same file with what other
//! processors and targets say.
//!
//! The file has, for each operation of each unit, the number of its cases and their hash on the scalar level. After a change
//! that is meant to change numbers, or a new line in a table of the corpus: `UPDATE=1 cargo test --release --test bits`.

#[path = "cross/src/corpus/mod.rs"]
#[allow(dead_code, reason = "the programs of tests/cross use the rest")]
mod corpus;
#[path = "cross/src/environment.rs"]
#[allow(dead_code, reason = "the programs of tests/cross use the rest")]
mod environment;

use argpick::{Kernels, Level};
use corpus::{Listener, Workspace};
use environment::Environment;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The hashes of one run in the order of the corpus: the key, the number of cases, the hash.
#[derive(Default, PartialEq)]
struct Hashes(Vec<(String, u32, String)>);

impl Listener for Hashes {
    fn operation(&mut self, unit: &str, operation: &str, cases: u32, hash: u64) {
        self.0.push((format!("{unit} / {operation}"), cases, format!("{hash:016x}")));
    }
}

/// `softmax` cannot be told its level: it takes the one in use, which is compared where that is the one asked for.
fn on(kernels: Kernels, environment: Environment) -> Hashes {
    let mut words = vec![0; corpus::WORDS];
    let mut hashes = Hashes::default();
    // SAFETY: the corpus computes with integers and bit patterns only, until the default environment is back.
    if !unsafe { environment.set() } && environment != Environment::Default {
        println!("skipped: {environment:?}: this target has no such float environment");
    }
    for unit in 0..corpus::units() {
        corpus::run(unit, kernels, &mut Workspace::new(&mut words), &mut hashes);
    }
    let kept = environment.is_set();
    // SAFETY: the environment in which everything else was compiled to run.
    unsafe { Environment::Default.set() };
    assert!(kept || !cfg!(any(target_arch = "x86_64", target_arch = "aarch64")), "{environment:?} was not given back");
    hashes
}

fn path() -> String {
    format!("{}/tests/golden/bits.json", env!("CARGO_MANIFEST_DIR"))
}

fn write(hashes: &Hashes) {
    let mut text = String::from("{\n");
    let _ = writeln!(text, "  \"numerics_version\": {},\n  \"hashes\": {{", argpick::numeric::NUMERICS_VERSION);
    for (i, (key, cases, hash)) in hashes.0.iter().enumerate() {
        let comma = if i + 1 < hashes.0.len() { "," } else { "" };
        let _ = writeln!(text, "    {}: [{cases}, \"{hash}\"]{comma}", serde_json::Value::from(key.as_str()));
    }
    text += "  }\n}\n";
    std::fs::write(path(), text).expect("bits.json can be written");
}

fn golden() -> BTreeMap<String, (u32, String)> {
    let text = std::fs::read_to_string(path()).expect("tests/golden/bits.json");
    let file: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(file["numerics_version"], argpick::numeric::NUMERICS_VERSION, "bits.json is of other numerics");
    serde_json::from_value(file["hashes"].clone()).expect("the number of cases and a hash for each key")
}

fn compare(name: &str, hashes: &Hashes, golden: &BTreeMap<String, (u32, String)>) {
    let wrong: Vec<_> = hashes
        .0
        .iter()
        .filter(|(key, cases, hash)| golden.get(key) != Some(&(*cases, hash.clone())))
        .map(|(key, cases, hash)| format!("{key}: {cases} cases {hash}, expected {:?}", golden.get(key)))
        .collect();
    assert!(wrong.is_empty(), "{name}: {} hashes differ:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(hashes.0.len(), golden.len(), "{name}: bits.json has other keys");
}

#[test]
fn every_level_gives_the_golden_bits_in_every_float_environment() {
    if std::env::var_os("UPDATE").is_some() {
        write(&on(Kernels::new(Level::Scalar).expect("the scalar level"), Environment::Default));
    }
    let golden = golden();
    assert!(golden.len() >= 150, "bits.json is incomplete: {} hashes", golden.len());
    for level in Level::ALL {
        let Ok(kernels) = Kernels::new(level) else {
            println!("skipped: the bits of kernel level {level}: this processor does not have it");
            continue;
        };
        for environment in [Environment::Default, Environment::Flush, Environment::FlushAndDown] {
            compare(&format!("level {level}, {environment:?}"), &on(kernels, environment), &golden);
        }
    }
}

#[test]
fn two_threads_at_once_give_the_bits_of_one() {
    let kernels = Kernels::detect().expect("kernels");
    let alone = on(kernels, Environment::Default);
    std::thread::scope(|scope| {
        // One of them in another environment, which belongs to its thread alone.
        let threads = [Environment::Default, Environment::Flush].map(|each| scope.spawn(move || on(kernels, each)));
        for thread in threads {
            assert!(thread.join().expect("a thread of the corpus") == alone);
        }
    });
}

#[test]
fn a_name_stands_once() {
    let names: std::collections::BTreeSet<_> = (0..corpus::units()).map(corpus::name_of).collect();
    assert_eq!(names.len(), corpus::units());
}
