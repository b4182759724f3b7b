//! An end of the process at a chosen commit, so that tests see what it leaves on the disk. Release builds have none of
//! it.
//!
//! `MOTIF_ABORT=before_commit:7` in the environment ends the process right before its seventh commit, those of
//! migrations included; `after_commit:7` right after the seventh group of commands that was committed, before anybody is
//! answered.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

use sqlx::SqliteConnection;

use crate::Result;

/// Names the commit.
const VARIABLE: &str = "MOTIF_ABORT";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Before,
    After,
}

struct Failpoint {
    moment: Moment,
    /// Commits until the end.
    left: AtomicU64,
}

fn parse(text: &str) -> Option<Failpoint> {
    let (moment, number) = text.split_once(':')?;
    let moment = match moment {
        "before_commit" => Moment::Before,
        "after_commit" => Moment::After,
        _ => return None,
    };
    Some(Failpoint { moment, left: AtomicU64::new(number.parse().ok().filter(|number| *number > 0)?) })
}

/// The one of this process, if it has one at this moment.
fn found(moment: Moment) -> Option<&'static Failpoint> {
    static FOUND: OnceLock<Option<Failpoint>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let text = std::env::var(VARIABLE).ok()?;
        let found = parse(&text);
        if found.is_none() {
            tracing::error!(
                text,
                "{VARIABLE} is not before_commit:N or after_commit:N, N at least 1: ignored"
            );
        }
        found
    });
    found.as_ref().filter(|found| found.moment == moment)
}

impl Failpoint {
    fn pass(&self) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            std::process::abort();
        }
    }
}

/// Counts a connection's commits.
pub(super) async fn watch(conn: &mut SqliteConnection) -> Result<()> {
    if let Some(found) = found(Moment::Before) {
        conn.lock_handle().await?.set_commit_hook(|| {
            found.pass();
            true
        });
    }
    Ok(())
}

/// A group of commands is committed.
pub(super) fn committed() {
    if let Some(found) = found(Moment::After) {
        found.pass();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_moment_and_a_number_are_understood() {
        let read = |text| parse(text).map(|found| (found.moment, found.left.into_inner()));
        assert_eq!(read("before_commit:7"), Some((Moment::Before, 7)));
        assert_eq!(read("after_commit:1"), Some((Moment::After, 1)));
        for wrong in ["", "7", "before_commit", "before_commit:", "before_commit:0", "during_commit:7"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
