// Wire → rows of the figure "metric by condition". Pure.
import type { Summary } from '../api/types';
import { isNumber } from '../format';
import { logDomain, paddedDomain, suitsLog } from './ticks';

export interface ConditionDot {
  condition: number;
  label: string;
  seed: number;
  trialId: string;
  value: number;
  /** Row plus a small offset that depends on the seed's rank alone. */
  y: number;
}

export interface ConditionMean {
  condition: number;
  label: string;
  y: number;
  n: number;
  mean: number | null;
  low: number | null;
  high: number | null;
  complete: boolean;
  baseline: boolean;
}

export interface ConditionPlot {
  metric: string;
  dots: ConditionDot[];
  means: ConditionMean[];
  baselineMean: number | null;
  domain: [number, number];
  /** Whether a logarithmic axis would serve, and whether the domain is for one. */
  suitsLog: boolean;
  log: boolean;
}

const GOLDEN = 0.618033988749895;
/** Dots keep within this distance of their row's centre. */
const SPREAD = 0.16;

/** The offset of the k-th seed: spread evenly, the same each time. */
export function offset(k: number): number {
  return (((k * GOLDEN + 0.5) % 1) - 0.5) * 2 * SPREAD;
}

/** `linear` refuses the logarithmic axis that values over several orders of magnitude get. */
export function conditionPlot(summary: Summary, baseline: number | null, linear = false): ConditionPlot {
  const seeds = [...new Set(summary.conditions.flatMap((row) => row.values.map((value) => value.seed)))].sort((a, b) => a - b);
  const rank = new Map(seeds.map((seed, k) => [seed, k]));
  const dots = summary.conditions.flatMap((row, y) =>
    row.values
      .filter((value) => isNumber(value.value))
      .map((value) => ({
        condition: row.condition,
        label: row.label,
        seed: value.seed,
        trialId: value.trial_id,
        value: value.value,
        y: y + offset(rank.get(value.seed) ?? 0),
      })),
  );
  const means = summary.conditions.map((row, y) => ({
    condition: row.condition,
    label: row.label,
    y,
    n: row.n,
    mean: isNumber(row.mean) ? row.mean : null,
    low: row.interval && isNumber(row.interval.low) ? row.interval.low : null,
    high: row.interval && isNumber(row.interval.high) ? row.interval.high : null,
    complete: row.complete,
    baseline: row.condition === baseline,
  }));
  const values = dots.map((dot) => dot.value);
  const suits = suitsLog(summary.metric, values);
  const log = suits && !linear;
  // On a logarithmic axis a lower end may lie anywhere down to zero: it is cut at the edge instead of setting the range.
  const ends = means.flatMap((row) => (log ? [row.mean, row.high] : [row.mean, row.low, row.high])).filter(isNumber);
  return {
    metric: summary.metric,
    dots,
    means,
    baselineMean: means.find((row) => row.baseline)?.mean ?? null,
    domain: log ? logDomain([...values, ...ends]) : paddedDomain(summary.metric, [...values, ...ends]),
    suitsLog: suits,
    log,
  };
}

/** How the intervals were made, for the caption: every method, level and n that occurs. */
export function intervalFacts(summary: Summary): { methods: string[]; level: number | null; ns: [number, number] | null } {
  const intervals = summary.conditions.flatMap((row) => (row.interval ? [row.interval] : []));
  const counts = summary.conditions.map((row) => row.n).filter((n) => n > 0);
  return {
    methods: [...new Set(intervals.map((interval) => interval.method))],
    level: intervals[0]?.level ?? null,
    ns: counts.length > 0 ? [Math.min(...counts), Math.max(...counts)] : null,
  };
}
