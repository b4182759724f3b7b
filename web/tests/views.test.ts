import { describe, expect, it } from 'vitest';
import type { StateCounts, TrialRow } from '../src/lib/api/types';
import { configGroups, flatten, show, sweptKeys } from '../src/lib/config';
import { fileName } from '../src/lib/export';
import { colour, dash } from '../src/lib/palette';
import { censoredNote, describeCounts, describeLedger, finished, progressText, segments, STEER, total } from '../src/lib/states';
import { amendmentText, reproducibilityText, trialVerdict, untilText } from '../src/lib/steering';
import { detailOf, pageOf, sortTrials } from '../src/lib/trials';

const NONE: StateCounts = { queued: 0, leased: 0, succeeded: 0, diverged: 0, stopped: 0, failed: 0, dead: 0, cancelled: 0 };

describe('states', () => {
  const counts = { ...NONE, succeeded: 5, failed: 1, leased: 2, queued: 2 };

  it('splits the bar and says it in words', () => {
    expect(segments(counts).map((part) => [part.name, part.share])).toEqual([
      ['succeeded', 0.5],
      ['failed', 0.1],
      ['running', 0.2],
      ['queued', 0.2],
    ]);
    expect(describeCounts(counts)).toBe('10 trials: 5 succeeded, 1 failed, 2 running, 2 queued');
    expect(describeCounts(NONE)).toBe('no trials');
    expect([total(counts), finished(counts)]).toEqual([10, 6]);
  });

  it('does not say 100 % before the end', () => {
    expect(progressText(0.9999, 'running')).toBe('99 %');
    expect(progressText(1, 'finished')).toBe('100 %');
  });

  it('tells a cell that is open from one that ended without a result', () => {
    expect(describeLedger(['succeeded', 'diverged'])).toBe('Every cell has an outcome.');
    expect(describeLedger(['succeeded', 'failed'])).toBe('Every cell has an outcome. 1 cell ended without a result: 1 failed.');
    expect(describeLedger(['queued', null, 'dead', 'cancelled', 'cancelled'])).toBe(
      '2 cells have no outcome yet. 3 cells ended without a result: 1 dead, 2 cancelled.',
    );
  });

  it('tells censored cells and trials apart', () => {
    expect(describeLedger(['succeeded', 'stopped', 'stopped'])).toBe(
      'Every cell has an outcome. 2 cells were stopped early: censored, in no mean.',
    );
    expect(describeLedger(['stopped', null])).toContain('1 cell has no outcome yet.');
    expect(censoredNote(counts)).toBe('');
    expect(censoredNote({ ...counts, stopped: 2 })).toMatch(/^2 of 12 trials stopped early .* optimistic\.$/);
    expect(STEER.retry({ ...NONE, stopped: 3 })).toBe(false);
  });

  it('offers only what can be done', () => {
    expect(STEER.pause('finished')).toBe(false);
    expect(STEER.resume('paused')).toBe(true);
    expect(STEER.retry(NONE)).toBe(false);
    expect(STEER.retry({ ...NONE, dead: 1 })).toBe(true);
  });
});

describe('steering', () => {
  const row = { at: '2026-01-02T03:04:05Z', principal: 'lab', note: null, change: {}, added_conditions: 0, added_seeds: 2, added_trials: 8 };

  it('says what an amendment added', () => {
    expect(amendmentText(row)).toMatch(/^Amended 2026-01-0\d \d\d:\d\d:\d\d by lab: \+2 seeds \(8 trials\)$/);
    expect(amendmentText({ ...row, added_seeds: 0, added_conditions: 1, note: 'why' })).toContain('+1 condition (8 trials): why');
    expect(amendmentText({ ...row, added_seeds: 0, added_trials: 0 })).toContain('another spec, no trials');
  });

  it('says where replication stands', () => {
    const until = { state: 'running', metric: 'test_accuracy', target: 0.002, half_width: null, seeds: 3, max_seeds: 20 };
    expect(untilText(until)).toContain('Until ± 0.002 on');
    expect(untilText({ ...until, state: 'reached', half_width: 0.0012345 })).toContain('reached at ± 0.00123 with 3 seeds (at most 20)');
  });

  it('counts verdicts, and marks a trial that was re-run', () => {
    const run = { trial_id: 't', label: 'a', seed: 0, config_hash: 'c', dataset_hash: 'd' };
    const found = {
      sweep_id: 's', verified: 1, mismatched: 0, unverified: 1, note: null, runs: [],
      trials: [
        { verdict: 'verified' as const, original: run, reruns: [run] },
        { verdict: 'unverified' as const, original: { ...run, trial_id: 'u' }, reruns: [] },
      ],
    };
    expect(reproducibilityText(found)).toBe('Reproducibility: 1 verified, 0 mismatched, 1 unverified');
    expect([trialVerdict(found, 't'), trialVerdict(found, 'u'), trialVerdict(null, 't')]).toEqual(['verified, 1 re-run', null, null]);
  });
});

describe('config', () => {
  const config = { rule: 'sal', rates: { w: 0.3, v: 0.1 }, plastic: ['w', 'v'], novelty: { deep: { er: 1 } }, gone: null };

  it('flattens tables and keeps lists whole', () => {
    expect([...flatten(config).keys()]).toEqual(['rule', 'rates.w', 'rates.v', 'plastic', 'novelty.deep.er', 'gone']);
    expect(show(['w', 'v'])).toBe('[w, v]');
    expect(show(null)).toBe('—');
  });

  it('finds the keys in which conditions differ', () => {
    const other = { ...config, rates: { w: 0.3, v: 0.2 }, train_limit: 5 };
    expect(sweptKeys([config, other])).toEqual(new Set(['rates.v', 'train_limit']));
    expect(sweptKeys([config])).toEqual(new Set());
  });

  it('shows with the data what is held out of it and how it is varied', () => {
    const groups = configGroups({ dataset: 'glyphs', validation: 500, augment: { shift: 2, flip: true } }, new Set());
    expect(groups.map((group) => group.name)).toEqual(['Data']);
    expect(groups[0]?.rows.map((row) => row.key)).toEqual(['dataset', 'validation', 'augment.shift', 'augment.flip']);
  });

  it('loses no key to the groups', () => {
    const groups = configGroups(config, new Set(['rule']));
    expect(groups.map((group) => group.name)).toEqual(['Learning', 'Other']);
    expect(groups.flatMap((group) => group.rows)).toHaveLength(6);
    expect(groups[0]?.rows[0]).toEqual({ key: 'rule', value: 'sal', swept: true });
  });
});

describe('trials', () => {
  const trial = (seed: number, metric: number | null) => ({ seed, metric, condition: 0, state: 'succeeded' }) as TrialRow;
  const trials = [trial(2, 0.5), trial(0, null), trial(1, 0.9)];
  const seeds = (rows: TrialRow[]) => rows.map((row) => row.seed);

  it('sorts with the missing last in both directions', () => {
    expect(seeds(sortTrials(trials, 'metric', false))).toEqual([2, 1, 0]);
    expect(seeds(sortTrials(trials, 'metric', true))).toEqual([1, 2, 0]);
    expect(seeds(sortTrials(trials, 'queue', false))).toEqual([2, 0, 1]);
  });

  it('says where a trial diverged and why it failed', () => {
    const said = (part: Partial<TrialRow>) => detailOf({ ...trial(0, null), reason: null, failures: 0, crashes: 0, ...part } as TrialRow);
    expect(said({ state: 'diverged', diverged_step: 1260, reason: 'an earlier error' })).toBe('diverged at step 1\u202f260');
    expect(said({ state: 'stopped', stopped_step: 1260, reason: 'behind' })).toBe('stopped at step 1\u202f260: behind');
    expect(said({ state: 'leased', stop_decided: true })).toBe('about to stop early');
    expect(said({ state: 'failed', reason: 'no such dataset' })).toBe('no such dataset');
    expect(said({ state: 'dead', crashes: 3 })).toBe('given up after 3 expired leases');
    expect(said({ state: 'leased', cancel_requested: true })).toContain('heartbeat');
    expect(said({})).toBe('');
  });

  it('pages, and treats a page beyond the last as the last', () => {
    expect(pageOf([1, 2, 3, 4, 5], 9, 2)).toEqual({ items: [5], page: 2, pages: 3 });
    expect(pageOf([], 0, 2)).toEqual({ items: [], page: 0, pages: 1 });
  });
});

it('tells 32 conditions apart by colour and dash', () => {
  expect(new Set([...Array(32).keys()].map((index) => colour(index) + dash(index))).size).toBe(32);
});

it('names files safely', () => {
  expect(fileName('../etc/pass wd', 'csv')).toBe('etc-pass-wd.csv');
  expect(fileName('…', 'json')).toBe('sweep.json');
});
