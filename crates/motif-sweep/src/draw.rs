//! The points of a `[sample]`: a pure function of the table.
//!
//! Each key has a random stream of its own, named by the key and the seed, and a point depends on its number alone: a
//! larger `count` continues the list, and a further key changes no other key's values.

use std::collections::HashSet;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::Value;

use crate::{
    errors::SpecError,
    numeric,
    sample::{Dimension, Method, Sample, Scale},
    sobol::Directions,
    varied::meaning,
};

/// Draws for each point that is asked for, since a point that repeats an earlier one is passed over.
const DRAWS_PER_POINT_MAX: usize = 64;
/// Draws beyond those, for few points.
const DRAWS_EXTRA: usize = 1_024;
/// Significant digits of a sampled number, relative to the range: labels and tables stay readable.
const DIGITS: i32 = 6;

/// The points, each with a value per key in the keys' order, all different.
pub(crate) fn points(sample: &Sample) -> Result<Vec<Vec<Value>>, SpecError> {
    let mut streams: Vec<Stream> = sample
        .dimensions
        .iter()
        .enumerate()
        .map(|(index, (key, _))| Stream::new(sample.settings.method, sample.settings.seed, index, key))
        .collect();
    let count = usize::try_from(sample.settings.count).unwrap_or(usize::MAX);
    let draws = count.saturating_mul(DRAWS_PER_POINT_MAX).saturating_add(DRAWS_EXTRA);
    let mut points = Vec::new();
    let mut seen = HashSet::new();
    for index in 0..u32::try_from(draws).unwrap_or(u32::MAX) {
        if points.len() == count {
            break;
        }
        let dimensions = streams.iter_mut().zip(&sample.dimensions);
        let point: Vec<Value> =
            dimensions.map(|(stream, (_, dimension))| dimension.at(stream.next(index))).collect();
        if seen.insert(point.iter().map(meaning).collect::<Vec<_>>()) {
            points.push(point);
        }
    }
    if points.len() < count {
        let message = format!(
            "the ranges give {} different points in {draws} draws: expected a smaller count or wider ranges",
            points.len()
        );
        return Err(SpecError::new("sample.count", message).found(&Value::from(count)));
    }
    Ok(points)
}

/// One key's numbers in `(0, 1)`.
enum Stream {
    /// The sequence and what its digits are shifted by.
    Sobol(Directions, u32),
    Random(Box<ChaCha8Rng>),
}

impl Stream {
    fn new(method: Method, seed: u64, dimension: usize, key: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("motif sample v1");
        hasher.update(&seed.to_le_bytes());
        hasher.update(key.as_bytes());
        let mut random = ChaCha8Rng::from_seed(*hasher.finalize().as_bytes());
        match Directions::of(dimension) {
            Some(directions) if method == Method::Sobol => Self::Sobol(directions, random.next_u32()),
            _ => Self::Random(Box::new(random)),
        }
    }

    /// The number of a point; points are asked for in their order.
    fn next(&mut self, index: u32) -> f64 {
        match self {
            Self::Sobol(directions, shift) => {
                (f64::from(directions.at(index) ^ *shift) + 0.5) / 4_294_967_296.0
            }
            Self::Random(random) => ((random.next_u64() >> 12) as f64 + 0.5) / 4_503_599_627_370_496.0,
        }
    }
}

impl Dimension {
    /// The value at a place in `(0, 1)`.
    fn at(&self, place: f64) -> Value {
        match self {
            Self::Values(values) => {
                let index = (place * values.len() as f64) as usize;
                values[index.min(values.len() - 1)].clone()
            }
            Self::Steps { low, step, count, whole } => {
                number(numeric::decimal(low + (place * count).floor() * step), *whole)
            }
            Self::Whole { low, high, scale } => {
                // The interval from `low` to `high + 1`, rounded down, so that both ends are as likely as others.
                number(between(*low, high + 1.0, *scale, place).floor().clamp(*low, *high), true)
            }
            Self::Real { low, high, scale } => {
                let value = between(*low, *high, *scale, place);
                let span = match scale {
                    Scale::Linear => high - low,
                    Scale::Log => value.min(high - low),
                };
                number(short(value, span).clamp(*low, *high), false)
            }
        }
    }
}

fn between(low: f64, high: f64, scale: Scale, place: f64) -> f64 {
    match scale {
        Scale::Linear => low + place * (high - low),
        Scale::Log => {
            let (from, to) = (libm::log(low), libm::log(high));
            libm::exp(from + place * (to - from))
        }
    }
}

/// The value with as many decimals as make [`DIGITS`] digits of the span.
fn short(value: f64, span: f64) -> f64 {
    let magnitude = libm::floor(libm::log10(span)) as i32;
    let decimals = usize::try_from(DIGITS - 1 - magnitude).unwrap_or(0);
    format!("{value:.decimals$}").parse().unwrap_or(value)
}

fn number(value: f64, whole: bool) -> Value {
    let whole = if whole { numeric::whole(value) } else { None };
    whole.unwrap_or_else(|| Value::from(value))
}
