//! Arguments of the commands that steer a sweep after its submission.

use clap::Args;

use super::SweepId;

#[derive(Debug, Args)]
pub(crate) struct Amend {
    #[command(flatten)]
    pub(crate) sweep: SweepId,
    /// What is added, in TOML or JSON; `-` reads stdin. Lists replace the old ones and so repeat their values; `[[arms]]` are
    /// appended.
    #[arg(value_name = "AMENDMENT.toml", required_unless_present = "seeds")]
    pub(crate) amendment: Option<String>,
    /// As many seeds as this, or these seeds beside those that are there.
    #[arg(long, value_name = "N|5,6,7", value_parser = Seeds::parse)]
    pub(crate) seeds: Option<Seeds>,
    /// Why, for the log of amendments.
    #[arg(long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
    /// Amending again with the same key adds nothing more.
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
}

/// What `--seeds` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seeds {
    /// So many.
    Count(u64),
    /// These.
    These(Vec<u64>),
}

impl Seeds {
    /// `7`, or `5,6,7`; one seed is written `5,`.
    fn parse(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            text.trim().parse().map_err(|_| {
                format!("{text:?} is no seed: expected a number of seeds, or seeds with commas between them")
            })
        };
        if !text.contains(',') {
            return number(text).map(Self::Count);
        }
        let parts = text.split(',').filter(|part| !part.trim().is_empty());
        let seeds = parts.map(number).collect::<Result<Vec<u64>, _>>()?;
        if seeds.is_empty() { Err("expected a seed".to_owned()) } else { Ok(Self::These(seeds)) }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Priority {
    #[command(flatten)]
    pub(crate) sweep: SweepId,
    /// From -1000 to 1000; sweeps begin with 0 unless their spec says otherwise.
    #[arg(value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-1000..=1000))]
    pub(crate) priority: i32,
}

#[derive(Debug, Args)]
pub(crate) struct Holes {
    #[command(flatten)]
    pub(crate) sweep: SweepId,
    /// Queue exactly these.
    #[arg(long)]
    pub(crate) run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) sweep: SweepId,
    /// The share of the trials that have a result, above 0 and at most 1; at least one is run again.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) share: f64,
    /// Fixes which trials are chosen.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Wait until they have ended, then print what does not agree; exit status 1 when anything does not.
    #[arg(long)]
    pub(crate) wait: bool,
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| *share > 0.0 && *share <= 1.0);
    share.ok_or_else(|| "expected a number above 0 and at most 1: 0.1 is a tenth of the trials".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_a_number_of_them_or_a_list() {
        assert_eq!(Seeds::parse("7"), Ok(Seeds::Count(7)));
        assert_eq!(Seeds::parse("5, 6,7"), Ok(Seeds::These(vec![5, 6, 7])));
        assert_eq!(Seeds::parse("5,"), Ok(Seeds::These(vec![5])));
        for wrong in ["", "x", "5,x", ",", "-1", "1.5"] {
            assert!(Seeds::parse(wrong).is_err(), "{wrong}");
        }
        assert!(share("0").is_err() && share("1.1").is_err() && share("NaN").is_err() && share("1").is_ok());
    }
}
