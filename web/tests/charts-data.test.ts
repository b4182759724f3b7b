import { describe, expect, it } from 'vitest';
import { conditionPlot, intervalFacts, offset } from '../src/lib/charts/condition-data';
import { bands, curvesPlot, divergedNote, stoppedNote } from '../src/lib/charts/curves-data';
import { clip, logDomain, logTick, logTicks, metricAxis, metricTick, paddedDomain, plainTick, roundTicks, suitsLog } from '../src/lib/charts/ticks';
import { place, trialCharts } from '../src/lib/charts/trial-data';
import { curves, metrics, summary, wild, wildSummary } from './fixtures';

describe('conditionPlot', () => {
  const plot = conditionPlot(summary, 0);

  it('has a dot per value and a row per condition', () => {
    expect(plot.dots).toHaveLength(4);
    expect(plot.means.map((row) => [row.y, row.mean, row.low, row.complete, row.baseline])).toEqual([
      [0, 0.96, 0.93516, true, true],
      [1, 0.88, null, false, false],
      [2, null, null, false, false],
    ]);
    expect(plot.baselineMean).toBe(0.96);
  });

  it('gives a seed the same offset in every condition, within its row', () => {
    const second = plot.dots.filter((dot) => dot.seed === 2);
    expect(second).toHaveLength(2);
    for (const dot of second) expect(dot.y - dot.condition).toBeCloseTo(offset(2), 12);
    for (let k = 0; k < 100; k += 1) expect(Math.abs(offset(k))).toBeLessThanOrEqual(0.16);
    expect(new Set([0, 1, 2, 3].map(offset)).size).toBe(4);
  });

  it('holds dots and intervals in its range', () => {
    expect(plot.domain[0]).toBeLessThan(0.88);
    expect(plot.domain[1]).toBeGreaterThan(0.98484);
    expect(plot.domain[1]).toBeLessThanOrEqual(1);
  });

  it('stands without a baseline', () => {
    expect(conditionPlot(summary, null).baselineMean).toBeNull();
  });

  it('states method, level and n', () => {
    expect(intervalFacts(summary)).toEqual({ methods: ['student_t'], level: 0.95, ns: [1, 3] });
  });
});

describe('curvesPlot', () => {
  it('leaves out hidden and empty conditions', () => {
    expect(curvesPlot(curves).series.map((one) => one.condition)).toEqual([0, 1]);
    expect(curvesPlot(curves, new Set([0])).series.map((one) => one.condition)).toEqual([1]);
    expect(curvesPlot(curves, new Set([0, 1]))).toMatchObject({ series: [], seeds: null, domain: [0, 1] });
  });

  it('lets the means set the scale, not a wild interval', () => {
    const { domain, seeds } = curvesPlot(curves);
    expect(domain[0]).toBeGreaterThanOrEqual(0);
    expect(domain[1]).toBeLessThanOrEqual(1);
    expect(seeds).toEqual([1, 3]);
  });

  it('never bridges a band over points without one', () => {
    const rows = curvesPlot(curves).series[0]!.rows;
    expect(bands(rows).map((run) => run.map((row) => row.step))).toEqual([[0, 63], [189]]);
  });
});

describe('trialCharts', () => {
  const groups = trialCharts(metrics);

  it('groups by kind, in order', () => {
    expect(groups.map((group) => group.name)).toEqual(['Learning', 'Cosines', 'Norms', 'Other']);
    expect(groups[0]?.charts.map((chart) => [chart.title, chart.series.map((one) => one.name)])).toEqual([
      ['Accuracy', ['test', 'train']],
      ['Loss', ['train']],
    ]);
    expect(groups[2]?.charts.map((chart) => chart.title)).toEqual(['‖W‖', '‖V̄‖']);
  });

  it('orders layers as numbers', () => {
    expect(groups[2]?.charts[0]?.series.map((one) => one.name)).toEqual(['layer 2', 'layer 10']);
  });

  it('keeps a value that was not finite as a gap, and steps that did not log as nothing', () => {
    const loss = groups[0]?.charts[1]?.series[0];
    expect(loss?.points.map((point) => point.value)).toEqual([2.3, 1.1, null]);
    expect(groups[1]?.charts[0]?.series[0]?.points).toHaveLength(1);
  });

  it('has a place for a metric that nobody has thought of', () => {
    expect(place('temperature')).toMatchObject({ group: 'Other', name: 'temperature' });
    expect(place('rank.w.3')).toMatchObject({ group: 'Spectra', title: 'rank.w', name: 'layer 3' });
  });
});

describe('ticks', () => {
  it('formats by the length of the axis', () => {
    expect(metricTick('test_accuracy', 0.5)(0.5)).toBe('50 %');
    expect(metricTick('test_accuracy', 0.01)(0.985)).toBe('98.5 %');
    expect(metricTick('test_loss', 2)(0.5)).toBe('0.5');
    expect([5.18, 5.185, 5.19].map(metricTick('norm.v_bar.1', 0.02))).toEqual(['5.18', '5.185', '5.19']);
    expect(metricTick('norm.w.1', 0)(7)).toBe('7');
    expect([0, 0.25, 2, 1200].map(plainTick)).toEqual(['0', '0.25', '2', '1\u202f200']);
  });

  it('has a range for one value and for none', () => {
    expect(paddedDomain('test_loss', [])).toEqual([0, 1]);
    const [low, high] = paddedDomain('test_loss', [3]);
    expect(low).toBeLessThan(3);
    expect(high).toBeGreaterThan(3);
    expect(paddedDomain('test_loss', [NaN, 1, 2])).toEqual([0.94, 2.06]);
  });

  it('cuts long labels', () => {
    expect(clip('abcdefghijklmnop', 50)).toBe('abcdef…');
    expect(clip('abc', 50)).toBe('abc');
  });
});

describe('axes of huge values', () => {
  it('writes them with an exponent that tells ticks apart', () => {
    expect([-200_000, 0, 200_000, 1_200_000].map(metricTick('test_loss', 1.6e6))).toEqual(['−2e5', '0', '2e5', '1.2e6']);
    expect(metricTick('test_loss', 2e5)(1_050_000)).toBe('1.05e6');
    expect([0.0001, 0.01, 1, 1000, 1e4, 1e7].map(logTick)).toEqual(['1e−4', '0.01', '1', '1\u202f000', '1e4', '1e7']);
  });

  it('has round ticks and thins powers of ten', () => {
    expect(roundTicks([0, 1], 5)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
    expect(roundTicks([-3, 3], 3)).toEqual([-2, 0, 2]);
    expect(roundTicks([0, 1.3e6], 6)).toEqual([0, 2e5, 4e5, 6e5, 8e5, 1e6, 1.2e6]);
    expect([roundTicks([7, 7], 4), roundTicks([Infinity, -Infinity], 4)]).toEqual([[7], []]);
    expect(logTicks([0.02, 3e6], 8)).toEqual([0.1, 1, 10, 100, 1e3, 1e4, 1e5, 1e6]);
    expect(logTicks([0.02, 3e6], 4)).toEqual([0.1, 10, 1e3, 1e5]);
    expect(metricAxis('test_accuracy', [0, 1], false, 5).labels).toEqual(['0 %', '20 %', '40 %', '60 %', '80 %', '100 %']);
  });

  it('offers a logarithm to positive values over three orders of magnitude, never to fractions', () => {
    expect(suitsLog('test_loss', [0.5, 501])).toBe(true);
    expect(suitsLog('test_loss', [0.5, 500])).toBe(false);
    expect(suitsLog('test_loss', [0, 1e6])).toBe(false);
    expect(suitsLog('test_accuracy', [0.0001, 1])).toBe(false);
    expect(suitsLog('test_loss', [])).toBe(false);
    expect(logDomain([])).toEqual([0.1, 10]);
  });

  it('takes the logarithm by default, and not when a person refuses', () => {
    for (const plot of [curvesPlot(wild), conditionPlot(wildSummary, null)]) {
      expect([plot.suitsLog, plot.log]).toEqual([true, true]);
      expect(plot.domain[0]).toBeGreaterThan(0.1);
    }
    expect(curvesPlot(wild, new Set(), true)).toMatchObject({ suitsLog: true, log: false, domain: [0, expect.any(Number)] });
    expect(conditionPlot(wildSummary, null, true).log).toBe(false);
    expect([curvesPlot(curves).suitsLog, conditionPlot(summary, 0).suitsLog]).toEqual([false, false]);
  });
});

it('says what became of diverged trials only where some diverged', () => {
  const without = { ...wildSummary, conditions: wildSummary.conditions.filter((row) => row.counts.diverged === 0) };
  expect(divergedNote(wild, wildSummary)).toBe('Diverged trials are left out.');
  expect(divergedNote({ ...wild, diverged: 'worst' } as typeof wild, wildSummary)).toContain('worst value');
  expect(divergedNote(wild, without)).toBe('');
  expect(divergedNote(wild, undefined)).toBe('');
});

it('says that stopped trials are in no curve only where some were stopped', () => {
  const [first, ...rest] = wildSummary.conditions;
  if (!first) throw new Error('the fixture has conditions');
  const counts = { ...first.counts, stopped: 1 };
  expect(stoppedNote({ ...wildSummary, conditions: [{ ...first, counts }, ...rest] })).toContain('left out');
  expect(stoppedNote(wildSummary)).toBe('');
  expect(stoppedNote(undefined)).toBe('');
});
