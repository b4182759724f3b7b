//! The dashboard's colours on white.

use motif_sweep::lifecycle::TrialState;

/// Of conditions, by index; beyond the last they begin again with another dash.
const SERIES: [&str; 8] =
    ["#0072b2", "#d55e00", "#00805c", "#b0578d", "#857a00", "#3b8fc7", "#5d6670", "#7a4fb5"];
const DASHES: [&str; 4] = ["", "6 3", "2 3", "8 3 2 3"];

pub(super) const TEXT: &str = "#1a1f26";
pub(super) const MUTED: &str = "#57606b";
pub(super) const LINE: &str = "#e2e6ea";
pub(super) const LINE_STRONG: &str = "#b9c1ca";

pub(super) const fn colour(condition: u32) -> &'static str {
    SERIES[condition as usize % SERIES.len()]
}

pub(super) const fn dash(condition: u32) -> &'static str {
    DASHES[condition as usize / SERIES.len() % DASHES.len()]
}

/// A state's name for people, its letter, its ground and its ink.
pub(super) const fn look(state: TrialState) -> (&'static str, &'static str, &'static str, &'static str) {
    match state {
        TrialState::Succeeded => ("succeeded", "S", "#007a58", "#ffffff"),
        TrialState::Diverged => ("diverged", "D", "#96437a", "#ffffff"),
        TrialState::Failed => ("failed", "F", "#bf4300", "#ffffff"),
        TrialState::Dead => ("dead", "X", "#3a3f46", "#ffffff"),
        TrialState::Stopped => ("stopped early", "E", "#7a6a00", "#ffffff"),
        TrialState::Cancelled => ("cancelled", "C", "#a9b1ba", "#15191e"),
        TrialState::Leased => ("running", "R", "#0a6cb0", "#ffffff"),
        TrialState::Queued => ("queued", "Q", "#dce1e6", "#2c333b"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_those_of_the_dashboard() {
        let css = include_str!("../../../../../web/src/app.css");
        let light = |name: &str, colour: &str| css.contains(&format!("--{name}: light-dark({colour},"));
        for (index, colour) in SERIES.iter().enumerate() {
            assert!(light(&format!("c{index}"), colour), "c{index} {colour}");
        }
        for (name, colour) in [("text", TEXT), ("muted", MUTED), ("line", LINE), ("line-strong", LINE_STRONG)]
        {
            assert!(light(name, colour), "{name} {colour}");
        }
        for state in TrialState::ALL {
            let (_, _, ground, ink) = look(state);
            let name = state.name();
            assert!(light(&format!("s-{name}"), ground) && light(&format!("s-{name}-ink"), ink), "{name}");
        }
    }
}
