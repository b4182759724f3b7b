//! Mean and band over seeds along logged steps. Never interpolates: a step counts the seeds that logged it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::interval::{self, Method};
use crate::{dist, sample};

/// One step of an averaged curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CurvePoint {
    /// The step as logged.
    pub step: u64,
    /// Seeds with a usable value at this step.
    pub n: usize,
    /// Seeds whose value here is NaN, infinite or beyond [`crate::MAGNITUDE_MAX`]: left out, and counted.
    pub unusable: usize,
    /// Mean over the n seeds; `None` at n = 0.
    pub mean: Option<f64>,
    /// Lower end of the interval; `None` below n = 2.
    pub low: Option<f64>,
    /// Upper end of the interval; `None` below n = 2.
    pub high: Option<f64>,
}

/// Mean and band at every step that any seed logged, in ascending order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Curve {
    /// Series given.
    pub seeds: usize,
    /// Nominal coverage of the band, pointwise.
    pub level: f64,
    /// How the band was made.
    pub method: Method,
    /// The steps.
    pub points: Vec<CurvePoint>,
}

/// Averages one `(step, value)` series per seed. Where a series logs a step twice, the later entry holds. A curve
/// whose `n` falls along the way lost seeds (or logged at other steps): its mean is then one of survivors.
///
/// The band is pointwise Student t; it is absent if `level` is not strictly between 0 and 1.
pub fn align<S: AsRef<[(u64, f64)]>>(series: &[S], level: f64) -> Curve {
    let mut logged: Vec<(u64, f64)> = Vec::with_capacity(series.iter().map(|one| one.as_ref().len()).sum());
    for one in series {
        let first = logged.len();
        logged.extend_from_slice(one.as_ref());
        // Stable, so that of entries of one step the last one logged comes last.
        logged[first..].sort_by_key(|(step, _)| *step);
        let mut kept = first;
        for at in first..logged.len() {
            if logged.get(at + 1).is_none_or(|next| next.0 != logged[at].0) {
                logged[kept] = logged[at];
                kept += 1;
            }
        }
        logged.truncate(kept);
    }
    logged.sort_by_key(|(step, _)| *step);
    let mut critical = BTreeMap::new();
    let of_step = |logged: &[(u64, f64)]| {
        let values: Vec<f64> = logged.iter().map(|(_, value)| *value).collect();
        point(logged[0].0, &values, level, &mut critical)
    };
    let points = logged.chunk_by(|a, b| a.0 == b.0).map(of_step).collect();
    Curve { seeds: series.len(), level, method: Method::StudentT, points }
}

/// `critical` remembers the t quantile per number of seeds, which few steps change.
fn point(step: u64, values: &[f64], level: f64, critical: &mut BTreeMap<usize, f64>) -> CurvePoint {
    let mut usable: Vec<f64> = values.iter().copied().filter(|&v| sample::usable(v)).collect();
    usable.sort_by(f64::total_cmp);
    let n = usable.len();
    let band = if n >= 2 && interval::is_level(level) {
        let critical = *critical.entry(n).or_insert_with(|| dist::t_critical(level, n as f64 - 1.0));
        interval::student_t_with(&usable, level, critical)
    } else {
        None
    };
    CurvePoint {
        step,
        n,
        unusable: values.len() - n,
        mean: (n > 0).then(|| sample::mean(&usable)),
        low: band.map(|b| b.low),
        high: band.map(|b| b.high),
    }
}
