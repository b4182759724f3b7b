//! The examples a trial trains and tests on, borrowed from whoever loaded them.
//!
//! Nothing here knows where examples come from, nor how a network reads them.

use thiserror::Error;

/// Most examples in one split.
pub const MAX_EXAMPLES: usize = 1 << 30;
/// Most features of one example.
pub const MAX_FEATURES: usize = 1 << 20;
/// Most classes of a task.
pub const MAX_CLASSES: usize = 16_384;

/// The examples' values, row-major `n × features`.
#[derive(Debug, Clone, Copy)]
pub enum Values<'a> {
    /// Bytes, read as `value / 255`.
    U8(&'a [u8]),
    /// Numbers, read as they are.
    F32(&'a [f32]),
}

impl Values<'_> {
    /// Number of values.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::U8(values) => values.len(),
            Self::F32(values) => values.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One split: `n` examples and their labels.
#[derive(Debug, Clone, Copy)]
pub struct Examples<'a> {
    /// Row-major `n × features`.
    pub values: Values<'a>,
    /// `n` class numbers from 0.
    pub labels: &'a [u16],
    /// Values per example.
    pub features: usize,
}

impl Examples<'_> {
    /// Number of examples.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}

/// How an example's values are an image: channel planes one after the other, each row by row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageShape {
    /// Planes.
    pub channels: usize,
    /// Rows of a plane.
    pub height: usize,
    /// Columns of a plane.
    pub width: usize,
}

/// A classification task: what a trial needs of a dataset.
#[derive(Debug, Clone, Copy)]
pub struct Task<'a> {
    /// Examples to learn from.
    pub train: Examples<'a>,
    /// Examples to measure on.
    pub test: Examples<'a>,
    /// Number of classes, the output's width `n_L`.
    pub classes: usize,
    /// What the examples are images of, if they are.
    pub image: Option<ImageShape>,
}

/// What a config can ask too much of, and what a trial's memory depends on beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskSize {
    /// Examples to learn from.
    pub train_examples: usize,
    /// Examples to measure on.
    pub test_examples: usize,
    /// Values per example.
    pub features: usize,
    /// Number of classes.
    pub classes: usize,
    /// What the examples are images of, if they are.
    pub image: Option<ImageShape>,
}

/// Why examples do not make a task.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TaskError {
    /// A split has no example, or more than [`MAX_EXAMPLES`].
    #[error("the {split} split has {examples} examples, expected 1 to {MAX_EXAMPLES}")]
    ExampleCount {
        /// `train` or `test`.
        split: &'static str,
        /// What it has.
        examples: usize,
    },
    /// An example has no value, or more than [`MAX_FEATURES`].
    #[error("the {split} split has {features} features, expected 1 to {MAX_FEATURES}")]
    FeatureCount {
        /// `train` or `test`.
        split: &'static str,
        /// What it has.
        features: usize,
    },
    /// The number of values is not examples × features.
    #[error("the {split} split has {values} values, expected {examples} examples of {features} features")]
    ValueCount {
        /// `train` or `test`.
        split: &'static str,
        /// Values.
        values: usize,
        /// Labels.
        examples: usize,
        /// Values per example.
        features: usize,
    },
    /// The splits' examples differ in their number of features.
    #[error("the test split has {test} features, expected the train split's {train}")]
    FeatureMismatch {
        /// In the train split.
        train: usize,
        /// In the test split.
        test: usize,
    },
    /// An image of the shape given has another number of values than an example.
    #[error(
        "an image of {} × {} × {} values (channels, height, width), expected a shape of the examples' {features} values",
        .image.channels, .image.height, .image.width
    )]
    ImageSize {
        /// The shape.
        image: ImageShape,
        /// Values per example.
        features: usize,
    },
    /// There are fewer than two classes, or more than [`MAX_CLASSES`].
    #[error("the task has {classes} classes, expected 2 to {MAX_CLASSES}")]
    ClassCount {
        /// What was given.
        classes: usize,
    },
    /// A label is not below the number of classes.
    #[error("label {label} of {split} example {example}, expected one below {classes}")]
    Label {
        /// `train` or `test`.
        split: &'static str,
        /// Its position.
        example: usize,
        /// The label.
        label: u16,
        /// The bound.
        classes: usize,
    },
    /// A value is infinite or not a number.
    #[error("feature {feature} of {split} example {example} is not finite")]
    NotFinite {
        /// `train` or `test`.
        split: &'static str,
        /// Position of the example.
        example: usize,
        /// Position of the value in it.
        feature: usize,
    },
}

impl<'a> Task<'a> {
    /// Checks that the examples make a task of `classes` classes. They are not taken for images.
    ///
    /// # Errors
    /// A [`TaskError`] that names the split and what would be right.
    pub fn new(train: Examples<'a>, test: Examples<'a>, classes: usize) -> Result<Self, TaskError> {
        if !(2..=MAX_CLASSES).contains(&classes) {
            return Err(TaskError::ClassCount { classes });
        }
        check_split("train", &train, classes)?;
        check_split("test", &test, classes)?;
        if train.features != test.features {
            return Err(TaskError::FeatureMismatch { train: train.features, test: test.features });
        }
        Ok(Self { train, test, classes, image: None })
    }

    /// The task with its examples taken for images.
    ///
    /// # Errors
    /// [`TaskError::ImageSize`] when the shape is not of the examples' number of values.
    pub fn with_image(self, image: ImageShape) -> Result<Self, TaskError> {
        let features = self.train.features;
        let plane = image.height.checked_mul(image.width);
        match plane.and_then(|plane| plane.checked_mul(image.channels)) {
            Some(values) if values == features => Ok(Self { image: Some(image), ..self }),
            _ => Err(TaskError::ImageSize { image, features }),
        }
    }

    /// Checks a task that may have been put together by hand.
    pub(crate) fn check(&self) -> Result<(), TaskError> {
        let task = Self::new(self.train, self.test, self.classes)?;
        self.image.map_or(Ok(task), |image| task.with_image(image)).map(|_| ())
    }

    /// Its dimensions.
    #[must_use]
    pub const fn size(&self) -> TaskSize {
        TaskSize {
            train_examples: self.train.len(),
            test_examples: self.test.len(),
            features: self.train.features,
            classes: self.classes,
            image: self.image,
        }
    }
}

fn check_split(split: &'static str, examples: &Examples<'_>, classes: usize) -> Result<(), TaskError> {
    let (count, features) = (examples.len(), examples.features);
    if !(1..=MAX_EXAMPLES).contains(&count) {
        return Err(TaskError::ExampleCount { split, examples: count });
    }
    if !(1..=MAX_FEATURES).contains(&features) {
        return Err(TaskError::FeatureCount { split, features });
    }
    if examples.values.len() != count * features {
        return Err(TaskError::ValueCount {
            split,
            values: examples.values.len(),
            examples: count,
            features,
        });
    }
    if let Some(example) = examples.labels.iter().position(|&label| usize::from(label) >= classes) {
        return Err(TaskError::Label { split, example, label: examples.labels[example], classes });
    }
    if let Values::F32(values) = examples.values
        && let Some(at) = values.iter().position(|value| !value.is_finite())
    {
        return Err(TaskError::NotFinite { split, example: at / features, feature: at % features });
    }
    Ok(())
}
