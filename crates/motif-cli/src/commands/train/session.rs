//! Trains a trial to its end, or leaves it so that it can be taken up again. It knows no dataset and prints nothing.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use motif_net::{
    CheckpointError, Outcome, ResumeError, SpareThreads, Task, TrainError, Trainer, TrialConfig, TrialResult,
};
use motif_sweep::clock::Clock;
use motif_worker::{Costs, IdleSlots};
use tokio_util::sync::CancellationToken;

use super::{
    checkpoint::{self, Found, Standing},
    recorder::Recorder,
};
use crate::{args::Train, input::WrongInput};

/// How a run ended.
pub(super) enum Ended {
    /// The trial is over.
    Trained { result: TrialResult, training: Duration, costs: Costs },
    /// It was told to stop.
    Left {
        step: u64,
        /// Whether the run's folder has a checkpoint of that step.
        kept: bool,
    },
}

/// Trains from the start or, with `--resume`, from the checkpoint, until the trial ends or `stop` is cancelled.
pub(super) fn run(
    args: &Train,
    config: &TrialConfig,
    task: &Task<'_>,
    clock: &dyn Clock,
    stop: &CancellationToken,
) -> anyhow::Result<Ended> {
    let (trainer, standing) = trainer(args, config, task)?;
    let mut trainer = trainer.helped_by(helpers(args)?);
    let mut recorder = Recorder::new(args, &trainer, standing.as_ref(), clock, stop)?;
    let begun = clock.monotonic();
    let before = standing.map_or(Duration::ZERO, |standing| standing.training);
    let training = || before + clock.monotonic().saturating_sub(begun);

    trainer.start(&mut recorder);
    let outcome = loop {
        if let Some(outcome) = trainer.step(&mut recorder) {
            break outcome;
        }
        if args.checkpoint_every.is_some_and(|every| trainer.steps().is_multiple_of(every)) {
            keep(args, &trainer, &mut recorder, training())?;
        }
    };
    if let Outcome::Stopped { step } = outcome {
        recorder.check()?;
        let kept = keep(args, &trainer, &mut recorder, training())?;
        recorder.finish()?;
        return Ok(Ended::Left { step, kept });
    }
    let result = trainer.finish(outcome, &mut recorder);
    Ok(Ended::Trained { result, training: training(), costs: recorder.finish()? })
}

/// The machine's cores, or as many threads as were asked for.
fn helpers(args: &Train) -> anyhow::Result<Arc<dyn SpareThreads>> {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    match args.threads.map_or_else(cores, usize::from) {
        1 => Ok(Arc::new(())),
        threads => Ok(Arc::new(IdleSlots::new(threads).context("cannot start threads")?)),
    }
}

fn trainer<'a>(
    args: &Train,
    config: &TrialConfig,
    task: &Task<'a>,
) -> anyhow::Result<(Trainer<'a>, Option<Standing>)> {
    let Some(dir) = args.out.as_deref().filter(|_| args.resume) else {
        return Ok((Trainer::new(config, args.seed, task).map_err(|error| wrong(&error))?, None));
    };
    let found = Found::read(dir)?;
    let trainer = match Trainer::resume(config, args.seed, task, found.engine()) {
        Ok(trainer) => trainer,
        Err(ResumeError::Trial(error)) => return Err(wrong(&error)),
        // The folder, the trial or the seed is not the one that was meant.
        Err(ResumeError::Checkpoint(error @ CheckpointError::Mismatch { .. })) => {
            return Err(WrongInput(format!("--resume {}: {error}", found.path().display())).into());
        }
        Err(ResumeError::Checkpoint(error)) => {
            return Err(error).with_context(|| format!("cannot resume {}", found.path().display()));
        }
    };
    Ok((trainer, Some(found.standing()?)))
}

fn wrong(error: &TrainError) -> anyhow::Error {
    WrongInput(error.to_string()).into()
}

/// Writes a checkpoint, unless there is no folder or the trace is not complete; returns whether it did.
fn keep(
    args: &Train,
    trainer: &Trainer<'_>,
    recorder: &mut Recorder<'_>,
    training: Duration,
) -> anyhow::Result<bool> {
    let Some(dir) = args.out.as_deref().filter(|_| !recorder.is_tracing()) else { return Ok(false) };
    recorder.check()?;
    // What was shown before the checkpoint must be on the disk before it.
    let standing = Standing { metrics_bytes: recorder.sync()?, training, costs: recorder.costs() };
    checkpoint::write(dir, trainer.checkpoint(), &standing)?;
    Ok(true)
}

/// The command that takes up a run that was left.
pub(super) fn how_to_go_on(args: &Train, dir: &Path) -> String {
    format!("motif train {} --seed {} --out {} --resume", args.trial, args.seed, dir.display())
}
