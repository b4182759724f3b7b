//! Whether a trial fits into memory; if not, which setting is to blame and up to where it would fit.

use bytesize::ByteSize;
use motif_net::TaskSize;
use motif_net::TrialConfig;
pub use motif_net::validate::MAX_TRIAL_BYTES;
use serde_json::Value;

/// Ratios are tried in steps of one over this.
const RATIO_STEPS: f64 = 100.0;

/// A trial that does not fit.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{}", self.text())]
pub struct TooLarge {
    /// The memory it would need, as [`TrialConfig::memory_bytes`] estimates it.
    pub bytes: u64,
    /// What there is for it.
    pub most_bytes: u64,
    /// The setting that makes it so large.
    pub widest: Setting,
    /// What would fit, in words, when all else stays; absent when nothing would.
    pub fitting: Option<String>,
}

impl TooLarge {
    fn text(&self) -> String {
        let Self { bytes, most_bytes, fitting, .. } = self;
        let mut text = format!(
            "the trial would need about {} of memory beside its examples ({bytes} bytes), expected at most {} ({most_bytes} \
             bytes)",
            human(*bytes),
            human(*most_bytes),
        );
        match fitting {
            Some(fitting) => {
                text.push_str(&format!("; with the other settings as they are, {fitting} would fit"));
            }
            None => text.push_str("; it would not fit whatever the value here is: change others, too"),
        }
        text
    }
}

/// A number of bytes for people, `1.5 GiB`.
#[must_use]
pub fn human(bytes: u64) -> String {
    ByteSize(bytes).display().iec().to_string()
}

/// Checks that a trial of this config fits into so many bytes beside its examples.
///
/// # Errors
/// [`TooLarge`] when it does not.
pub fn check(config: &TrialConfig, task: &TaskSize, most_bytes: u64) -> Result<(), TooLarge> {
    let bytes = config.memory_bytes(task);
    if bytes <= most_bytes {
        return Ok(());
    }
    let setting = Setting::widest(config, task);
    let fits = |units| setting.cut(config, units).memory_bytes(task) <= most_bytes;
    let fitting = largest(setting.units(config), fits).map(|units| setting.words(units));
    Err(TooLarge { bytes, most_bytes, widest: setting, fitting })
}

/// The largest number below `beyond` that fits; numbers beyond one that does not fit do not either.
fn largest(beyond: usize, fits: impl Fn(usize) -> bool) -> Option<usize> {
    let (mut fitting, mut beyond) = (1, beyond);
    if beyond <= 1 || !fits(1) {
        return None;
    }
    while beyond - fitting > 1 {
        let middle = fitting + (beyond - fitting) / 2;
        if fits(middle) { fitting = middle } else { beyond = middle }
    }
    Some(fitting)
}

/// A setting that memory grows with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// The hidden layers' widths.
    Hidden,
    /// Downstream width over upstream width.
    Ratio,
    /// Examples per minibatch.
    BatchSize,
}

impl Setting {
    /// The one that would save most at its default.
    fn widest(config: &TrialConfig, task: &TaskSize) -> Self {
        let usual = TrialConfig::default();
        let at_default = |setting: Self| setting.cut(config, setting.units(&usual)).memory_bytes(task);
        let all = [Self::Hidden, Self::Ratio, Self::BatchSize];
        all.into_iter().min_by_key(|&setting| at_default(setting)).unwrap_or(Self::Hidden)
    }

    /// Its key in a config.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Hidden => "hidden",
            Self::Ratio => "ratio",
            Self::BatchSize => "batch_size",
        }
    }

    /// Its value.
    #[must_use]
    pub fn value(self, config: &TrialConfig) -> Value {
        match self {
            Self::Hidden => Value::from(config.hidden.clone()),
            Self::Ratio => Value::from(config.ratio),
            Self::BatchSize => Value::from(config.batch_size),
        }
    }

    /// How large it is: units of the widest layer, steps of the ratio, examples.
    fn units(self, config: &TrialConfig) -> usize {
        match self {
            Self::Hidden => config.hidden.iter().copied().max().unwrap_or(0),
            Self::Ratio => (config.ratio * RATIO_STEPS).ceil() as usize,
            Self::BatchSize => config.batch_size,
        }
    }

    /// The config with this setting at most so large.
    fn cut(self, config: &TrialConfig, units: usize) -> TrialConfig {
        let mut config = config.clone();
        match self {
            Self::Hidden => config.hidden.iter_mut().for_each(|width| *width = (*width).min(units)),
            Self::Ratio => config.ratio = config.ratio.min(units as f64 / RATIO_STEPS),
            Self::BatchSize => config.batch_size = config.batch_size.min(units),
        }
        config
    }

    fn words(self, units: usize) -> String {
        match self {
            Self::Hidden => format!("widths of at most {units}"),
            Self::Ratio => format!("a ratio of at most {}", units as f64 / RATIO_STEPS),
            Self::BatchSize => format!("a batch size of at most {units}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: TaskSize =
        TaskSize { train_examples: 60_000, test_examples: 10_000, features: 784, classes: 10, image: None };

    fn config(width: usize, ratio: f64, batch_size: usize) -> TrialConfig {
        TrialConfig { hidden: vec![width, 100], ratio, batch_size, ..TrialConfig::default() }
    }

    #[test]
    fn the_widest_setting_is_named_and_what_is_said_to_fit_does_and_one_more_does_not() {
        let mib = |number: u64| number << 20;
        for (config, most_bytes, key) in [
            (config(9_000, 2.0, 64), mib(500), "hidden"),
            (config(400, 60.0, 64), mib(100), "ratio"),
            (config(400, 2.0, 50_000), mib(200), "batch_size"),
        ] {
            let error = check(&config, &TASK, most_bytes).unwrap_err();
            assert_eq!((error.widest.key(), error.bytes), (key, config.memory_bytes(&TASK)), "{error}");
            let fitting = error.fitting.as_deref().unwrap();
            let most: f64 = fitting.split(' ').next_back().unwrap().parse().unwrap();
            let set = |value: f64| match key {
                "hidden" => TrialConfig { hidden: vec![value as usize, 100], ..config.clone() },
                "ratio" => TrialConfig { ratio: value, ..config.clone() },
                _ => TrialConfig { batch_size: value as usize, ..config.clone() },
            };
            let step = if key == "ratio" { 0.01 } else { 1.0 };
            assert_eq!(check(&set(most), &TASK, most_bytes), Ok(()), "{fitting}");
            assert!(check(&set(most + step), &TASK, most_bytes).is_err(), "{fitting}");
        }
    }

    #[test]
    fn the_text_has_both_numbers_in_bytes_and_for_people() {
        let config = config(16_384, 100.0, 64);
        let error = check(&config, &TASK, 1 << 30).unwrap_err();
        let text = error.to_string();
        for part in [error.bytes.to_string(), human(error.bytes), "1073741824 bytes".into(), "1.0 GiB".into()]
        {
            assert!(text.contains(&part), "no {part:?} in {text:?}");
        }
        let nothing = check(&config, &TASK, 1).unwrap_err();
        assert_eq!(nothing.fitting, None);
        assert!(nothing.to_string().contains("change others"), "{nothing}");
    }
}
