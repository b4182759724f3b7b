//! What a trial spends on looking rather than on learning, by the clock of whoever looks on.

use std::time::Duration;

use motif_net::Phase;

/// Time spent in each phase. It reads no clock: every call takes the time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Costs {
    /// On the test examples.
    pub evaluation: Duration,
    /// On diagnostics.
    pub diagnostics: Duration,
    /// On spectra.
    pub spectra: Duration,
    begun: Duration,
}

impl Costs {
    /// What was spent so far.
    #[must_use]
    pub const fn new(evaluation: Duration, diagnostics: Duration, spectra: Duration) -> Self {
        Self { evaluation, diagnostics, spectra, begun: Duration::ZERO }
    }

    /// A phase begins.
    pub fn begin(&mut self, now: Duration) {
        self.begun = now;
    }

    /// The phase that began last ends.
    pub fn end(&mut self, phase: Phase, now: Duration) {
        let total = match phase {
            Phase::Evaluation => &mut self.evaluation,
            Phase::Diagnostics => &mut self.diagnostics,
            Phase::Spectra => &mut self.spectra,
        };
        *total = total.saturating_add(now.saturating_sub(self.begun));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_phase_has_its_own_sum() {
        let at = Duration::from_secs;
        let mut costs = Costs::default();
        for (begun, phase, ended) in
            [(1, Phase::Evaluation, 3), (4, Phase::Spectra, 9), (10, Phase::Evaluation, 11)]
        {
            costs.begin(at(begun));
            costs.end(phase, at(ended));
        }
        assert_eq!((costs.evaluation, costs.diagnostics, costs.spectra), (at(3), at(0), at(5)));
    }
}
