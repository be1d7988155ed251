use argpick::*;
use std::time::Instant;
fn main() {
    let vocab = 262144usize;
    let mut x = 7u64;
    let mut unit = || { x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407); ((x >> 11) as f64 + 0.5) / (1u64 << 53) as f64 };
    let row: Vec<f32> = match std::env::args().nth(1) {
        Some(path) => { let b = std::fs::read(path).unwrap(); let n = b.len() - vocab * 4 * std::env::args().nth(2).map_or(1, |s| s.parse::<usize>().unwrap()); b[n..n + vocab * 4].chunks(4).map(|c| f32::from_le_bytes(c.try_into().unwrap())).collect() }
        None => (0..vocab).map(|_| ((-2.0 * unit().ln()).sqrt() * (std::f64::consts::TAU * unit()).cos() * 3.0) as f32).collect(),
    };
    let cheap = |i: usize| Config { seed: i as u64, temperature: [0.7, 1.0, 1.2][i % 3], top_k: [0, 20, 40, 100][i / 3 % 4], top_p: if i % 4 == 1 { 0.9 } else { 1.0 }, min_p: if i % 2 == 0 { 0.05 } else { 0.0 }, ..Config::default() };
    let mixed = |i: usize| { let t = [0.7, 1.0, 1.2][i / 8 % 3]; let b = Config { seed: i as u64, temperature: t, ..Config::default() };
        match i % 8 { 0 => Config { top_k: 40, ..b }, 1 => Config { top_p: 0.9, ..b }, 2 => Config { min_p: 0.05, ..b }, 3 => Config { typical_p: 0.9, ..b }, 4 => Config { top_k: 50, top_p: 0.95, min_p: 0.02, ..b }, 5 => b, 6 => Config { top_p: 0.5, typical_p: 0.9, top_k: 200, ..b }, _ => Config { typical_p: 0.5, ..b } } };
    let kinds: [(&str, &dyn Fn(usize) -> Config); 2] = [("cheap", &cheap), ("mixed", &mixed)];
    let mut read = f64::INFINITY;
    for _ in 0..50 { let t = Instant::now(); let mut m = [f32::NEG_INFINITY; 64]; for c in row.chunks_exact(64) { for (a, b) in m.iter_mut().zip(c) { *a = if *b > *a { *b } else { *a }; } } std::hint::black_box(m); read = read.min(t.elapsed().as_secs_f64()); }
    println!("read of the row {:.1} us", read * 1e6);
    for (name, make) in kinds { for count in [8, 32, 128] { for metrics in [Metrics::NONE, Metrics::KEPT | Metrics::LOGPROB] { for with_kept in [false, true] {
        let configs: Vec<Config> = (0..count).map(|i| Config { metrics, ..make(i) }).collect();
        let mut base = Decoder::new(&Config::default(), vocab).unwrap();
        let mut memory = vec![0; sweep_words(&configs, vocab).unwrap()];
        let mut results = vec![Err(Error::Finished); count];
        let words = vocab / 32;
        let mut kept = vec![0u32; if with_kept { count * words } else { 0 }];
        let mut own: Vec<Decoder> = configs.iter().map(|c| Decoder::new(c, vocab).unwrap()).collect();
        let mut list = vec![Candidate::default(); vocab];
        let (mut swept, mut singles) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..(if count > 32 { 4 } else { 12 }) {
            let t = Instant::now(); base.sweep(&row, None, &configs, &mut memory, &mut results, &mut kept).unwrap(); swept = swept.min(t.elapsed().as_secs_f64());
            let t = Instant::now(); let mut sum = 0u64; for d in &mut own { sum += d.evaluate(&row, None).unwrap().token as u64; if with_kept { d.kept(&row, None, &mut list).unwrap(); } } singles = singles.min(t.elapsed().as_secs_f64());
            assert_eq!(sum, results.iter().map(|r| r.unwrap().token as u64).sum());
        }
        println!("{name:<6} {count:>4} {} {} sweep {:>9.1} us, singles {:>10.1} us, ratio {:.3}, reads {:.1}", if metrics == Metrics::NONE { "bare" } else { "asks" }, if with_kept { "sets" } else { "    " }, swept * 1e6, singles * 1e6, swept / singles, swept / read);
    } } } }
}
