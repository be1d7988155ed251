//! Random numbers: the published generators, the keys of a step, and what the library hands out, number for number.

mod support;

use argpick::rng::{Purpose, StepNumbers};
use support::exact::{SplitMix64, Xoshiro256PlusPlus, mix, numbers};
use support::generators::Source;

/// The judge itself is held to the numbers the authors of both generators published.
#[test]
fn the_judge_reproduces_the_published_vectors() {
    let mut split = SplitMix64(1_234_567);
    let published = [
        6_457_827_717_110_365_317,
        3_203_168_211_198_807_973,
        9_817_491_932_198_370_423,
        4_593_380_528_125_082_431,
        16_408_922_859_458_223_821u64,
    ];
    assert_eq!(published.map(|_| split.next()), published);

    let mut xoshiro = Xoshiro256PlusPlus([1, 2, 3, 4]);
    let published = [
        41_943_041,
        58_720_359,
        3_588_806_011_781_223,
        3_591_011_842_654_386,
        9_228_616_714_210_784_205,
        9_973_669_472_204_895_162,
        14_011_001_112_246_962_877,
        12_406_186_145_184_390_807,
        15_849_039_046_786_891_736,
        10_450_023_813_501_588_000u64,
    ];
    assert_eq!(published.map(|_| xoshiro.next()), published);
}

#[test]
fn the_finaliser_is_the_first_number_of_splitmix64() {
    for x in [0, 1, u64::MAX, 0x9E37_79B9_7F4A_7C15] {
        assert_eq!(mix(x), SplitMix64(x).next());
    }
    assert_eq!(mix(0), 0xE220_A839_7B1D_CDAF, "the first number of the seed 0 as published");
}

#[test]
fn the_library_hands_out_the_numbers_of_the_text() {
    let mut source = Source::new(1);
    let edges = [0, 1, 2, u64::MAX, u64::MAX - 1, 1 << 32, 1 << 63];
    for round in 0..500 {
        let mut value = || if round % 2 == 0 { source.pick(&edges) } else { source.bits() };
        let (seed, stream, position) = (value(), value(), value());
        let mut expected = numbers(seed, stream, position, 0);
        let mut actual = StepNumbers::new(seed, stream, position, Purpose::Draw);
        // One more than a step can use: eight rounds of 32 and the number of the inverse CDF.
        for index in 0..258 {
            assert_eq!(
                actual.next_number(),
                expected.next(),
                "number {index} of seed {seed}, stream {stream}, position {position}"
            );
        }
    }
}

/// Counters that differ in one place must not give related numbers: the bits of neighbours agree half the time.
#[test]
fn neighbouring_counters_are_unrelated() {
    let first = |seed, stream, position, purpose| numbers(seed, stream, position, purpose).next();
    let steps = 20_000u64;
    let neighbours: [(&str, &dyn Fn(u64) -> u64); 4] = [
        ("seed", &|n| first(n, 0, 0, 0) ^ first(n + 1, 0, 0, 0)),
        ("stream", &|n| first(0, n, 0, 0) ^ first(0, n + 1, 0, 0)),
        ("position", &|n| first(0, 0, n, 0) ^ first(0, 0, n + 1, 0)),
        ("purpose", &|n| first(0, 0, n, 0) ^ first(0, 0, n, 1)),
    ];
    for (name, differing) in neighbours {
        let ones: u64 = (0..steps).map(|n| u64::from(differing(n).count_ones())).sum();
        let (expected, sigma) = (32.0 * steps as f64, (16.0 * steps as f64).sqrt());
        let score = (ones as f64 - expected) / sigma;
        assert!(score.abs() < 4.0, "{name}: {ones} differing bits, {score:.2} sigma from one half");
    }
}
