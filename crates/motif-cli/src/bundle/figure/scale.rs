//! Ranges and ticks, as the dashboard's `charts/ticks.ts` has them.

use crate::bundle::words::{is_fraction, number};

/// Values that spread over more than this factor are unreadable on a linear axis.
const LOG_FACTOR_MIN: f64 = 1000.0;
/// From this span on, numbers are written with an exponent.
const EXPONENT_SPAN_MIN: f64 = 1e5;

/// From values to pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    pub(super) domain: (f64, f64),
    pub(super) range: (f64, f64),
    pub(super) log: bool,
}

impl Scale {
    /// Where a value lies; what lies outside the domain is at its edge.
    pub(super) fn at(&self, value: f64) -> f64 {
        let (low, high) = self.domain;
        let value = value.clamp(low, high);
        let part =
            if self.log { (value / low).ln() / (high / low).ln() } else { (value - low) / (high - low) };
        self.range.0 + part * (self.range.1 - self.range.0)
    }
}

/// Whether a logarithmic axis serves these values: all positive and over three orders of magnitude apart.
pub(super) fn suits_log(metric: &str, values: &[f64]) -> bool {
    let (low, high) = extent(values);
    !is_fraction(metric) && low > 0.0 && high / low > LOG_FACTOR_MIN
}

fn extent(values: &[f64]) -> (f64, f64) {
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max))
}

/// A range that holds all values with some air; fractions stay within [0, 1].
pub(super) fn padded(metric: &str, values: &[f64], air: f64) -> (f64, f64) {
    let (low, high) = extent(values);
    if low > high {
        return (0.0, 1.0);
    }
    let spans = [high - low, high.abs() * 0.1, 0.1];
    let span = spans.into_iter().find(|span| *span > 0.0).unwrap_or(0.1);
    let (low, high) = (low - span * air, high + span * air);
    if is_fraction(metric) { (low.max(0.0), high.min(1.0)) } else { (low, high) }
}

/// A range that holds all positive values with some air, for a logarithmic axis.
pub(super) fn log_domain(values: &[f64]) -> (f64, f64) {
    let logs: Vec<f64> = values.iter().filter(|value| **value > 0.0).map(|value| value.log10()).collect();
    if logs.is_empty() {
        return (0.1, 10.0);
    }
    let (low, high) = padded("", &logs, 0.04);
    (10f64.powf(low), 10f64.powf(high))
}

/// Ticks with their text.
pub(super) fn ticks(metric: &str, scale: &Scale, wanted: f64) -> Vec<(f64, String)> {
    let (low, high) = scale.domain;
    if scale.log {
        return log_ticks(low, high, wanted).into_iter().map(|tick| (tick, log_tick(tick))).collect();
    }
    let text = |value: f64| metric_tick(metric, high - low, value);
    round_ticks(low, high, wanted).into_iter().map(|tick| (tick, text(tick))).collect()
}

/// About `wanted` round numbers within a range: steps of 1, 2 or 5 times a power of ten.
fn round_ticks(low: f64, high: f64, wanted: f64) -> Vec<f64> {
    let span = high - low;
    if !(span > 0.0 && span.is_finite()) {
        return if low.is_finite() { vec![low] } else { Vec::new() };
    }
    let raw = span / wanted.max(1.0);
    let power = raw.log10().floor() as i32;
    let error = raw / 10f64.powi(power);
    let factor = match error {
        error if error >= 50f64.sqrt() => 10.0,
        error if error >= 10f64.sqrt() => 5.0,
        error if error >= 2f64.sqrt() => 2.0,
        _ => 1.0,
    };
    // Below one, dividing by the whole number keeps 0.3 from becoming 0.30000000000000004.
    let at =
        |k: f64| if power < 0 { k * factor / 10f64.powi(-power) } else { k * factor * 10f64.powi(power) };
    let first = (low / at(1.0) - 1e-9).ceil();
    let last = (high / at(1.0) + 1e-9).floor();
    let steps = (last - first).max(-1.0) as i64;
    (0..=steps).map(|k| at(first + k as f64) + 0.0).collect()
}

/// Powers of ten within a range, at most about `most` of them.
fn log_ticks(low: f64, high: f64, most: f64) -> Vec<f64> {
    let first = (low.log10() - 1e-9).ceil() as i32;
    let last = (high.log10() + 1e-9).floor() as i32;
    let stride = (f64::from((last - first + 1).max(1)) / most.max(1.0)).ceil() as usize;
    (first..=last).step_by(stride).map(|power| 10f64.powi(power)).collect()
}

fn metric_tick(metric: &str, span: f64, value: f64) -> String {
    if is_fraction(metric) {
        let places = if span < 0.002 {
            2
        } else if span < 0.02 {
            1
        } else {
            0
        };
        return format!("{:.places$} %", 100.0 * value);
    }
    if span >= EXPONENT_SPAN_MIN {
        return exponent(value, span);
    }
    let places = if span > 0.0 { 1 - span.log10().floor() as i32 } else { 3 };
    match usize::try_from(places) {
        Ok(places @ 1..=6) => trimmed(&format!("{value:.places$}")).replace('-', "−"),
        _ => plain_tick(value),
    }
}

/// A tick without zeros that say nothing: `0.5`, `2`, `1,200`.
pub(super) fn plain_tick(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        let text = crate::bundle::words::count(value.abs() as u64);
        return if value < 0.0 { format!("−{text}") } else { text };
    }
    trimmed(&number(value, 3))
}

/// `1.2e6`: as many digits as tell two ticks of an axis of this span apart.
fn exponent(value: f64, span: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let digits = (value.abs().log10().floor() - span.log10().floor() + 1.0).clamp(0.0, 6.0) as usize;
    let text = format!("{value:.digits$e}");
    let (mantissa, power) = text.split_once('e').unwrap_or((&text, "0"));
    format!("{}e{power}", trimmed(mantissa)).replace('-', "−")
}

fn log_tick(value: f64) -> String {
    if (1e-3..1e4).contains(&value) { plain_tick(value) } else { exponent(value, value) }
}

fn trimmed(text: &str) -> String {
    if !text.contains('.') {
        return text.to_owned();
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_told_apart() {
        assert_eq!(round_ticks(0.0, 1.0, 5.0), [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]);
        assert_eq!(round_ticks(0.28, 0.32, 4.0), [0.28, 0.29, 0.3, 0.31, 0.32]);
        assert_eq!(round_ticks(1.0, 1.0, 5.0), [1.0]);
        assert_eq!(log_ticks(0.5, 2e4, 9.0), [1.0, 10.0, 100.0, 1000.0, 10_000.0]);
        assert_eq!(metric_tick("test_accuracy", 0.01, 0.985), "98.5 %");
        assert_eq!(
            (metric_tick("loss", 1.0, 0.50), metric_tick("loss", 2e6, 1.5e6)),
            ("0.5".into(), "1.5e6".into())
        );
    }

    #[test]
    fn ranges_hold_their_values_and_fractions_stay_fractions() {
        assert_eq!(padded("test_accuracy", &[0.5, 1.0], 0.06), (0.47, 1.0));
        assert_eq!(padded("loss", &[], 0.1), (0.0, 1.0));
        let (low, high) = padded("loss", &[2.0, 2.0, f64::NAN], 0.1);
        assert!(low < 2.0 && high > 2.0);
        assert!(suits_log("loss", &[0.1, 1e4]) && !suits_log("test_accuracy", &[0.0001, 0.9]));
        assert!(!suits_log("loss", &[-1.0, 1e6]) && !suits_log("loss", &[]));
        let scale = Scale { domain: (1.0, 100.0), range: (0.0, 10.0), log: true };
        assert_eq!((scale.at(10.0), scale.at(-5.0), scale.at(1e9)), (5.0, 0.0, 10.0));
    }
}
