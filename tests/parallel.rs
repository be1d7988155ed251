//! A batch gives the same results on any number of threads, and in any split.
#![cfg(feature = "parallel")]

use argpick::{Config, Decoder, Error, Metrics, Pick, Row, decode_batch, decode_batch_parallel};

const VOCAB: usize = 3000;
const ROWS: usize = 37;

fn rows() -> Vec<Vec<f32>> {
    let mut x = 7u64;
    let mut next = || {
        x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (x >> 40) as f32 / (1 << 20) as f32
    };
    let mut rows: Vec<Vec<f32>> = (0..ROWS).map(|_| (0..VOCAB).map(|_| next() + next() - next()).collect()).collect();
    rows[5][17] = f32::NAN;
    rows[20].fill(f32::NEG_INFINITY);
    rows
}

fn decoders() -> Vec<Decoder> {
    let config = |stream: u64| Config {
        stream,
        top_k: if stream.is_multiple_of(2) { 30 } else { 0 },
        top_p: if stream.is_multiple_of(3) { 0.9 } else { 1.0 },
        metrics: Metrics::CONFIDENCE | Metrics::LOGPROB,
        ..Config::default()
    };
    (0..ROWS as u64).map(|stream| Decoder::new(&config(stream), VOCAB).unwrap()).collect()
}

fn text(results: &[Result<Pick, Error>]) -> Vec<String> {
    // NaN equals NaN here.
    results.iter().map(|result| format!("{result:?}")).collect()
}

#[test]
fn threads_and_splits_change_nothing() {
    let rows = rows();
    let rows: Vec<Row<'_>> = rows.iter().map(Row::from).collect();
    let mask: Vec<u32> = (0..VOCAB.div_ceil(32)).map(|i| !(5 << (i % 20))).collect();
    let masks: Vec<Option<&[u32]>> = (0..ROWS).map(|i| (i % 4 == 1).then_some(&mask[..])).collect();
    let mut expected = vec![Err(Error::Finished); ROWS];
    let mut alone = decoders();
    for _ in 0..3 {
        decode_batch(&mut alone, &rows, &masks, &mut expected).unwrap();
    }
    for threads in [1, 2, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let (mut several, mut results) = (decoders(), vec![Err(Error::Finished); ROWS]);
        for _ in 0..3 {
            pool.install(|| decode_batch_parallel(&mut several, &rows, &masks, &mut results)).unwrap();
        }
        assert_eq!(text(&results), text(&expected), "{threads} threads");
        assert!(results[5].is_err() && results[20].is_err() && results[0].is_ok());
    }
    for split in [1, 10, 36] {
        let (mut parts, mut results) = (decoders(), vec![Err(Error::Finished); ROWS]);
        for _ in 0..3 {
            let (first, second) = parts.split_at_mut(split);
            let (first_results, second_results) = results.split_at_mut(split);
            decode_batch_parallel(first, &rows[..split], &masks[..split], first_results).unwrap();
            decode_batch_parallel(second, &rows[split..], &masks[split..], second_results).unwrap();
        }
        assert_eq!(text(&results), text(&expected), "split at {split}");
    }
    let refused = decode_batch_parallel(&mut alone, &rows[1..], &[], &mut expected);
    assert_eq!(refused, Err(Error::WrongLength { what: "rows", expected: ROWS, actual: ROWS - 1 }));
}
