//! What a launch does beside picking: recording, refusing rows, refusing arguments.

use super::cases::{Batch, Logits, METRICS, Sequence, lay_out, metrics, report};
use super::host::{DeviceDecode, Host, RECORD, Workspace};
use super::support::generators::{self, Shape, Source};
use super::{assert_equal, some_config};
use argpick::{Config, Error};
use std::ptr::null_mut;

/// Twenty steps without the host between them, as a graph would be replayed.
pub fn records_its_picks(host: &Host, seed: u64) {
    let mut source = Source::new(seed ^ 0x1ec0);
    for _ in 0..6 {
        let vocab = source.pick(&[40, 64, 333]);
        let count = 3;
        let mut sequences: Vec<Sequence> = Vec::new();
        for _ in 0..count {
            let logits = Logits::new(&generators::row(&mut source, Shape::Normal, vocab), 0);
            let mut sequence = Sequence::new(logits, some_config(&mut source, vocab));
            sequence.config.repetition_penalty = 1.3;
            sequence.config.history_capacity = 16;
            sequence.config.valid_vocab = 0;
            sequence.prompt = (0..5).map(|_| source.below(vocab) as u32).collect();
            sequences.push(sequence);
        }
        let all: Vec<&Sequence> = sequences.iter().collect();
        let (_memory, logits) = lay_out(&all, vocab, 0);
        let mut batch = Batch::new(host, &all);
        batch.adjustments = 16;
        let mut decode = batch.describe(logits, vocab, 0);
        decode.flags = RECORD;
        // SAFETY: a valid description.
        decode.workspace_size = unsafe { (host.decode_workspace)(&decode) };
        let mut workspace = Workspace::new(decode.workspace_size);
        decode.workspace = workspace.pointer();
        let mut decoders: Vec<_> = sequences.iter().map(Sequence::decoder).collect();
        for step in 0..20 {
            let mut detail = 0;
            // SAFETY: all pointers are to memory of the lengths given.
            let status = unsafe { (host.decode)(&decode, &mut detail) };
            assert_eq!((status, detail), (0, 0));
            for (i, decoder) in decoders.iter_mut().enumerate() {
                let expected = report(decoder.decode(sequences[i].logits.row(), None));
                assert_equal(&format!("step {step}"), &batch.picks[i], &expected, &sequences[i]);
                assert_eq!(batch.rows[i].position, decoder.position());
                assert_eq!(batch.history(i).last(), Some(&expected.token));
            }
        }
    }
}

pub fn refuses_what_it_cannot_do(host: &Host) {
    let vocab = 100;
    let logits = Logits::new(&generators::row(&mut Source::new(3), Shape::Normal, vocab), 0);
    let sound = Sequence::new(logits, Config { metrics: metrics(METRICS), seed: 9, ..Config::default() });
    let expected = sound.expected();
    let all = [&sound; 3];
    let (_memory, logits) = lay_out(&all, vocab, 0);
    let mut workspace = Workspace::new(0);
    let mut launch = |batch: &mut Batch, change: &dyn Fn(&mut DeviceDecode)| {
        let mut decode = batch.describe(logits, vocab, 0);
        // SAFETY: a valid description.
        decode.workspace_size = unsafe { (host.decode_workspace)(&decode) };
        workspace = Workspace::new(decode.workspace_size);
        decode.workspace = workspace.pointer();
        change(&mut decode);
        let mut detail = 0;
        // SAFETY: all pointers are to memory of the lengths given, or the launch is refused.
        let status = unsafe { (host.decode)(&decode, &mut detail) };
        (status, detail)
    };

    // A row that is refused harms none beside it.
    type Change<'a> = &'a dyn Fn(&mut super::host::DeviceRow);
    let wrong: [(u32, u32, Change<'_>); 19] = [
        (3, 1, &|row| row.mode = 2),
        (3, 2, &|row| row.temperature = -1.0),
        (3, 2, &|row| row.temperature = f32::NAN),
        (3, 2, &|row| row.temperature = f32::INFINITY),
        (3, 3, &|row| row.top_p = 1.5),
        (3, 4, &|row| row.min_p = -0.1),
        (3, 5, &|row| row.typical_p = f32::NAN),
        (3, 6, &|row| row.repetition_penalty = 0.0),
        (3, 7, &|row| row.frequency_penalty = f32::INFINITY),
        (3, 8, &|row| row.presence_penalty = f32::NAN),
        (3, 9, &|row| row.penalty_window = 5000),
        (3, 10, &|row| row.valid_vocab = 101),
        (3, 11, &|row| row.metrics = 64),
        (3, 11, &|row| row.metrics = 128),
        (3, 12, &|row| row.history_capacity = 0),
        (3, 13, &|row| row.bias_count = 65_537),
        (3, 14, &|row| row.ban_count = 65_537),
        (3, 16, &|row| row.bias_count = 1),
        (6, 0, &|row| row.skip = 1),
    ];
    for (status, index, change) in wrong {
        let mut batch = Batch::new(host, &all);
        batch.features = 3;
        change(&mut batch.rows[1]);
        let before = batch.picks[1];
        assert_eq!(launch(&mut batch, &|_| {}), (0, 0));
        assert_equal("beside a refused row", &batch.picks[0], &expected, &sound);
        assert_equal("beside a refused row", &batch.picks[2], &expected, &sound);
        let found = batch.picks[1];
        assert_eq!((found.status, found.index), (status, index), "{found:?}");
        let nothing = if status == 6 { before } else { report(Err(Error::EverythingMasked)) };
        assert_eq!(found.bits()[3..], nothing.bits()[3..], "{found:?}");
    }

    // Lists that are out of order or out of range; features that the launch was not told of.
    for (bias, bans, place) in [
        (vec![(7, 1.0), (7, 2.0)], vec![], 1),
        (vec![(1, 1.0), (100, 2.0)], vec![], 1),
        (vec![(1, f32::NAN)], vec![], 0),
        (vec![(1, f32::INFINITY)], vec![], 0),
        (vec![], vec![3, 3], 1),
        (vec![], vec![5, 100], 1),
    ] {
        let mut sequence = sound.clone();
        (sequence.bias, sequence.bans) = (bias, bans);
        let all = [&sound, &sequence, &sound];
        let mut batch = Batch::new(host, &all);
        assert_eq!(launch(&mut batch, &|_| {}), (0, 0));
        assert_equal("beside a refused list", &batch.picks[2], &expected, &sound);
        assert_eq!((batch.picks[1].status, batch.picks[1].index), (4, place), "{:?}", batch.picks[1]);
        batch.features = 2;
        assert_eq!(launch(&mut batch, &|_| {}), (0, 0));
        assert_eq!((batch.picks[1].status, batch.picks[1].index), (5, 1), "{:?}", batch.picks[1]);
    }
    let mut batch = Batch::new(host, &all);
    batch.features = 0;
    assert_eq!(launch(&mut batch, &|_| {}), (0, 0));
    assert_eq!((batch.picks[0].status, batch.picks[0].index), (5, 2), "{:?}", batch.picks[0]);

    // A history with a token that does not exist.
    let mut sequence = sound.clone();
    sequence.config.presence_penalty = 0.5;
    sequence.prompt = vec![1, 2];
    sequence.generated = vec![3, 200];
    let mut batch = Batch::new(host, &[&sequence]);
    assert_eq!(launch(&mut batch, &|_| {}), (0, 0));
    assert_eq!((batch.picks[0].status, batch.picks[0].index), (4, 3), "{:?}", batch.picks[0]);

    // Arguments.
    type Wrong<'a> = (i32, i32, &'a dyn Fn(&mut DeviceDecode));
    let wrong: [Wrong<'_>; 15] = [
        (3, 1, &|decode| decode.logits = std::ptr::null()),
        (3, 1, &|decode| decode.rows = null_mut()),
        (3, 1, &|decode| decode.picks = null_mut()),
        (3, 1, &|decode| decode.workspace = null_mut()),
        (3, 2, &|decode| decode.logits = decode.logits.wrapping_byte_add(1)),
        (3, 2, &|decode| decode.workspace = decode.workspace.wrapping_byte_add(16)),
        (3, 3, &|decode| decode.dtype = 3),
        (3, 4, &|decode| decode.row_count = (1 << 20) + 1),
        (3, 5, &|decode| decode.vocab = 0),
        (3, 5, &|decode| decode.vocab = (1 << 22) + 1),
        (3, 6, &|decode| decode.row_stride = 99),
        (3, 7, &|decode| decode.features = 4),
        (3, 7, &|decode| decode.flags = 2),
        (3, 8, &|decode| decode.adjustment_capacity = 1 << 20),
        (4, 0, &|decode| decode.workspace_size -= 1),
    ];
    for (status, detail, change) in wrong {
        let mut batch = Batch::new(host, &all);
        assert_eq!(launch(&mut batch, change), (status, detail));
        assert!(batch.picks.iter().all(|pick| pick.status == 99), "a refused launch writes nothing");
    }
    let mut batch = Batch::new(host, &all);
    assert_eq!(launch(&mut batch, &|decode| decode.row_count = 0), (0, 0));
}
