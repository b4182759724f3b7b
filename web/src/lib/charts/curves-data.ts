// Wire → rows of the learning curves over seeds. Pure.
import type { Curves, Summary } from '../api/types';
import { isNumber } from '../format';
import { logDomain, paddedDomain, suitsLog } from './ticks';

export interface CurveRow {
  condition: number;
  label: string;
  step: number;
  epoch: number;
  n: number;
  mean: number;
  low: number | null;
  high: number | null;
}

export interface CurveSeries {
  condition: number;
  label: string;
  rows: CurveRow[];
}

export interface CurvesPlot {
  metric: string;
  series: CurveSeries[];
  /** Against epochs, or against steps when nothing has reached a fraction of an epoch. */
  x: 'epoch' | 'step';
  domain: [number, number];
  /** Whether a logarithmic axis would serve, and whether the domain is for one. */
  suitsLog: boolean;
  log: boolean;
  /** The least and the most seeds behind a point. */
  seeds: [number, number] | null;
}

/** `linear` refuses the logarithmic axis that values over several orders of magnitude get. */
export function curvesPlot(curves: Curves, hidden: ReadonlySet<number> = new Set(), linear = false): CurvesPlot {
  const all = curves.conditions.map((condition) => ({
    condition: condition.condition,
    label: condition.label,
    rows: condition.points
      .filter((point) => isNumber(point.mean))
      .map((point) => ({
        condition: condition.condition,
        label: condition.label,
        step: point.step,
        epoch: point.epoch,
        n: point.n,
        mean: point.mean,
        low: isNumber(point.low) ? point.low : null,
        high: isNumber(point.high) ? point.high : null,
      })),
  }));
  const series = all.filter((one) => !hidden.has(one.condition) && one.rows.length > 0);
  const rows = series.flatMap((one) => one.rows);
  const means = rows.map((row) => row.mean);
  const suits = suitsLog(curves.metric, means);
  const log = suits && !linear;
  return {
    metric: curves.metric,
    series,
    x: rows.some((row) => row.epoch > 0) ? 'epoch' : 'step',
    // An interval of two seeds may be wider than everything else: the means alone set the scale, with some room.
    domain: log ? logDomain(means) : scale(curves.metric, rows),
    suitsLog: suits,
    log,
    seeds: rows.length === 0 ? null : [Math.min(...rows.map((row) => row.n)), Math.max(...rows.map((row) => row.n))],
  };
}

function scale(metric: string, rows: CurveRow[]): [number, number] {
  const means = paddedDomain(metric, rows.map((row) => row.mean), 0.25);
  const bands = paddedDomain(metric, rows.flatMap((row) => [row.low ?? row.mean, row.high ?? row.mean]), 0.03);
  const low = Math.max(means[0], bands[0]);
  // No air below zero for what is never negative.
  return [rows.length > 0 && rows.every((row) => row.mean >= 0) ? Math.max(0, low) : low, Math.min(means[1], bands[1])];
}

/** What became of diverged trials, for the caption; nothing when none diverged or the server does not say. */
export function divergedNote(curves: Curves, summary: Summary | undefined): string {
  const some = summary?.conditions.some((condition) => condition.counts.diverged > 0) ?? false;
  if (!some || !('diverged' in curves)) return '';
  return curves.diverged === 'worst' ? 'Diverged trials count with the worst value seen.' : 'Diverged trials are left out.';
}

/** That trials which were stopped early are in no curve; nothing when none was. */
export function stoppedNote(summary: Summary | undefined): string {
  const some = summary?.conditions.some((condition) => condition.counts.stopped > 0) ?? false;
  return some ? 'Trials that were stopped early are left out.' : '';
}

/** The rows with a band, cut into runs: a band never bridges points without one. */
export function bands(rows: CurveRow[]): CurveRow[][] {
  const runs: CurveRow[][] = [];
  let run: CurveRow[] = [];
  for (const row of rows) {
    if (row.low !== null && row.high !== null) {
      run.push(row);
    } else if (run.length > 0) {
      runs.push(run);
      run = [];
    }
  }
  if (run.length > 0) runs.push(run);
  return runs;
}
