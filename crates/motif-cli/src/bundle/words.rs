//! Numbers and lists as people write them. What is missing is an em dash; nothing here ever says NaN.

/// What stands where there is no number.
pub(crate) const MISSING: &str = "—";

/// Metrics that are fractions of one and read better as percentages.
pub(crate) fn is_fraction(metric: &str) -> bool {
    let parts = metric.split('.').any(|part| part == "dead");
    parts || metric.ends_with("accuracy") || metric.ends_with("error_rate")
}

/// A metric's name for people: `norm.v_bar.2` stays, `test_accuracy` becomes `test accuracy`.
pub(crate) fn metric_name(metric: &str) -> String {
    if metric.contains('.') { metric.to_owned() } else { metric.replace('_', " ") }
}

fn minus(text: &str) -> String {
    text.replace('-', "−")
}

/// A number with about `digits` significant digits.
pub(crate) fn number(value: f64, digits: i32) -> String {
    if !value.is_finite() {
        return MISSING.to_owned();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    let size = value.abs();
    if !(1e-4..1e6).contains(&size) {
        return minus(&format!("{value:.*e}", places(digits - 2)));
    }
    minus(&format!("{value:.*}", places((digits - 1 - exponent(size)).min(6))))
}

fn places(wanted: i32) -> usize {
    usize::try_from(wanted).unwrap_or(0)
}

fn exponent(size: f64) -> i32 {
    // A finite size: its exponent is within ±324.
    size.log10().floor() as i32
}

/// A metric's value, in percent where it is a fraction; two digits of the uncertainty where there is one.
pub(crate) fn metric_value(metric: &str, value: Option<f64>, uncertainty: Option<f64>) -> String {
    let Some(value) = value.filter(|value| value.is_finite()) else { return MISSING.to_owned() };
    let uncertainty = uncertainty.filter(|one| one.is_finite() && *one > 0.0);
    let digits = |scale: f64| uncertainty.map(|one| (1 - exponent(one * scale)).clamp(1, 4));
    if is_fraction(metric) {
        return minus(&format!("{:.*} %", places(digits(100.0).unwrap_or(2)), 100.0 * value));
    }
    match digits(1.0) {
        Some(digits) => minus(&format!("{value:.*}", places(digits))),
        None => number(value, 4),
    }
}

/// A difference of a metric with its sign; percentage points where it is a fraction.
pub(crate) fn metric_difference(metric: &str, value: Option<f64>, uncertainty: Option<f64>) -> String {
    let text = metric_value(metric, value, uncertainty).replace(" %", " pp");
    if value.is_some_and(|value| value > 0.0) { format!("+{text}") } else { text }
}

/// A p-value: three digits, and never zero.
pub(crate) fn p_value(p: Option<f64>) -> String {
    match p {
        None => MISSING.to_owned(),
        Some(p) if p < 0.001 => "< 0.001".to_owned(),
        Some(p) => format!("{p:.3}"),
    }
}

/// `1 seed`, `2,000 seeds`.
pub(crate) fn plural(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// A count with commas between thousands.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `a`, `a and b`, `a, b and c`.
pub(crate) fn list(items: &[String]) -> String {
    match items {
        [] => "none".to_owned(),
        [one] => one.clone(),
        [head @ .., last] => format!("{} and {last}", head.join(", ")),
    }
}

/// Whole numbers as runs: `0 to 9`, `0, 1 and 5`.
pub(crate) fn runs(numbers: &[u64]) -> String {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for number in sorted {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let mut words = Vec::new();
    for (first, last) in runs {
        match last - first {
            0 => words.push(first.to_string()),
            1 => words.extend([first.to_string(), last.to_string()]),
            _ => words.push(format!("{first} to {last}")),
        }
    }
    list(&words)
}

/// Cuts text to that many letters.
pub(crate) fn clip(text: &str, letters: usize) -> String {
    let letters = letters.max(4);
    if text.chars().count() <= letters {
        return text.to_owned();
    }
    text.chars().take(letters - 1).chain(['…']).collect()
}

/// Text without what would break a line or hide: each run of spaces and control characters is one space.
pub(crate) fn one_line(text: &str) -> String {
    let hidden = |c: char| {
        c.is_whitespace() || c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.split(hidden).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_dashboard_writes_them() {
        assert_eq!(metric_value("test_accuracy", Some(0.98765), Some(0.0123)), "98.8 %");
        assert_eq!(metric_value("test_accuracy", Some(0.98765), None), "98.77 %");
        assert_eq!(metric_value("test_loss", Some(-0.5), None), "−0.5000");
        assert_eq!(metric_value("test_loss", Some(f64::NAN), None), MISSING);
        assert_eq!(metric_difference("test_accuracy", Some(0.012), Some(0.003)), "+1.20 pp");
        assert_eq!((number(1234567.0, 4), number(0.00001, 3)), ("1.23e6".into(), "1.0e−5".into()));
        assert_eq!((p_value(Some(0.0)), p_value(None)), ("< 0.001".into(), MISSING.into()));
    }

    #[test]
    fn counts_and_lists_are_singular_or_plural() {
        assert_eq!(
            (plural(1, "seed", "seeds"), plural(0, "seed", "seeds")),
            ("1 seed".into(), "0 seeds".into())
        );
        assert_eq!(
            (count(999), count(1000), count(1_234_567)),
            ("999".into(), "1,000".into(), "1,234,567".into())
        );
        assert_eq!(list(&["a".into(), "b".into(), "c".into()]), "a, b and c");
        assert_eq!(runs(&[3, 0, 1, 2, 7]), "0 to 3 and 7");
        assert_eq!(runs(&[5, 4]), "4 and 5");
        assert_eq!((runs(&[9]), runs(&[])), ("9".into(), "none".into()));
    }

    #[test]
    fn text_is_cut_at_letters_and_kept_on_a_line() {
        assert_eq!(clip("ääääää", 5), "ääää…");
        assert_eq!(one_line(" a\n\u{202e}b\u{0}c "), "a b c");
    }
}
