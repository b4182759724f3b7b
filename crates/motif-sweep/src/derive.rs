//! `[derive]`: keys whose values are computed from a condition's other numbers.
//!
//! It knows which keys there are and in which order they depend on each other; [`Expression`] knows arithmetic.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::{
    document::join,
    errors::{SpecError, SpecErrors},
    expression::{self, Expression, ExpressionError},
    keys, numeric,
    numeric::Numeric,
    spec::AXES_MAX,
    variables::Variables,
    varied::{self, Places},
};

/// A key and how it is computed.
#[derive(Debug)]
pub(crate) struct Derivation {
    pub(crate) key: &'static Numeric,
    expression: Expression,
    /// Whose values the expression reads, in its order.
    inputs: Vec<Input>,
}

/// What an expression reads.
#[derive(Debug, Clone)]
enum Input {
    Key(&'static Numeric),
    Variable(String),
}

impl Input {
    fn name(&self) -> &str {
        match self {
            Self::Key(numeric) => &numeric.key,
            Self::Variable(name) => name,
        }
    }
}

/// Checks the table, and that its keys vary nowhere else.
pub(crate) fn check(
    derive: &Map<String, Value>,
    variables: &Variables,
    places: &mut Places,
    errors: &mut SpecErrors,
) {
    if derive.len() > AXES_MAX {
        let message = format!("expected at most {AXES_MAX} keys, found {}", derive.len());
        errors.push(SpecError::new("derive", message));
        return;
    }
    for key in derive.keys() {
        if varied::known_key(key, "derive", errors) {
            places.claim(key, &join("derive", key), errors);
        }
    }
    if let Err(wrong) = read(derive, variables) {
        wrong.into_iter().for_each(|error| errors.push(error));
    }
}

/// The derivations, each after those whose keys it reads. Keys that do not exist are left to [`check`].
pub(crate) fn read(
    derive: &Map<String, Value>,
    variables: &Variables,
) -> Result<Vec<Derivation>, SpecErrors> {
    let mut errors = SpecErrors::default();
    let mut derivations = Vec::new();
    for (key, value) in derive {
        match derivation(key, value, variables) {
            Ok(derivation) => derivations.extend(derivation),
            Err(error) => errors.push(error),
        }
    }
    errors.or(())?;
    ordered(derivations)
}

fn derivation(key: &str, value: &Value, variables: &Variables) -> Result<Option<Derivation>, SpecError> {
    let field = join("derive", key);
    let Some(text) = value.as_str() else {
        let message = "expected an expression as text, such as \"rates.w * 0.4\"";
        return Err(SpecError::new(field, message).found(value));
    };
    let Some(numeric) = numeric::find(key) else {
        let mut unknown = SpecErrors::default();
        if !varied::known_key(key, "derive", &mut unknown) {
            return Ok(None);
        }
        return Err(SpecError::new(field, format!("only numbers can be derived: {}", numeric_keys())));
    };
    let expression = Expression::parse(text).map_err(|error| wrong_expression(&field, value, &error))?;
    let names = expression.names().iter();
    let inputs = names.map(|name| input(name, variables, &field, value)).collect::<Result<_, _>>()?;
    Ok(Some(Derivation { key: numeric, expression, inputs }))
}

fn wrong_expression(field: &str, value: &Value, error: &ExpressionError) -> SpecError {
    let functions: Vec<&str> = expression::function_names().collect();
    let unknown = error.unknown_function.as_deref();
    let hint = unknown.map(|_| format!(" (there are {})", functions.join(", "))).unwrap_or_default();
    let suggestion = unknown.and_then(|name| keys::near(name, functions));
    SpecError::new(field, format!("{error}{hint}")).found(value).suggest(suggestion)
}

fn input(name: &str, variables: &Variables, field: &str, value: &Value) -> Result<Input, SpecError> {
    if variables.contains(name) {
        return Ok(Input::Variable(name.to_owned()));
    }
    numeric::find(name).map(Input::Key).ok_or_else(|| {
        let known = numeric::all().iter().map(|numeric| numeric.key.as_str());
        let message = format!(
            "`{name}` is neither a number of a trial nor a variable (a name among axes, zips or samples); numbers of a \
             trial are {}",
            numeric_keys()
        );
        SpecError::new(field, message).found(value).suggest(keys::near(name, known))
    })
}

fn numeric_keys() -> String {
    numeric::all().iter().map(|numeric| numeric.key.as_str()).collect::<Vec<_>>().join(", ")
}

/// Puts each after those that it depends on; a cycle is an error that names it.
fn ordered(mut waiting: Vec<Derivation>) -> Result<Vec<Derivation>, SpecErrors> {
    let mut ordered = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let depends = |derivation: &Derivation| waiting.iter().any(|other| derivation.reads(other.key));
        let Some(ready) = waiting.iter().position(|derivation| !depends(derivation)) else {
            return Err(cycle(&waiting).into());
        };
        ordered.push(waiting.remove(ready));
    }
    Ok(ordered)
}

/// Each of these depends on one of them, so that following them ends in a circle.
fn cycle(waiting: &[Derivation]) -> SpecError {
    let mut path: Vec<&str> = Vec::new();
    let mut here = &waiting[0];
    while !path.contains(&here.key.key.as_str()) {
        path.push(&here.key.key);
        here = waiting.iter().find(|other| here.reads(other.key)).unwrap_or(here);
    }
    let start = path.iter().position(|key| *key == here.key.key).unwrap_or(0);
    path.push(&here.key.key);
    let circle = path[start..].join(" → ");
    SpecError::new(join("derive", &here.key.key), format!("this depends on itself: {circle}"))
}

impl Derivation {
    fn reads(&self, numeric: &Numeric) -> bool {
        self.inputs.iter().any(|input| matches!(input, Input::Key(own) if own.key == numeric.key))
    }

    /// Its value in a condition, whose config stands in a table; `derived` are the values that came before, `variables`
    /// those of the condition.
    pub(crate) fn evaluate(
        &self,
        config: &Map<String, Value>,
        derived: &BTreeMap<&'static str, f64>,
        variables: &BTreeMap<&str, f64>,
        label: &str,
    ) -> Result<f64, SpecError> {
        let refused = |message: String| {
            let message = format!("{message} (in the condition \"{label}\")");
            SpecError::new(join("derive", &self.key.key), message)
        };
        let mut values = Vec::with_capacity(self.inputs.len());
        for input in &self.inputs {
            let value = match input {
                Input::Key(key) => derived.get(key.key.as_str()).copied().or_else(|| key.of(config)),
                Input::Variable(name) => variables.get(name.as_str()).copied(),
            };
            let unset =
                || refused(format!("{} is not set, so that nothing can be derived from it", input.name()));
            values.push(value.ok_or_else(unset)?);
        }
        let result = self.expression.evaluate(&values);
        if self.key.value(result).is_some() {
            return Ok(result);
        }
        let inputs: Vec<String> = self
            .inputs
            .iter()
            .zip(&values)
            .map(|(input, value)| format!("{} = {value}", input.name()))
            .collect();
        let given = if inputs.is_empty() { String::new() } else { format!(" with {}", inputs.join(", ")) };
        Err(if result.is_finite() {
            refused(format!(
                "expected a whole number, found {result}{given}: write round(…), floor(…) or ceil(…)"
            ))
        } else {
            refused(format!("this is no finite number{given}"))
        })
    }
}
