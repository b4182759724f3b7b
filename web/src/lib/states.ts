// What each state is called, its letter in the ledger, and its CSS colour. Colour never stands alone.
import { TRIAL_STATES, type StateCounts, type SweepState, type TrialState } from './api/types';
import { percent, plural } from './format';

export interface StateLook {
  name: string;
  letter: string;
}

export const TRIAL_LOOKS: Record<TrialState, StateLook> = {
  succeeded: { name: 'succeeded', letter: 'S' },
  diverged: { name: 'diverged', letter: 'D' },
  stopped: { name: 'stopped early', letter: 'E' },
  failed: { name: 'failed', letter: 'F' },
  dead: { name: 'dead', letter: 'X' },
  cancelled: { name: 'cancelled', letter: 'C' },
  leased: { name: 'running', letter: 'R' },
  queued: { name: 'queued', letter: 'Q' },
};

/** States from which a person may send a sweep back to work. */
export const STEER = {
  pause: (state: SweepState) => state === 'queued' || state === 'running',
  resume: (state: SweepState) => state === 'paused',
  cancel: (state: SweepState) => state === 'queued' || state === 'running' || state === 'paused',
  retry: (counts: StateCounts) => counts.failed + counts.dead + counts.cancelled > 0,
};

export function total(counts: StateCounts): number {
  return TRIAL_STATES.reduce((sum, state) => sum + counts[state], 0);
}

export function finished(counts: StateCounts): number {
  return total(counts) - counts.queued - counts.leased;
}

export interface Segment {
  state: TrialState;
  name: string;
  count: number;
  share: number;
}

/** The bar's segments, in order, without the empty ones. */
export function segments(counts: StateCounts): Segment[] {
  const all = total(counts);
  return TRIAL_STATES.filter((state) => counts[state] > 0).map((state) => ({
    state,
    name: TRIAL_LOOKS[state].name,
    count: counts[state],
    share: counts[state] / all,
  }));
}

/** The bar in words. */
export function describeCounts(counts: StateCounts): string {
  const parts = segments(counts).map((segment) => `${segment.count} ${segment.name}`);
  return parts.length === 0 ? 'no trials' : `${total(counts)} trials: ${parts.join(', ')}`;
}

/** What a ledger lacks, in words: cells still open, cells that ended without a result, and cells that are censored. */
export function describeLedger(states: (string | null | undefined)[]): string {
  const number = (state: TrialState) => states.filter((one) => one === state).length;
  const lost = (['failed', 'dead', 'cancelled'] as const).filter((state) => number(state) > 0);
  const ended = lost.reduce((sum, state) => sum + number(state), 0);
  const open = states.length - ended - number('succeeded') - number('diverged') - number('stopped');
  const parts = [open === 0 ? 'Every cell has an outcome.' : `${plural(open, 'cell has', 'cells have')} no outcome yet.`];
  if (ended > 0) {
    const which = lost.map((state) => `${number(state)} ${TRIAL_LOOKS[state].name}`).join(', ');
    parts.push(`${plural(ended, 'cell', 'cells')} ended without a result: ${which}.`);
  }
  const stopped = number('stopped');
  if (stopped > 0) parts.push(`${plural(stopped, 'cell was', 'cells were')} stopped early: censored, in no mean.`);
  return parts.join(' ');
}

/** What a sweep's page says of trials that were stopped early; nothing when none was. */
export function censoredNote(counts: StateCounts): string {
  if (counts.stopped === 0) return '';
  const trials = `${counts.stopped} of ${plural(total(counts), 'trial')}`;
  return `${trials} stopped early by the sweep’s rule: censored, in no mean, test or curve. A search’s best value is optimistic.`;
}

/** Progress for a title: never 100 % before the end. */
export function progressText(progress: number, state: SweepState): string {
  if (state === 'finished') return percent(1, 0);
  return percent(Math.min(0.99, Math.max(0, progress)), 0);
}
