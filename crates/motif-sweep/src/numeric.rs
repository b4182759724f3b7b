//! Which keys of a trial are numbers, and what numbers a config has there.
//!
//! What they are is asked of the config's type, so that there is no list to keep.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use crate::{errors::SpecErrors, keys, trial, varied};

/// Whole numbers up to this are exact as floats, and in JavaScript.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// A key whose value is a number.
#[derive(Debug)]
pub(crate) struct Numeric {
    /// Dotted.
    pub(crate) key: String,
    /// Whether only whole numbers fit.
    pub(crate) whole: bool,
    /// Whether a config that leaves the key out has 0 there.
    zero_when_absent: bool,
}

static NUMERIC: LazyLock<Vec<Numeric>> = LazyLock::new(|| {
    let fits = |key: &str, value: Value| {
        let mut errors = SpecErrors::default();
        varied::check_value(key, &value, "", &mut errors);
        errors.is_empty()
    };
    let numeric = trial::sweepable_keys().iter().filter(|key| fits(key, json!(1)));
    let numeric = numeric.map(|key| {
        let zero = Map::from_iter([(key.clone(), json!(0))]);
        let zero = trial::resolve(&[&keys::undotted(&zero, "", &mut SpecErrors::default())], "");
        let zero_when_absent = zero.is_ok_and(|zero| zero == Default::default());
        Numeric { whole: !fits(key, json!(1.5)), zero_when_absent, key: key.clone() }
    });
    numeric.collect()
});

/// All of them.
pub(crate) fn all() -> &'static [Numeric] {
    &NUMERIC
}

/// The one with this key.
pub(crate) fn find(key: &str) -> Option<&'static Numeric> {
    NUMERIC.iter().find(|numeric| numeric.key == key)
}

impl Numeric {
    /// The number in a config written as a table; `None` when it is not set there.
    pub(crate) fn of(&self, config: &Map<String, Value>) -> Option<f64> {
        let value = trial::at(config, &self.key);
        value.and_then(Value::as_f64).or_else(|| self.zero_when_absent.then_some(0.0))
    }

    /// A number as this key's value; `None` when it must be whole and is not, or is no finite number.
    pub(crate) fn value(&self, number: f64) -> Option<Value> {
        if self.whole { whole(number) } else { number.is_finite().then(|| Value::from(number)) }
    }
}

/// A number without fraction as such.
pub(crate) fn whole(number: f64) -> Option<Value> {
    let exact = number.fract() == 0.0 && number.abs() <= WHOLE_MAX;
    // Text is the conversion that cannot go wrong silently.
    exact.then(|| format!("{number:.0}").parse::<i64>().ok().map(Value::from)).flatten()
}

/// Significant decimal digits that arithmetic keeps.
const DIGITS: usize = 15;

/// The number with 15 significant digits, so that `0.1 * 3` is `0.3`.
pub(crate) fn decimal(number: f64) -> f64 {
    let digits = DIGITS - 1;
    // A sum, so that the sign of a zero does not tell two conditions apart.
    format!("{number:.digits$e}").parse::<f64>().unwrap_or(number) + 0.0
}
