// A trial's logged points → small charts, one per kind of metric, in groups. Pure.
import type { TrialMetrics } from '../api/types';
import { isNumber, metricName } from '../format';

export interface TrialPoint {
  step: number;
  epoch: number;
  value: number | null;
}

export interface TrialSeries {
  metric: string;
  /** What tells it from the others in its chart: `train`, `layer 2`. */
  name: string;
  points: TrialPoint[];
}

export interface TrialChart {
  title: string;
  /** What the metric means, where the name alone does not say it. */
  about: string | null;
  series: TrialSeries[];
}

export interface TrialChartGroup {
  name: string;
  charts: TrialChart[];
}

const ABOUT: Record<string, string> = {
  cos_g_bp: 'cosine between the motif’s teaching signal and backprop’s gradient',
  cos_theorem1: 'cosine between the update of W and the one that Theorem 1 predicts',
  cos_v: 'cosine between V and the transpose of V̄',
  cos_motif: 'cosine between the two ways around the motif',
  dead: 'share of hidden units that are silent on the whole batch',
};
const TENSORS: Record<string, string> = { w: 'W', w_bar: 'W̄', v: 'V', v_bar: 'V̄' };
const ORDER = ['Learning', 'Cosines', 'Norms', 'Spectra', 'Other'];

interface Place {
  group: string;
  title: string;
  about: string | null;
  name: string;
}

/** Where a metric is drawn, by its name alone. */
export function place(metric: string): Place {
  const split = /^(train|test|validation)_(accuracy|loss)$/.exec(metric);
  if (split) {
    const title = split[2] === 'accuracy' ? 'Accuracy' : 'Loss';
    return { group: 'Learning', title, about: null, name: split[1] ?? metric };
  }
  const parts = metric.split('.');
  const head = parts[0] ?? metric;
  const layer = parts.length > 1 ? `layer ${parts[parts.length - 1]}` : metricName(metric);
  if (head === 'norm' && parts.length > 2) {
    const tensor = parts[1] ?? '';
    return { group: 'Norms', title: `‖${TENSORS[tensor] ?? tensor}‖`, about: `Frobenius norm of ${TENSORS[tensor] ?? tensor}`, name: layer };
  }
  if (head.startsWith('cos')) return { group: 'Cosines', title: head, about: ABOUT[head] ?? null, name: layer };
  if (head === 'dead') return { group: 'Other', title: 'dead units', about: ABOUT.dead ?? null, name: layer };
  if (/^(sigma|singular|eig|rank|cond)/.test(head)) {
    return { group: 'Spectra', title: parts.slice(0, -1).join('.') || head, about: null, name: layer };
  }
  return { group: 'Other', title: parts.length > 1 ? parts.slice(0, -1).join('.') : metricName(metric), about: ABOUT[head] ?? null, name: layer };
}

export function trialCharts(metrics: TrialMetrics): TrialChartGroup[] {
  const groups = new Map<string, Map<string, TrialChart>>();
  const names = [...new Set(metrics.points.flatMap((point) => Object.keys(point.values)))].sort(naturally);
  for (const metric of names) {
    const { group, title, about, name } = place(metric);
    const charts = groups.get(group) ?? new Map<string, TrialChart>();
    groups.set(group, charts);
    const chart = charts.get(title) ?? { title, about, series: [] };
    charts.set(title, chart);
    chart.series.push({ metric, name, points: pointsOf(metrics, metric) });
  }
  return [...groups]
    .sort(([a], [b]) => ORDER.indexOf(a) - ORDER.indexOf(b))
    .map(([name, charts]) => ({ name, charts: [...charts.values()].sort((a, b) => rank(a.title) - rank(b.title)) }));
}

/** Tensors in the order used everywhere; other charts stay in the order of their names. */
function rank(title: string): number {
  return Object.values(TENSORS).findIndex((tensor) => title === `‖${tensor}‖`);
}

/** Points that logged the metric; a value that was not finite breaks the line. */
function pointsOf(metrics: TrialMetrics, metric: string): TrialPoint[] {
  return metrics.points
    .filter((point) => metric in point.values)
    .map((point) => {
      const value = point.values[metric];
      return { step: point.step, epoch: point.epoch, value: isNumber(value) ? value : null };
    });
}

function naturally(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true });
}
