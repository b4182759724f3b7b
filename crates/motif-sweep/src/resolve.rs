//! From drafts to conditions: each config resolved over the defaults, keys derived, excluded conditions left out,
//! values checked.

use std::collections::{BTreeMap, HashSet};

use motif_net::config::TrialConfig;
use serde_json::{Map, Value};

use crate::{
    derive::{self, Derivation},
    errors::{SpecError, SpecErrors},
    exclude::{self, Excludes},
    expand::Draft,
    keys, origin,
    plan::Condition,
    spec::SweepSpec,
    trial,
    variables::{self, Variables},
};

/// What the spec says about all conditions.
struct Resolver<'a> {
    spec: &'a SweepSpec,
    shared: &'a Map<String, Value>,
    variables: Variables,
    /// Each after those that it reads.
    derivations: Vec<Derivation>,
    excludes: Excludes,
    /// The items that left something out.
    used: HashSet<usize>,
}

/// The conditions that are not left out, in their order.
pub(crate) fn conditions(
    spec: &SweepSpec,
    drafts: Vec<Draft>,
    shared: &Map<String, Value>,
    errors: &mut SpecErrors,
) -> Vec<Condition> {
    let variables = Variables::of(spec);
    let excludes = exclude::read(&spec.exclude, &variables);
    let derivations = match derive::read(&spec.derive, &variables) {
        Ok(derivations) => derivations,
        Err(wrong) => {
            wrong.into_iter().for_each(|error| errors.push(error));
            return Vec::new();
        }
    };
    let mut resolver = Resolver { spec, shared, variables, derivations, excludes, used: HashSet::new() };
    let mut conditions = Vec::with_capacity(drafts.len());
    for draft in drafts {
        match resolver.config(&draft) {
            Ok(Some(config)) => {
                let index = u32::try_from(conditions.len()).expect("conditions are limited");
                conditions.push(Condition { index, label: draft.label, axes: draft.axes, config });
            }
            Ok(None) => {}
            Err(wrong) => wrong.into_iter().for_each(|error| errors.push(error)),
        }
    }
    if errors.is_empty() {
        resolver.excludes.check_used(&resolver.used, errors);
    }
    if conditions.is_empty() && errors.is_empty() {
        errors.push(SpecError::new("exclude", "this leaves out every condition"));
    }
    conditions
}

impl Resolver<'_> {
    /// The config of a condition; `None` when it is left out.
    fn config(&mut self, draft: &Draft) -> Result<Option<TrialConfig>, SpecErrors> {
        let mut config =
            trial::resolve(&[self.shared, &draft.keys], "").map_err(|wrong| self.blamed(draft, wrong))?;
        let crossed = draft.arm.is_none();
        // What is left out by what is written needs no derived values, which might not even exist.
        let unknown: Vec<&str> = self.spec.derive.keys().map(String::as_str).collect();
        if crossed && self.is_excluded(draft, &config, &unknown) {
            return Ok(None);
        }
        if !self.derivations.is_empty() {
            let derived = self.derived(draft, &trial::to_map(&config))?;
            config = trial::resolve(&[self.shared, &draft.keys, &derived], "")
                .map_err(|wrong| self.blamed(draft, wrong))?;
            if crossed && self.is_excluded(draft, &config, &[]) {
                return Ok(None);
            }
        }
        let mut wrong = SpecErrors::default();
        trial::check_values(&config, "", &mut wrong);
        self.blamed(draft, wrong).or(Some(config))
    }

    /// The derived keys that a condition does not set itself, opened.
    fn derived(&self, draft: &Draft, config: &Map<String, Value>) -> Result<Map<String, Value>, SpecError> {
        let variables = variables::numbers(&self.variables, &draft.axes);
        let mut numbers = BTreeMap::new();
        let mut values = Map::new();
        for derivation in &self.derivations {
            let key = &derivation.key.key;
            if origin::sets(&draft.keys, key) {
                continue;
            }
            let number = derivation.evaluate(config, &numbers, &variables, &draft.label)?;
            values.extend(derivation.key.value(number).map(|value| (key.clone(), value)));
            numbers.insert(key.as_str(), number);
        }
        Ok(keys::undotted(&values, "", &mut SpecErrors::default()))
    }

    /// Whether an item matches that looks at none of the `unknown` keys.
    fn is_excluded(&mut self, draft: &Draft, config: &TrialConfig, unknown: &[&str]) -> bool {
        let looked = self.excludes.look(config, &self.variables, &draft.axes);
        let matching: Vec<usize> = self.excludes.matching(&looked, unknown).collect();
        self.used.extend(&matching);
        !matching.is_empty()
    }

    /// Names the places of the spec that wrong values of a resolved config come from.
    fn blamed(&self, draft: &Draft, wrong: SpecErrors) -> SpecErrors {
        let blamed = wrong.into_iter().map(|mut error| {
            error.field = error.field.trim_start_matches('.').to_owned();
            let place = origin::of(self.spec, draft.arm, &error.field);
            if place.starts_with("trial.") && !origin::sets(&self.spec.trial, &error.field) {
                error.message = format!("{} (in the condition \"{}\")", error.message, draft.label);
            }
            error.field = place;
            error
        });
        SpecErrors(blamed.collect())
    }
}
