//! Small tasks, a recording observer, and the naive network the fast one is held against.

#![expect(dead_code, reason = "each test binary uses its own part")]

pub(crate) mod naive;
pub(crate) mod random;

use std::collections::BTreeMap;

use motif_net::{Examples, ImageShape, NamedTensor, Observer, Outcome, Point, Task, TrialConfig, Values};
use ndarray::{Array2, ArrayView2};

/// Owned examples of a small task: classes are noisy prototypes.
pub(crate) struct Toy {
    pub(crate) train: (Vec<u8>, Vec<u16>),
    pub(crate) test: (Vec<u8>, Vec<u16>),
    pub(crate) features: usize,
    pub(crate) classes: usize,
}

impl Toy {
    pub(crate) fn new(train: usize, test: usize, features: usize, classes: usize) -> Self {
        let mut noise = Noise(42);
        let prototypes: Vec<u64> = (0..classes * features).map(|_| noise.below(200)).collect();
        let mut split = |count: usize| {
            let labels: Vec<u16> = (0..count).map(|example| (example % classes) as u16).collect();
            let values = labels
                .iter()
                .flat_map(|&label| &prototypes[usize::from(label) * features..][..features])
                .map(|&level| (level + noise.below(56)) as u8);
            (values.collect(), labels.clone())
        };
        Self { train: split(train), test: split(test), features, classes }
    }

    pub(crate) fn task(&self) -> Task<'_> {
        Task::new(borrow(&self.train, self.features), borrow(&self.test, self.features), self.classes)
            .and_then(|task| task.with_image(self.image()))
            .expect("a toy task is sound")
    }

    /// One plane, as square as the number of features allows.
    fn image(&self) -> ImageShape {
        let fits = |height: &usize| self.features.is_multiple_of(*height) && height.pow(2) <= self.features;
        let height = (1..=self.features).rfind(fits).expect("1 fits");
        ImageShape { channels: 1, height, width: self.features / height }
    }
}

fn borrow(split: &(Vec<u8>, Vec<u16>), features: usize) -> Examples<'_> {
    Examples { values: Values::U8(&split.0), labels: &split.1, features }
}

/// A linear congruential generator, for tests only.
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// A config for small tasks.
pub(crate) fn small(hidden: &[usize]) -> TrialConfig {
    TrialConfig { hidden: hidden.to_vec(), epochs: 2, batch_size: 16, ..TrialConfig::default() }
}

/// Everything an observer can see.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) points: Vec<Point>,
    pub(crate) batches: Vec<(Array2<f32>, Vec<u16>)>,
    pub(crate) snapshots: BTreeMap<u64, Vec<(String, Array2<f32>)>>,
    pub(crate) finished: Option<(u64, Outcome)>,
    pub(crate) last: Vec<(String, Array2<f32>)>,
    /// Answers no to `proceed` from this step on.
    pub(crate) stop_at: Option<u64>,
}

impl Observer for Recorder {
    fn point(&mut self, point: &Point) {
        self.points.push(point.clone());
    }

    fn wants_snapshot(&mut self, _: u64) -> bool {
        true
    }

    fn snapshot(&mut self, step: u64, tensors: &[NamedTensor<'_>]) {
        self.snapshots.insert(step, own(tensors));
    }

    fn batch(&mut self, step: u64, x: ArrayView2<'_, f32>, y: &[u16]) {
        assert_eq!(step as usize, self.batches.len());
        self.batches.push((x.to_owned(), y.to_vec()));
    }

    fn proceed(&mut self, step: u64) -> bool {
        self.stop_at.is_none_or(|stop| step < stop)
    }

    fn finished(&mut self, step: u64, outcome: Outcome, tensors: &[NamedTensor<'_>]) {
        assert!(self.finished.replace((step, outcome)).is_none(), "finished twice");
        self.last = own(tensors);
    }
}

fn own(tensors: &[NamedTensor<'_>]) -> Vec<(String, Array2<f32>)> {
    tensors.iter().map(|tensor| (tensor.name.to_owned(), tensor.value.to_owned())).collect()
}
