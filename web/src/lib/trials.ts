// Sorting and paging of trials that are loaded. Pure.
import type { TrialRow } from './api/types';
import { count, plural } from './format';

export const SORTS = ['queue', 'label', 'seed', 'state', 'metric', 'attempts', 'finished'] as const;
export type Sort = (typeof SORTS)[number];

export function isSort(value: string | null | undefined): value is Sort {
  return SORTS.some((sort) => sort === value);
}

function keyOf(trial: TrialRow, sort: Sort): string | number | null {
  switch (sort) {
    case 'queue':
      return null;
    case 'label':
      return trial.condition;
    case 'seed':
      return trial.seed;
    case 'state':
      return trial.state;
    case 'metric':
      return trial.metric ?? null;
    case 'attempts':
      return trial.attempts;
    case 'finished':
      return trial.finished_at ?? null;
  }
}

/** Sorted by one key; what has none comes last in both directions, and ties keep the queue's order. */
export function sortTrials(trials: TrialRow[], sort: Sort, descending: boolean): TrialRow[] {
  if (sort === 'queue') return descending ? [...trials].reverse() : trials;
  const sign = descending ? -1 : 1;
  return [...trials].sort((a, b) => {
    const left = keyOf(a, sort);
    const right = keyOf(b, sort);
    if (left === null || right === null) return left === right ? 0 : left === null ? 1 : -1;
    if (left === right) return 0;
    return (left < right ? -1 : 1) * sign;
  });
}

/** One page and the number of pages; a page beyond the last is the last. */
export function pageOf<T>(items: T[], page: number, size: number): { items: T[]; page: number; pages: number } {
  const pages = Math.max(1, Math.ceil(items.length / size));
  const at = Math.min(Math.max(0, page), pages - 1);
  return { items: items.slice(at * size, (at + 1) * size), page: at, pages };
}

/** What a reader wants to know beside the state: where it diverged or was stopped, why it failed, that it is about to stop. */
export function detailOf(trial: TrialRow): string {
  if (trial.state === 'diverged' && trial.diverged_step != null) return `diverged at step ${count(trial.diverged_step)}`;
  if (trial.state === 'stopped' && trial.stopped_step != null) return `stopped at step ${count(trial.stopped_step)}: ${trial.reason ?? ''}`;
  if (trial.stop_decided && trial.state === 'leased') return 'about to stop early';
  if (trial.cancel_requested && trial.state === 'leased') return 'stopping at the next heartbeat';
  if (trial.reason) return trial.reason;
  if (trial.state === 'failed') return `${plural(trial.failures, 'error')} reported, no reason given`;
  if (trial.state === 'dead') return `given up after ${plural(trial.crashes, 'expired lease')}`;
  return '';
}
