//! Tail probabilities and quantiles, written so that small p-values keep their relative precision.
//! Callers pass finite arguments and positive degrees of freedom.

use statrs::function::{
    beta::{beta_reg, ln_beta},
    erf,
};

/// P(|T| ≥ |t|) for Student's t: `I_{df/(df+t²)}(df/2, 1/2)`.
pub(crate) fn t_two_sided(t: f64, df: f64) -> f64 {
    let t2 = t * t;
    let p = if t2 < 1.0 {
        1.0 - beta_reg(0.5, df / 2.0, t2 / (df + t2))
    } else {
        beta_reg(df / 2.0, 0.5, df / (df + t2))
    };
    p.clamp(0.0, 1.0)
}

/// P(T ≥ t) for Student's t.
pub(crate) fn t_upper(t: f64, df: f64) -> f64 {
    let half = t_two_sided(t, df) / 2.0;
    if t > 0.0 { half } else { 1.0 - half }
}

/// P(F ≥ f): `I_{d2/(d2+d1 f)}(d2/2, d1/2)`.
pub(crate) fn f_upper(f: f64, d1: f64, d2: f64) -> f64 {
    let scaled = d1 * f;
    let p = if f < 1.0 {
        1.0 - beta_reg(d1 / 2.0, d2 / 2.0, scaled / (d2 + scaled))
    } else {
        beta_reg(d2 / 2.0, d1 / 2.0, d2 / (d2 + scaled))
    };
    p.clamp(0.0, 1.0)
}

/// The t with P(|T| ≤ t) = `level`, `0 < level < 1`.
///
/// Newton's method from a point at most a factor of two below: the tail is convex, so no step goes past the root.
pub(crate) fn t_critical(level: f64, df: f64) -> f64 {
    let tail = 1.0 - level;
    let (mut t, mut beyond) = (0.0_f64, 1.0_f64);
    while t_two_sided(beyond, df) > tail && beyond < 1e100 {
        t = beyond;
        beyond *= 2.0;
    }
    for _ in 0..NEWTON_STEPS_MAX {
        let next = t + (t_two_sided(t, df) - tail) / (2.0 * t_density(t, df));
        if (next - t).abs() <= 2.0 * f64::EPSILON * next {
            return next;
        }
        t = next;
    }
    t
}

/// Newton converges in about six steps; rounding may keep the last bits moving until this many.
const NEWTON_STEPS_MAX: usize = 30;

/// `(1 + t²/df)^{−(df+1)/2} / (√df B(1/2, df/2))`.
fn t_density(t: f64, df: f64) -> f64 {
    let kernel = -(df + 1.0) / 2.0 * (t * t / df).ln_1p();
    (kernel - ln_beta(0.5, df / 2.0)).exp() / df.sqrt()
}

/// Φ(z).
pub(crate) fn normal_cdf(z: f64) -> f64 {
    0.5 * erf::erfc(-z / std::f64::consts::SQRT_2)
}

/// Φ⁻¹(p), `0 < p < 1`; infinite at the ends.
pub(crate) fn normal_quantile(p: f64) -> f64 {
    -std::f64::consts::SQRT_2 * erf::erfc_inv(2.0 * p)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn golden(section: &str) -> Vec<Value> {
        let golden: Value = serde_json::from_str(include_str!("../tests/golden/golden.json")).unwrap();
        golden[section].as_array().unwrap().clone()
    }

    #[track_caller]
    fn assert_close(ours: f64, theirs: f64, what: &Value) {
        assert!((ours - theirs).abs() <= 1e-9 * theirs, "{ours:e} is not {theirs:e} at {what}");
    }

    #[test]
    fn t_tails_match_scipy() {
        for case in golden("t_tails") {
            let of = |key: &str| case[key].as_f64().unwrap();
            assert_close(t_two_sided(of("t"), of("df")), of("p"), &case);
            assert_close(t_two_sided(-of("t"), of("df")), of("p"), &case);
        }
    }

    #[test]
    fn f_tails_match_scipy() {
        for case in golden("f_tails") {
            let of = |key: &str| case[key].as_f64().unwrap();
            assert_close(f_upper(of("f"), of("d1"), of("d2")), of("p"), &case);
        }
    }

    #[test]
    fn t_critical_with_one_degree_of_freedom_is_a_tangent() {
        for level in [1e-6, 0.5, 0.95, 0.999_999] {
            let exact = (std::f64::consts::FRAC_PI_2 * level).tan();
            assert!((t_critical(level, 1.0) / exact - 1.0).abs() < 1e-9, "{level}");
        }
        assert!(t_critical(1.0 - f64::EPSILON, 1.0).is_finite());
    }

    #[test]
    fn normal_quantile_inverts_the_distribution() {
        for p in [1e-12, 0.025, 0.31, 0.5, 0.975] {
            assert!((normal_cdf(normal_quantile(p)) / p - 1.0).abs() < 1e-9, "{p}");
        }
        assert_eq!(normal_quantile(0.0), f64::NEG_INFINITY);
        assert_eq!(normal_quantile(1.0), f64::INFINITY);
    }
}
