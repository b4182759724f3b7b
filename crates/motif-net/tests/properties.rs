//! Any config: violations or an outcome, never a panic; the same hash twice.

mod common;

use common::random::{config, toy};
use motif_net::{TrainError, TrialConfig, train};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_config_ends_in_a_stable_outcome(config in config(), seed in any::<u64>()) {
        let toy = toy();
        match train(&config, seed, &toy.task(), &mut ()) {
            Ok(result) => {
                prop_assert!(config.violations().is_empty());
                prop_assert!(result.metrics.values().all(|value| value.is_finite()));
                prop_assert_eq!(result, train(&config, seed, &toy.task(), &mut ()).unwrap());
            }
            Err(TrainError::Config(violations)) => prop_assert!(!violations.is_empty()),
            Err(error) => prop_assert!(false, "{}", error),
        }
    }

    #[test]
    fn a_config_survives_json(config in config().prop_filter("JSON has no NaN", |config| !config.init_scale_v.is_nan())) {
        let text = serde_json::to_string(&config).unwrap();
        prop_assert_eq!(serde_json::from_str::<TrialConfig>(&text).unwrap(), config);
    }
}
