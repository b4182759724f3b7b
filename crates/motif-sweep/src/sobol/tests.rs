use serde_json::Value;

use super::*;

/// scipy's points; `tests/golden/make_sobol.py` made them.
const GOLDEN: &str = include_str!("../../tests/golden/sobol.json");

#[test]
fn points_are_scipys() {
    let golden: Value = serde_json::from_str(GOLDEN).unwrap();
    let shift = BITS as u64 - golden["bits"].as_u64().unwrap();
    let indices = golden["indices"].as_array().unwrap();
    let mut compared = 0;
    for (index, point) in indices.iter().zip(golden["points"].as_array().unwrap()) {
        let index = u32::try_from(index.as_u64().unwrap()).unwrap();
        for (dimension, expected) in point.as_array().unwrap().iter().enumerate() {
            let found = Directions::of(dimension).unwrap().at(index) >> shift;
            assert_eq!(u64::from(found), expected.as_u64().unwrap(), "point {index}, dimension {dimension}");
            compared += 1;
        }
    }
    assert_eq!(compared, indices.len() * DIMENSIONS_MAX);
    assert!(Directions::of(DIMENSIONS_MAX).is_none());
}

#[test]
fn each_dimension_fills_every_interval_once() {
    for dimension in 0..DIMENSIONS_MAX {
        let directions = Directions::of(dimension).unwrap();
        let mut cells: Vec<u32> = (0..256).map(|index| directions.at(index) >> 24).collect();
        cells.sort_unstable();
        assert!(cells.iter().copied().eq(0..256), "{dimension}");
    }
}
