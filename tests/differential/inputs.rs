//! Rows to try the kernels on: every shape, bitmask and set of overrides, from a seed that a failure prints.

use argpick::kernels::{self, Band, ColumnSum, ColumnType, Cut, Override, RowView, Scale};
use argpick::{Kernels, Level, Row, numeric};
use half::{bf16, f16};

/// SplitMix64 (Steele, Lea, Flood 2014): small, and independent of the library's own numbers.
pub struct Source(pub u64);

impl Source {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
    pub fn normal(&mut self, deviation: f64) -> f32 {
        let (a, b) = (1.0 - self.unit(), self.unit());
        ((-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos() * deviation) as f32
    }
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// Lengths on every boundary of lanes, blocks, groups and tiles, and some on none.
pub const SHORT: [usize; 14] = [1, 2, 3, 15, 16, 17, 31, 63, 64, 65, 100, 127, 128, 129];
pub const LONG: [usize; 10] = [333, 1023, 1024, 1025, 2047, 2771, 4095, 4096, 4097, 8215];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Normal,
    Ties,
    Zeros,
    Subnormals,
    Huge,
    HalfMasked,
    OneLeft,
    Nothing,
    Equal,
    Painted,
    Cutoff,
    Peaked,
}

impl Shape {
    pub const ALL: [Shape; 12] = [
        Shape::Normal,
        Shape::Ties,
        Shape::Zeros,
        Shape::Subnormals,
        Shape::Huge,
        Shape::HalfMasked,
        Shape::OneLeft,
        Shape::Nothing,
        Shape::Equal,
        Shape::Painted,
        Shape::Cutoff,
        Shape::Peaked,
    ];

    fn logit(self, source: &mut Source, index: usize, length: usize) -> f32 {
        match self {
            Shape::Normal => source.normal(3.0),
            Shape::Ties => source.pick(&[-1.0, 0.5, 2.0, 2.0]),
            Shape::Zeros => source.pick(&[0.0, -0.0, -0.0, -1.5, f32::NEG_INFINITY]),
            Shape::Subnormals => f32::from_bits(source.next() as u32 & source.pick(&[0x807f_ffff, 0x8000_00ff])),
            Shape::Huge => source.pick(&[3e38, -3e38, 3.1e38, 1.0, f32::MIN, f32::MAX]),
            Shape::HalfMasked => {
                if source.below(2) == 0 {
                    f32::NEG_INFINITY
                } else {
                    source.normal(3.0)
                }
            }
            Shape::OneLeft => {
                if index == length / 2 {
                    -7.25
                } else {
                    f32::NEG_INFINITY
                }
            }
            Shape::Nothing => f32::NEG_INFINITY,
            Shape::Equal => 1.375,
            // A prime period, so that swapped lanes or blocks cannot cancel.
            Shape::Painted => (index % 251) as f32 * 0.0625 - 9.0,
            // Exponents of two over the whole range of weights and a little below it, at temperature 1.
            Shape::Cutoff => -(41.0 * std::f64::consts::LN_2 * source.unit()) as f32,
            Shape::Peaked => {
                if index == length / 3 {
                    20.0
                } else {
                    -20.0 + source.normal(1.0)
                }
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    Absent,
    Nothing,
    Everything,
    Random,
    Runs,
    Short,
}

impl Mask {
    pub const ALL: [Mask; 6] = [Mask::Absent, Mask::Nothing, Mask::Everything, Mask::Random, Mask::Runs, Mask::Short];

    fn words(self, source: &mut Source, length: usize) -> Option<Vec<u32>> {
        let count = length.div_ceil(32);
        let mut random = |count: usize| (0..count).map(|_| source.next() as u32).collect::<Vec<_>>();
        match self {
            Mask::Absent => None,
            Mask::Nothing => Some(vec![0; count]),
            Mask::Everything => Some(vec![u32::MAX; count]),
            Mask::Random => Some(random(count)),
            // Runs of whole empty and whole full blocks, with a ragged word between.
            Mask::Runs => Some(
                (0..count)
                    .map(|word| match word / 2 % 5 {
                        0 => 0x8000_0001,
                        1 | 2 => 0,
                        _ => u32::MAX,
                    })
                    .collect(),
            ),
            // An odd number of words, so that a block has only its lower one.
            Mask::Short => Some(random((count / 2) | 1)),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adjusted {
    None,
    Few,
    Many,
    Edges,
}

impl Adjusted {
    pub const ALL: [Adjusted; 4] = [Adjusted::None, Adjusted::Few, Adjusted::Many, Adjusted::Edges];

    fn takes(self, source: &mut Source, token: usize, length: usize) -> bool {
        match self {
            Adjusted::None => false,
            Adjusted::Few => source.below(length) < 3,
            Adjusted::Many => source.below(3) == 0,
            Adjusted::Edges => matches!(token % 64, 0 | 15 | 16 | 63),
        }
    }
}

/// Where the logits of a case come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    F32,
    F16,
    Bf16,
    /// Columns of a sparse head, added up where they are read.
    Columns,
}

impl Origin {
    pub const ALL: [Origin; 4] = [Origin::F32, Origin::F16, Origin::Bf16, Origin::Columns];
}

/// The elements of a row, starting at any offset in their memory.
#[derive(Clone)]
enum Elements {
    F32(Vec<f32>),
    F16(Vec<f16>),
    Bf16(Vec<bf16>),
    /// The bias is the row, f32; the columns add small multiples of 1/16 to it.
    Columns {
        bias: Vec<u8>,
        weights: Vec<u8>,
        kind: ColumnType,
        columns: Vec<u32>,
        values: Option<Vec<f32>>,
    },
}

/// One row with everything a kernel may ask for. All derived values are computed here by plain loops, so that each
/// kernel is judged alone.
pub struct Case {
    pub name: String,
    elements: Elements,
    offset: usize,
    pub words: Option<Vec<u32>>,
    pub valid: usize,
    pub overrides: Vec<Override>,
    /// Every third case has a band: a run of the order, whose ends may stand among equals.
    pub band: Option<Band>,
    /// The logits that take part, adjusted; -inf where a token does not. As long as the row.
    pub logits: Vec<f32>,
    /// Their block maxima as they were without the band, filled up with -inf to a multiple of 16.
    pub maxima: Vec<f32>,
    /// `None` where nothing takes part.
    pub scale: Option<Scale>,
    pub cuts: Vec<Cut>,
}

/// What to build.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    pub seed: u64,
    pub length: usize,
    pub origin: Origin,
    pub shape: Shape,
    pub mask: Mask,
    pub adjusted: Adjusted,
}

impl Case {
    pub fn new(recipe: Recipe) -> Case {
        let Recipe { seed, length, origin, shape, mask, adjusted } = recipe;
        let mut source = Source(seed);
        let offset = source.below(5);
        // Every fourth row is longer than its vocabulary.
        let valid = if source.below(4) == 0 { 1 + source.below(length) } else { length };
        let words = mask.words(&mut source, length);
        let allowed = |token: usize| {
            token < valid
                && words.as_ref().is_none_or(|words| words.get(token / 32).is_some_and(|w| w >> (token % 32) & 1 == 1))
        };
        let mut given: Vec<f32> = (0..length).map(|index| shape.logit(&mut source, index, length)).collect();
        // What takes no part may be anything.
        for (token, logit) in given.iter_mut().enumerate() {
            if !allowed(token) {
                *logit = source.pick(&[*logit, f32::NAN, f32::INFINITY, -f32::NAN]);
            }
        }
        let elements = Elements::new(&mut source, origin, shape, offset, &given, allowed);
        let given: Vec<f32> = (0..length).map(|i| elements.get(offset, i)).collect();
        let mut overrides = Vec::new();
        let mut logits = given.clone();
        for token in 0..length {
            if !allowed(token) {
                logits[token] = f32::NEG_INFINITY;
            } else if adjusted.takes(&mut source, token, length) {
                logits[token] = source.pick(&[f32::NEG_INFINITY, -0.0, given[token] * 0.5, 2.5]);
                overrides.push(Override { token: token as u32, logit: logits[token] });
            }
        }
        let blocks = valid.div_ceil(64);
        let mut maxima = vec![f32::NEG_INFINITY; blocks.next_multiple_of(16)];
        for (token, &logit) in logits.iter().enumerate().take(valid) {
            let maximum = &mut maxima[token / 64];
            *maximum = if logit > *maximum { logit + 0.0 } else { *maximum };
        }
        let mut order: Vec<usize> = (0..length).filter(|&token| logits[token] > f32::NEG_INFINITY).collect();
        order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
        let band = (!order.is_empty() && source.below(3) == 0).then(|| {
            let first = source.below(order.len());
            let last = first + source.below(order.len() - first);
            let cut = |rank: usize| Cut { logit: logits[order[rank]], token: order[rank] as u32 };
            let until = source.pick(&[u32::MAX, u32::MAX, order[first] as u32, length as u32 / 2]);
            if source.below(4) == 0 {
                Band { last: cut(last), ..Band::ALL }
            } else {
                Band { first: cut(first), first_until: until.max(order[first] as u32), last: cut(last) }
            }
        });
        if let Some(band) = band {
            for (token, logit) in logits.iter_mut().enumerate() {
                // -0.0 equals 0.0.
                let (first, last, token) = (band.first, band.last, token as u32);
                let edge = *logit == first.logit && (token < first.token || token > band.first_until);
                let before = *logit > first.logit || edge;
                let after = *logit < last.logit || *logit == last.logit && token > last.token;
                *logit = if before || after { f32::NEG_INFINITY } else { *logit };
            }
        }
        let maximum = logits[..valid].iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let temperature = source.pick(&[1.0, 1.0, 0.8, 0.25, 30.0, 1e-30, 1e30]);
        let scale =
            (maximum > f32::NEG_INFINITY).then(|| Scale { maximum, scale: numeric::exponent_scale(temperature) });
        let finite: Vec<usize> = (0..length).filter(|&token| logits[token] > f32::NEG_INFINITY).collect();
        let mut cuts = vec![Cut::ALL];
        if !finite.is_empty() {
            for _ in 0..2 {
                let token = source.pick(&finite);
                cuts.push(Cut { logit: logits[token], token: token as u32 });
                cuts.push(Cut::at_least(logits[token]));
            }
            // Among equals, a cut anywhere in the row.
            cuts.push(Cut { logit: maximum, token: source.below(length) as u32 });
        }
        let name = format!(
            "{recipe:?}, {valid} valid, {} overrides, {band:?}, temperature {temperature:e}, offset {offset}",
            overrides.len()
        );
        Case { name, elements, offset, words, valid, overrides, band, logits, maxima, scale, cuts }
    }

    /// The row as given, if it is one of f32.
    pub fn row(&self) -> Option<&[f32]> {
        match &self.elements {
            Elements::F32(all) => Some(&all[self.offset..]),
            _ => None,
        }
    }

    pub fn view(&self) -> RowView<'_> {
        RowView {
            source: self.elements.source(self.offset),
            words: self.words.as_deref(),
            valid: self.valid,
            overrides: &self.overrides,
            band: self.band,
        }
    }

    /// The maxima, none above the largest logit in the band: bounds are made of such only.
    pub fn bounded_maxima(&self) -> Vec<f32> {
        let most = self.scale.map_or(f32::MAX, |scale| scale.maximum);
        self.maxima.iter().map(|&maximum| maximum.min(most)).collect()
    }

    /// What lies in the band and is kept by the cut.
    pub fn kept(&self, cut: Cut) -> Band {
        let band = self.band.unwrap_or(Band::ALL);
        Band { last: band.last.stricter(cut), ..band }
    }

    pub fn blocks(&self) -> usize {
        self.valid.div_ceil(64)
    }

    /// The same case with one logit as given replaced; what was derived from it is no longer right.
    pub fn with_logit(&self, token: usize, logit: f32) -> Case {
        let mut elements = self.elements.clone();
        let at = self.offset + token;
        match &mut elements {
            Elements::F32(all) => all[at] = logit,
            Elements::F16(all) => all[at] = f16::from_f32(logit),
            Elements::Bf16(all) => all[at] = bf16::from_f32(logit),
            Elements::Columns { bias, .. } => {
                bias[self.offset + 4 * token..][..4].copy_from_slice(&logit.to_le_bytes())
            }
        }
        Case {
            name: format!("{}, logit {logit} at {token}", self.name),
            elements,
            words: self.words.clone(),
            overrides: self.overrides.clone(),
            logits: self.logits.clone(),
            maxima: self.maxima.clone(),
            cuts: self.cuts.clone(),
            ..*self
        }
    }
}

impl Elements {
    fn new(
        source: &mut Source,
        origin: Origin,
        shape: Shape,
        offset: usize,
        given: &[f32],
        allowed: impl Fn(usize) -> bool,
    ) -> Elements {
        let padded = std::iter::repeat_n(-1.0, offset).chain(given.iter().copied());
        match origin {
            Origin::F32 => Elements::F32(padded.collect()),
            Origin::Bf16 => {
                // The largest f32 round up to infinity in bfloat16, which may not take part.
                let narrow =
                    |x: f32| if x.is_finite() { bf16::from_f32(x.clamp(-3.3e38, 3.3e38)) } else { bf16::from_f32(x) };
                Elements::Bf16(padded.map(narrow).collect())
            }
            Origin::F16 => {
                let narrow = |x: f32| {
                    if x.is_finite() { f16::from_f32(x.clamp(-65_504.0, 65_504.0)) } else { f16::from_f32(x) }
                };
                let mut all: Vec<f16> = padded.map(narrow).collect();
                if shape == Shape::Subnormals {
                    // Subnormal f32 vanish in binary16: use its own.
                    for token in (0..given.len()).filter(|&token| allowed(token)) {
                        all[offset + token] = f16::from_bits(source.next() as u16 & 0x83ff);
                    }
                }
                Elements::F16(all)
            }
            Origin::Columns => {
                let bias = column_bytes(ColumnType::F32, offset, given.iter().copied());
                let kind = source.pick(&COLUMN_TYPES);
                let features = 6;
                let weights = (0..features * given.len()).map(|_| source.below(9) as f32 * 0.0625 - 0.25);
                let weights = column_bytes(kind, offset, weights.collect::<Vec<_>>().into_iter());
                let count = source.below(7);
                let columns = (0..count).map(|_| source.below(features) as u32).collect();
                let values = [-0.5, 1.0, 2.0, 0.1];
                let values = (source.below(2) == 0).then(|| (0..count).map(|_| source.pick(&values)).collect());
                Elements::Columns { bias, weights, kind, columns, values }
            }
        }
    }

    /// One logit as given, by a plain conversion or a plain sum.
    fn get(&self, offset: usize, token: usize) -> f32 {
        match self {
            Elements::F32(all) => all[offset + token],
            Elements::F16(all) => all[offset + token].to_f32(),
            Elements::Bf16(all) => all[offset + token].to_f32(),
            Elements::Columns { bias, weights, kind, columns, values } => {
                let rows = (bias.len() - offset) / 4;
                let mut logit = column_element(ColumnType::F32, &bias[offset..], token);
                for (i, &column) in columns.iter().enumerate() {
                    let weight = column_element(*kind, &weights[offset..], column as usize * rows + token);
                    logit += values.as_ref().map_or(1.0, |values| values[i]) * weight;
                }
                logit
            }
        }
    }

    fn source(&self, offset: usize) -> kernels::Source<'_> {
        match self {
            Elements::F32(all) => Row::F32(&all[offset..]).into(),
            Elements::F16(all) => Row::F16(&all[offset..]).into(),
            Elements::Bf16(all) => Row::Bf16(&all[offset..]).into(),
            Elements::Columns { bias, weights, kind, columns, values } => kernels::Source::Columns(ColumnSum {
                // `write_sum` is compared on every level; here the columns are only where a row comes from.
                kernels: Kernels::new(Level::Scalar).expect("the scalar level"),
                weights: &weights[offset..],
                kind: *kind,
                bias: &bias[offset..],
                bias_kind: ColumnType::F32,
                rows: (bias.len() - offset) / 4,
                columns,
                values: values.as_deref(),
            }),
        }
    }
}

pub const COLUMN_TYPES: [ColumnType; 4] = [ColumnType::F64, ColumnType::F32, ColumnType::F16, ColumnType::Bf16];

/// Finite weights as bytes that begin at `offset`: any alignment.
pub fn column_bytes(kind: ColumnType, offset: usize, weights: impl Iterator<Item = f32>) -> Vec<u8> {
    let mut bytes = vec![0xee; offset];
    for weight in weights {
        match kind {
            // More digits than an f32 has, so that the rounding shows.
            ColumnType::F64 => bytes.extend((f64::from(weight) * 1.000_000_03).to_le_bytes()),
            ColumnType::F32 => bytes.extend(weight.to_le_bytes()),
            ColumnType::F16 => bytes.extend(f16::from_f32(weight).to_le_bytes()),
            ColumnType::Bf16 => bytes.extend(bf16::from_f32(weight).to_le_bytes()),
        }
    }
    bytes
}

/// One of them.
pub fn column_element(kind: ColumnType, bytes: &[u8], index: usize) -> f32 {
    match bytes[index * kind.size()..][..kind.size()] {
        [a, b, c, d, e, f, g, h] => f64::from_le_bytes([a, b, c, d, e, f, g, h]) as f32,
        [a, b, c, d] => f32::from_le_bytes([a, b, c, d]),
        [a, b] if kind == ColumnType::F16 => f16::from_le_bytes([a, b]).to_f32(),
        [a, b] => bf16::from_le_bytes([a, b]).to_f32(),
        _ => unreachable!("elements have 2, 4 or 8 bytes"),
    }
}
