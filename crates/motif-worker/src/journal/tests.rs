//! What is written is found again, whole or up to where it is damaged, by whoever may have it.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use motif_sweep::lifecycle::Policy;
use motif_wire::{
    trials::{Provenance, TrialReport},
    work::{Failure, MetricsReply},
};
use tempfile::TempDir;

use super::*;
use crate::core::{Ending, LoggedPoint, Report};

const SERVER: &str = "http://server:8080";
const ROOM: u64 = 1 << 30;

fn open(dir: &TempDir) -> (Journal, Vec<Recovered>) {
    Journal::open(dir.path(), SERVER, ROOM)
}

fn lease(n: u128) -> Lease {
    Lease {
        attempt_id: Uuid::from_u128(n),
        token: format!("token {n}"),
        trial_id: Uuid::from_u128(n + 100),
        sweep_id: Uuid::from_u128(1),
        attempt: 1,
        config: serde_json::Value::Null,
        seed: 0,
        dataset_hash: String::new(),
        policy: Policy { heartbeat_s: 7, ..Policy::default() },
        snapshots: false,
        judged: false,
        checkpoint: None,
    }
}

fn point(step: u64) -> LoggedPoint {
    let values = [("loss", Some(0.1 + 0.2 * step as f64)), ("tiny", Some(5e-324)), ("none", None)];
    let values = values.map(|(name, value)| (name.to_owned(), value));
    LoggedPoint { step, epoch: step as f64 / 3.0, values: BTreeMap::from(values) }
}

fn report(training_s: f64) -> TrialReport {
    TrialReport {
        diverged_step: None,
        stopped_step: None,
        stopped_epoch: None,
        steps: 9,
        metrics: BTreeMap::from([("test_accuracy".to_owned(), Some(1.0 / 3.0))]),
        result_hash: "ab".repeat(32),
        training_s,
        evaluation_s: Some(0.1 + 0.2),
        diagnostics_s: None,
        spectra_s: None,
        provenance: Provenance {
            version: "0".into(),
            commit: None,
            instruction_set: "none".into(),
            platform: "test".into(),
            host: "here".into(),
            dataset_hash: "d".repeat(64),
            config_hash: "c".repeat(64),
        },
    }
}

fn path(dir: &TempDir, n: u128, ending: &str) -> PathBuf {
    dir.path().join("spool").join(format!("{}{ending}", Uuid::from_u128(n)))
}

fn files(dir: &TempDir) -> usize {
    fs::read_dir(dir.path().join("spool")).unwrap().count()
}

fn stored(journal: &Journal, n: u128, next_seq: u64) {
    let result = Ok(MetricsReply { next_seq, stop: false });
    journal.note(&Input::Stored { attempt: Uuid::from_u128(n), result });
}

/// An attempt that resumed behind 4 points, logged three, saved a checkpoint after the second, and ended.
fn written(journal: &Journal, n: u128, ending: Option<&Ending>) {
    let entry = journal.begin(&lease(n));
    entry.resumed(4);
    entry.point(&point(1));
    entry.point(&point(2));
    entry.checkpoint(2, b"checkpoint\nof any bytes\0");
    entry.point(&point(3));
    if let Some(ending) = ending {
        entry.ended(ending);
    }
}

#[test]
fn what_was_written_is_found_by_the_next_worker_and_gone_once_it_is_delivered() {
    let dir = TempDir::new().unwrap();
    let (journal, found) = open(&dir);
    assert!(found.is_empty());
    let endings = [
        Some(Ending::Trained(Box::new(report(2.0)))),
        Some(Ending::Trained(Box::new(report(0.5)))),
        Some(Ending::Failed(Failure { reason: "oops".into(), retryable: true })),
        Some(Ending::Stopped),
        None,
    ];
    for (n, ending) in (0..).zip(&endings) {
        written(&journal, n, ending.as_ref());
    }
    drop(journal);
    let (journal, mut found) = open(&dir);
    found.sort_by_key(|left| left.key.attempt);
    assert_eq!(found.len(), endings.len());
    for ((n, ending), left) in (0..).zip(&endings).zip(&found) {
        assert_eq!((left.key.attempt, &*left.key.token), (Uuid::from_u128(n), &*format!("token {n}")));
        assert_eq!((left.trial, left.beat_every.as_secs()), (Uuid::from_u128(n + 100), 7));
        for (k, found) in (1..).zip(&left.points) {
            let LoggedPoint { step, epoch, values } = point(k);
            assert_eq!((found.seq, found.step, found.epoch, &found.values), (3 + k, step, epoch, &values));
        }
        assert_eq!(left.points.len(), 3);
        let kept = left.kept.as_ref().unwrap();
        assert_eq!((kept.0, kept.1, &*kept.2), (2, 6, &b"checkpoint\nof any bytes\0"[..]));
        match (ending, &left.report) {
            (Some(Ending::Trained(report)), Some(Report::Complete(found))) => assert_eq!(report, found),
            (Some(Ending::Failed(failure)), Some(Report::Fail(found))) => assert_eq!(failure, found),
            (Some(Ending::Stopped), Some(Report::Release(_))) | (None, None) => {}
            (ending, found) => panic!("{ending:?} became {found:?}"),
        }
    }
    journal.retain(|attempt| attempt == Uuid::from_u128(4));
    assert_eq!(files(&dir), 2, "one attempt is left, with its checkpoint");
    journal.retain(|_| false);
    assert_eq!(files(&dir), 0);
    assert_eq!(journal.shared.bytes.load(Ordering::Relaxed), 0, "every byte was given back");
}

#[test]
fn nobody_takes_what_a_living_worker_holds_or_what_is_for_another_server() {
    let dir = TempDir::new().unwrap();
    let (first, _) = open(&dir);
    written(&first, 1, None);
    let (second, found) = open(&dir);
    assert!(found.is_empty(), "its worker lives");
    written(&second, 2, None);
    second.retain(|_| false);
    assert!(path(&dir, 1, ".spool").exists() && path(&dir, 1, ".checkpoint").exists());
    drop(first);
    let (third, found) = Journal::open(dir.path(), "http://elsewhere", ROOM);
    assert!(found.is_empty(), "a lease of one server is not shown to another");
    drop(third);
    let (_fourth, found) = open(&dir);
    assert_eq!(found.len(), 1);
}

#[test]
fn tokens_are_for_their_owner_alone() {
    let dir = TempDir::new().unwrap();
    let (journal, _) = open(&dir);
    written(&journal, 1, None);
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path(&dir, 1, ".spool")), 0o600);
    assert_eq!(mode(path(&dir, 1, ".checkpoint")), 0o600);
    assert_eq!(mode(dir.path().join("spool")), 0o700);
}

#[test]
fn a_file_that_was_cut_off_or_changed_gives_what_stands_before_and_no_more() {
    let dir = TempDir::new().unwrap();
    let (journal, _) = open(&dir);
    written(&journal, 1, Some(&Ending::Trained(Box::new(report(0.5)))));
    drop(journal);
    let (log, checkpoint) = (path(&dir, 1, ".spool"), path(&dir, 1, ".checkpoint"));
    let (whole, saved) = (fs::read(&log).unwrap(), fs::read(&checkpoint).unwrap());
    let lines: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] == b'\n').collect();
    assert_eq!(lines.len(), 5);
    let check = |bytes: &[u8], sound: usize| {
        fs::write(&log, bytes).unwrap();
        fs::write(&checkpoint, &saved).unwrap();
        let (_journal, found) = open(&dir);
        if sound == 0 {
            assert!(found.is_empty());
            assert_eq!(files(&dir), 0, "what nobody can use is deleted");
            return;
        }
        assert_eq!(found[0].points.len(), (sound - 1).min(3), "{sound} lines are sound");
        assert_eq!(found[0].report.is_some(), sound == 5);
        let core = &mut crate::core::Core::new(1, Default::default(), 0);
        core.recover(found[0].clone(), Default::default());
        assert_eq!(core.check(), Ok(()));
    };
    for length in 0..whole.len() {
        check(&whole[..length], lines.iter().filter(|end| **end < length).count());
    }
    for at in (0..whole.len()).step_by(7) {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        check(&changed, lines.iter().filter(|end| **end < at).count());
    }
    for at in (0..saved.len()).step_by(5) {
        let mut changed = saved.clone();
        changed[at] ^= 1;
        fs::write(&log, &whole).unwrap();
        for damaged in [&changed[..], &saved[..at]] {
            fs::write(&checkpoint, damaged).unwrap();
            let (_journal, found) = open(&dir);
            assert_eq!((found[0].points.len(), &found[0].kept), (3, &None), "{at}");
            assert!(!checkpoint.exists());
        }
    }
}

#[test]
fn acknowledged_points_do_not_pile_up_and_the_ending_stays() {
    let dir = TempDir::new().unwrap();
    let (journal, _) = open(&dir);
    let entry = journal.begin(&lease(1));
    let log = path(&dir, 1, ".spool");
    let mut longest = 0;
    for n in 0..20_000 {
        entry.point(&point(n));
        // The newest three are always under way.
        stored(&journal, 1, n.saturating_sub(2));
        longest = longest.max(fs::metadata(&log).unwrap().len());
    }
    assert!((256 << 10..300 << 10).contains(&longest), "{longest} bytes");
    for n in 20_000..24_000 {
        entry.point(&point(n));
    }
    entry.ended(&Ending::Trained(Box::new(report(0.5))));
    stored(&journal, 1, 23_999);
    let check = |points: usize| {
        let bytes = fs::read(&log).unwrap();
        assert_eq!(journal.shared.bytes.load(Ordering::Relaxed), bytes.len() as u64);
        let copy = TempDir::new().unwrap();
        fs::create_dir(copy.path().join("spool")).unwrap();
        fs::write(path(&copy, 1, ".spool"), bytes).unwrap();
        let (_journal, found) = open(&copy);
        assert_eq!((found[0].points.len(), found[0].report.is_some()), (points, true));
        assert!(found[0].points.last().is_none_or(|point| point.seq == 23_999));
    };
    check(1);
    stored(&journal, 1, 24_000);
    check(1);
    drop(journal);
    drop(entry);
    let (journal, found) = open(&dir);
    assert_eq!(found.len(), 1);
    stored(&journal, 1, 24_000);
    assert!(log.exists(), "until the report is acknowledged");
}

#[test]
fn a_checkpoint_takes_the_place_of_the_one_before_until_the_server_has_it() {
    let dir = TempDir::new().unwrap();
    let (journal, _) = open(&dir);
    let entry = journal.begin(&lease(1));
    let file = path(&dir, 1, ".checkpoint");
    let saved = |step| {
        let transient = Input::Saved {
            attempt: Uuid::from_u128(1),
            step,
            result: Err(CallError::Transient("away".into())),
        };
        journal.note(&transient);
        assert!(file.exists());
        journal.note(&Input::Saved { attempt: Uuid::from_u128(1), step, result: Err(CallError::Stale) });
    };
    entry.checkpoint(1, &[1; 4000]);
    entry.checkpoint(2, &[2; 3000]);
    assert!((3000..3500).contains(&fs::metadata(&file).unwrap().len()));
    saved(1);
    assert!(file.exists(), "the newer one is not meant");
    saved(2);
    assert!(!file.exists());
    entry.checkpoint(3, &[3; 10]);
    journal.retain(|_| false);
    entry.checkpoint(4, &[4; 10]);
    entry.point(&point(4));
    entry.ended(&Ending::Stopped);
    assert_eq!(files(&dir), 0, "nothing is written for what is over");
    assert_eq!(journal.shared.bytes.load(Ordering::Relaxed), 0);
}

#[test]
fn what_does_not_fit_is_not_kept_in_part_and_harms_nothing() {
    let dir = TempDir::new().unwrap();
    let (journal, _) = Journal::open(dir.path(), SERVER, 2000);
    let entry = journal.begin(&lease(1));
    entry.point(&point(1));
    entry.checkpoint(1, &[0; 4000]);
    assert_eq!(files(&dir), 1, "the checkpoint alone is too large");
    assert!(journal.shared.warned.load(Ordering::Relaxed));
    for step in 2..100 {
        entry.point(&point(step));
    }
    entry.ended(&Ending::Trained(Box::new(report(2.0))));
    assert_eq!(files(&dir), 0, "points with a gap are of no use");
    assert_eq!(journal.shared.bytes.load(Ordering::Relaxed), 0);
    let next = journal.begin(&lease(2));
    next.ended(&Ending::Failed(Failure { reason: "oops".into(), retryable: true }));
    assert_eq!(files(&dir), 1, "another attempt has room again");
    assert!(!journal.shared.warned.load(Ordering::Relaxed), "the next failure is worth a word again");
}

#[test]
fn without_a_folder_the_worker_does_without() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("spool"), "a file").unwrap();
    let (journal, found) = open(&dir);
    assert!(found.is_empty());
    written(&journal, 1, Some(&Ending::Stopped));
    stored(&journal, 1, 7);
    journal.retain(|_| false);
    assert_eq!(fs::read(dir.path().join("spool")).unwrap(), b"a file");
}

#[test]
fn what_nobody_can_use_is_cleared_away() {
    let dir = TempDir::new().unwrap();
    let (journal, _) = open(&dir);
    written(&journal, 1, None);
    fs::write(path(&dir, 2, ".checkpoint"), "its log is gone").unwrap();
    let hidden = dir.path().join("spool").join(format!(".{}.spool", Uuid::from_u128(3)));
    fs::write(&hidden, "its maker died").unwrap();
    fs::write(dir.path().join("spool/notes.txt"), "somebody's own").unwrap();
    let (_second, found) = open(&dir);
    assert!(found.is_empty());
    assert!(!path(&dir, 2, ".checkpoint").exists() && !hidden.exists());
    assert_eq!(files(&dir), 3, "what lives and what is not ours stays");
}
