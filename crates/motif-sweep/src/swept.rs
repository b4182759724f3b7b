//! Which keys a sweep varies together, for whoever analyses its results. It knows no values.

use crate::{sample, spec::SweepSpec};

/// How a group of keys varies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SweptKind {
    /// An axis, crossed with everything else.
    Axis,
    /// Keys whose lists vary together, row by row.
    Zip,
    /// A sampled key: crossed with axes and zips, but not with the other sampled keys.
    Sample,
}

/// Keys that vary together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swept {
    /// How.
    pub kind: SweptKind,
    /// The dotted keys; one but for a zip.
    pub keys: Vec<String>,
}

impl SweepSpec {
    /// What the crossed conditions differ in, in the order of the product.
    #[must_use]
    pub fn swept(&self) -> Vec<Swept> {
        let one = |kind, key: &String| Swept { kind, keys: vec![key.clone()] };
        let axes = self.axes.keys().map(|key| one(SweptKind::Axis, key));
        let zips =
            self.zip.iter().map(|zip| Swept { kind: SweptKind::Zip, keys: zip.keys().cloned().collect() });
        let sampled = sample::sampled_keys(&self.sample).map(|key| one(SweptKind::Sample, key));
        axes.chain(zips).chain(sampled).collect()
    }
}
