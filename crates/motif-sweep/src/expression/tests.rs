use proptest::{prelude::*, test_runner::RngSeed};

use super::*;

fn value(text: &str) -> f64 {
    Expression::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).evaluate(&[])
}

fn refused(text: &str) -> ExpressionError {
    Expression::parse(text).unwrap_err()
}

#[test]
fn operators_bind_as_in_mathematics() {
    for (text, expected) in [
        ("1 + 2 * 3", 7.0),
        ("(1 + 2) * 3", 9.0),
        ("10 - 4 - 3", 3.0),
        ("16 / 4 / 2", 2.0),
        ("2 ^ 3 ^ 2", 512.0),
        ("-2 ^ 2", -4.0),
        ("(-2) ^ 2", 4.0),
        ("2 ^ -1", 0.5),
        ("2 ^ -1 * 4", 2.0),
        ("2 * -3", -6.0),
        ("--2", 2.0),
        ("-2 * 3 + 1", -5.0),
        ("1e-3 * 2", 0.002),
        ("1.5E+2", 150.0),
        (".5", 0.5),
        ("5-3", 2.0),
    ] {
        assert_eq!(value(text), expected, "{text}");
    }
}

#[test]
fn functions_are_what_their_names_say() {
    for (text, expected) in [
        ("min(3, 1, 2)", 1.0),
        ("max(3, 1 + 4, 2)", 5.0),
        ("sqrt(9)", 3.0),
        ("log(exp(2))", 2.0),
        ("log10(1000)", 3.0),
        ("abs(-2)", 2.0),
        ("round(2.5)", 3.0),
        ("round(-2.5)", -3.0),
        ("floor(-2.5)", -3.0),
        ("ceil(2.1)", 3.0),
        ("sqrt(abs(min(-16, 4)))", 4.0),
    ] {
        assert_eq!(value(text), expected, "{text}");
    }
    assert!(value("sqrt(-1)").is_nan());
    assert!(value("1 / 0").is_infinite());
}

#[test]
fn names_are_read_once_each_and_results_are_decimal() {
    let expression = Expression::parse("rates.w * x_2 + rates.w").unwrap();
    assert_eq!(expression.names(), ["rates.w", "x_2"]);
    assert_eq!(expression.evaluate(&[2.0, 3.0]), 8.0);
    assert_eq!(value("0.1 * 3"), 0.3);
    assert_eq!(value("-0 * 1").to_bits(), 0.0_f64.to_bits());
}

#[test]
fn mistakes_are_told_with_their_place() {
    for (text, at, told) in [
        ("", 1, "found the end"),
        ("1 +", 4, "found the end"),
        ("1 + * 2", 5, "found `*`"),
        ("2 x", 3, "found the name x"),
        ("2x", 2, "found the name x"),
        ("(1 + 2", 7, "expected `)`"),
        ("1 + 2)", 6, "found `)`"),
        ("min()", 5, "found `)`"),
        ("min(1,)", 7, "found `)`"),
        ("sqrt(1, 2)", 1, "one argument, found 2"),
        ("1 + sqr(2)", 5, "no function sqr"),
        ("a ? b", 3, "unexpected '?'"),
        ("é", 1, "unexpected 'é'"),
        ("1.2.3", 1, "1.2.3 is not a finite number"),
        ("1e999", 1, "not a finite number"),
        ("2 ** 3", 4, "found `*`"),
    ] {
        let error = refused(text);
        assert_eq!(error.at, at, "{text}: {error}");
        assert!(error.message.contains(told), "{text}: {error}");
    }
    assert_eq!(refused("sqr(2)").unknown_function.as_deref(), Some("sqr"));
}

#[test]
fn length_and_nesting_are_limited() {
    let nested = |depth: usize| format!("{}1{}", "(".repeat(depth), ")".repeat(depth));
    assert_eq!(value(&nested(NESTING_MAX - 1)), 1.0);
    assert!(refused(&nested(NESTING_MAX)).message.contains("deep"));
    assert!(refused(&"-".repeat(900)).message.contains("deep"));
    assert!(refused(&format!("1{}", " ".repeat(EXPRESSION_MAX_BYTES))).message.contains("bytes"));
    assert_eq!(value(&format!("1{}", "+1".repeat(499))), 500.0);
}

/// A tree that is written as text and computed by itself, to compare with.
#[derive(Debug, Clone)]
enum Tree {
    Number(u32),
    Negative(Box<Tree>),
    Two(Box<Tree>, char, Box<Tree>),
    Least(Box<Tree>, Box<Tree>),
}

impl Tree {
    fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Negative(inner) => format!("(-{})", inner.text()),
            Self::Two(a, sign, b) => format!("({} {sign} {})", a.text(), b.text()),
            Self::Least(a, b) => format!("min({}, {})", a.text(), b.text()),
        }
    }

    fn value(&self) -> f64 {
        match self {
            Self::Number(number) => f64::from(*number),
            Self::Negative(inner) => -inner.value(),
            Self::Two(a, '+', b) => a.value() + b.value(),
            Self::Two(a, '-', b) => a.value() - b.value(),
            Self::Two(a, '*', b) => a.value() * b.value(),
            Self::Two(a, _, b) => a.value() / b.value(),
            Self::Least(a, b) => a.value().min(b.value()),
        }
    }
}

fn tree() -> impl Strategy<Value = Tree> {
    (0_u32..100).prop_map(Tree::Number).prop_recursive(5, 24, 2, |inner| {
        let pair = (inner.clone(), proptest::sample::select(vec!['+', '-', '*', '/']), inner.clone());
        prop_oneof![
            inner.clone().prop_map(|inner| Tree::Negative(inner.into())),
            pair.prop_map(|(a, sign, b)| Tree::Two(a.into(), sign, b.into())),
            (inner.clone(), inner).prop_map(|(a, b)| Tree::Least(a.into(), b.into())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic(text in "[a-z0-9_.+*/^(), \\-é]{0,80}") {
        if let Ok(expression) = Expression::parse(&text) {
            let _ = expression.evaluate(&vec![1.5; expression.names().len()]);
            let _ = expression.evaluate(&[]);
        }
    }

    #[test]
    fn a_tree_has_the_value_of_its_text(tree in tree()) {
        let (found, expected) = (value(&tree.text()), tree.value());
        let close = (found - expected).abs() <= 1e-14 * expected.abs().max(f64::MIN_POSITIVE);
        prop_assert!(close || found == expected || (found.is_nan() && expected.is_nan()), "{} ≠ {}", found, expected);
    }
}
