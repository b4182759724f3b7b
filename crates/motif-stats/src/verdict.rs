//! Whether an effect measured on a handful of seeds holds up a claim: from its interval alone, with "undecided" as an
//! answer. Knows nothing of what is claimed: one number for each seed comes in.
//!
//! Three answers instead of two, because a test that is not significant says nothing about the absence of an effect:
//! with `(low, high)` the interval and `margin` the smallest effect that matters,
//!
//! | | supported | not supported | else |
//! |---|---|---|---|
//! | [`positive`] | `low > margin` | `high < margin` | undecided |
//! | [`not_positive`] | `high < margin` | `low > margin` | undecided |
//! | [`equivalent`] | `-margin < low` and `high < margin` | `low > margin` or `high < -margin` | undecided |
//!
//! Equivalence uses the interval of twice the error (Schuirmann 1987: two one-sided tests).

use serde::Serialize;

use crate::interval::Interval;
use crate::one_sample::{self, OneSampleError};
use crate::sample::SampleError;

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The data hold the claim up.
    Supported,
    /// The data contradict it, or exclude an effect that matters.
    NotSupported,
    /// The data do not tell.
    Undecided,
}

impl Verdict {
    /// That all of several claims hold: one that fails decides, then one that is open.
    #[must_use]
    pub fn all(verdicts: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Self::Supported;
        for verdict in verdicts {
            match verdict {
                Self::NotSupported => return Self::NotSupported,
                Self::Undecided => all = Self::Undecided,
                Self::Supported => {}
            }
        }
        all
    }
}

/// A verdict and the numbers behind it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Decision {
    /// The answer.
    pub verdict: Verdict,
    /// Number of effects.
    pub n: usize,
    /// Their mean; `None` at n = 0.
    pub mean: Option<f64>,
    /// The interval that decided; `None` below n = 2.
    pub interval: Option<Interval>,
    /// Student's t of the mean against 0; `None` below n = 2 and where all effects are equal.
    pub t: Option<f64>,
    /// Its two-sided p-value, not corrected.
    pub p: Option<f64>,
}

/// Whether the mean effect is above `margin`, at the error `alpha`.
///
/// # Errors
/// An effect or an `alpha` that is not usable.
pub fn positive(effects: &[f64], margin: f64, alpha: f64) -> Result<Decision, OneSampleError> {
    decide(effects, 1.0 - alpha, |interval| {
        if interval.low > margin {
            Verdict::Supported
        } else if interval.high < margin {
            Verdict::NotSupported
        } else {
            Verdict::Undecided
        }
    })
}

/// Whether the mean effect is below `margin`, at the error `alpha`.
///
/// # Errors
/// An effect or an `alpha` that is not usable.
pub fn not_positive(effects: &[f64], margin: f64, alpha: f64) -> Result<Decision, OneSampleError> {
    let mut decision = positive(effects, margin, alpha)?;
    decision.verdict = match decision.verdict {
        Verdict::Supported => Verdict::NotSupported,
        Verdict::NotSupported => Verdict::Supported,
        Verdict::Undecided => Verdict::Undecided,
    };
    Ok(decision)
}

/// Whether the mean effect lies within `±margin`, at the error `alpha`.
///
/// # Errors
/// An effect or an `alpha` that is not usable.
pub fn equivalent(effects: &[f64], margin: f64, alpha: f64) -> Result<Decision, OneSampleError> {
    decide(effects, 1.0 - 2.0 * alpha, |interval| {
        if -margin < interval.low && interval.high < margin {
            Verdict::Supported
        } else if interval.low > margin || interval.high < -margin {
            Verdict::NotSupported
        } else {
            Verdict::Undecided
        }
    })
}

fn decide(
    effects: &[f64],
    level: f64,
    answer: impl Fn(&Interval) -> Verdict,
) -> Result<Decision, OneSampleError> {
    let test = match one_sample::one_sample(effects, level) {
        Err(OneSampleError::Sample(SampleError::Empty)) => None,
        other => Some(other?),
    };
    let interval = test.and_then(|test| test.interval);
    Ok(Decision {
        verdict: interval.as_ref().map_or(Verdict::Undecided, answer),
        n: effects.len(),
        mean: test.map(|test| test.mean),
        t: test.and_then(|test| test.t),
        p: test.and_then(|test| test.p),
        interval,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean 0.02, sd 0.01, n = 5: the 95 % interval is 0.02 ± 2.776445 · 0.01 / √5 = 0.02 ± 0.012416.
    const EFFECTS: [f64; 5] = [0.02, 0.007_752_551_286_084_11, 0.02, 0.032_247_448_713_915_89, 0.02];

    #[test]
    fn the_interval_decides() {
        let decision = positive(&EFFECTS, 0.0, 0.05).unwrap();
        let interval = decision.interval.unwrap();
        let half = 2.776_445_105_197_793 * 0.75_f64.sqrt() * 0.01 / 5.0_f64.sqrt();
        assert!((interval.low - (0.02 - half)).abs() < 1e-12, "{interval:?}");
        assert_eq!((decision.verdict, decision.n), (Verdict::Supported, 5));
        // The same interval, and an effect that would have to be larger than any in it.
        assert_eq!(positive(&EFFECTS, 0.04, 0.05).unwrap().verdict, Verdict::NotSupported);
        assert_eq!(positive(&EFFECTS, 0.025, 0.05).unwrap().verdict, Verdict::Undecided);
        assert_eq!(positive(&EFFECTS, 0.005, 0.05).unwrap().verdict, Verdict::Supported);
        // A smaller error widens it over 0.
        assert_eq!(positive(&EFFECTS, 0.0, 0.001).unwrap().verdict, Verdict::Undecided);
        let mirrored = EFFECTS.map(|effect| -effect);
        assert_eq!(positive(&mirrored, 0.0, 0.05).unwrap().verdict, Verdict::NotSupported);
    }

    #[test]
    fn not_positive_is_the_mirror() {
        assert_eq!(not_positive(&EFFECTS, 0.04, 0.05).unwrap().verdict, Verdict::Supported);
        assert_eq!(not_positive(&EFFECTS, 0.005, 0.05).unwrap().verdict, Verdict::NotSupported);
        assert_eq!(not_positive(&EFFECTS, 0.005, 0.001).unwrap().verdict, Verdict::Undecided);
    }

    #[test]
    fn equivalence_takes_the_interval_of_twice_the_error() {
        let at = |margin| equivalent(&EFFECTS, margin, 0.05).unwrap();
        let half = 2.131_846_786_326_649 * 0.75_f64.sqrt() * 0.01 / 5.0_f64.sqrt();
        assert!((at(0.1).interval.unwrap().high - (0.02 + half)).abs() < 1e-12);
        assert_eq!(at(0.02 + half + 1e-9).verdict, Verdict::Supported);
        assert_eq!(at(0.02 + half - 1e-9).verdict, Verdict::Undecided);
        assert_eq!(at(0.02 - half - 1e-9).verdict, Verdict::NotSupported);
    }

    #[test]
    fn one_seed_decides_nothing() {
        for effects in [&[][..], &[0.5][..]] {
            assert_eq!(positive(effects, 0.0, 0.05).unwrap().verdict, Verdict::Undecided);
            assert_eq!(equivalent(effects, 1.0, 0.05).unwrap().verdict, Verdict::Undecided);
        }
        assert_eq!(positive(&[0.5, 0.5], 0.0, 0.05).unwrap().verdict, Verdict::Supported);
    }

    #[test]
    fn all_of_several_claims() {
        use Verdict::{NotSupported, Supported, Undecided};
        assert_eq!(Verdict::all([Supported, Supported]), Supported);
        assert_eq!(Verdict::all([Supported, Undecided]), Undecided);
        assert_eq!(Verdict::all([Undecided, NotSupported]), NotSupported);
    }

    #[test]
    fn slopes_of_known_lines() {
        let slope = |points: &[(f64, f64)]| one_sample::line(points).ok().map(|line| line.slope);
        assert_eq!(slope(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]), Some(2.0));
        assert_eq!(slope(&[(1.0, 1.0), (1.0, 3.0)]), None);
        assert_eq!(slope(&[]), None);
    }
}
