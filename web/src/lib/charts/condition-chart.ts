// Figure "metric by condition": a dot per seed, under it the mean and its interval. Loaded when first drawn.
import * as Plot from '@observablehq/plot';
import { metricName, metricValue } from '../format';
import { colour } from '../palette';
import type { ConditionPlot } from './condition-data';
import { AXIS, finish, TIP } from './style';
import { clip, labelWidth as textWidth, metricAxis } from './ticks';

const ROW_HEIGHT_PX = 46;
const LABEL_SHARE = 0.28;
const LABEL_MAX_PX = 260;
/** Below this width labels stand over their rows. */
const NARROW_PX = 560;
/** The interval lies this far below its row's centre. */
const BELOW = 0.3;

export function conditionChart(plot: ConditionPlot, width: number, onOpen: (trialId: string) => void): Element {
  const narrow = width < NARROW_PX;
  const longest = Math.max(0, ...plot.means.map((row) => row.label.length + (row.baseline ? 11 : 0) + (row.complete ? 0 : 2)));
  const across = metricAxis(plot.metric, plot.domain, plot.log, Math.max(3, Math.min(9, width / 90)));
  const half = textWidth(across.labels) / 2 + 2;
  const labelWidth = narrow ? Math.max(12, half) : Math.min(LABEL_MAX_PX, width * LABEL_SHARE, longest * 6.9 + 24);
  const rowHeight = narrow ? ROW_HEIGHT_PX + 14 : ROW_HEIGHT_PX;
  const labelText = (row: { label: string; baseline: boolean; complete: boolean }) =>
    `${clip(row.label, narrow ? width - 110 : labelWidth - (row.baseline ? 70 : 0) - (row.complete ? 0 : 12) - 16)}${row.baseline ? ' (baseline)' : ''}${row.complete ? '' : ' *'}`;
  const withMean = plot.means.filter((row) => row.mean !== null);
  const withInterval = plot.means.filter((row) => row.low !== null);
  const node = Plot.plot({
    ...AXIS,
    width,
    height: Math.max(1, plot.means.length) * rowHeight + 36,
    marginLeft: labelWidth,
    marginRight: Math.max(26, half),
    marginTop: 8,
    marginBottom: 28,
    // A t interval of a fraction may pass 100 %, and on a logarithmic axis zero: it is cut there.
    x: { type: plot.log ? 'log' : 'linear', domain: plot.domain, clamp: true, label: null, tickFormat: across.tickFormat, ticks: across.ticks, grid: true },
    // Rows go down the page: the first condition on top.
    y: { domain: [plot.means.length - 0.45, -0.55], axis: null },
    marks: [
      Plot.ruleX(plot.baselineMean === null ? [] : [plot.baselineMean], { stroke: 'var(--muted)', strokeDasharray: '4 3' }),
      Plot.text(plot.means, {
        x: () => plot.domain[0],
        y: (row: { y: number }) => (narrow ? row.y - 0.38 : row.y + 0.06),
        text: labelText,
        title: 'label',
        textAnchor: narrow ? 'start' : 'end',
        dx: narrow ? 0 : -12,
        fill: 'var(--text)',
        fontSize: 12,
      }),
      Plot.dot(plot.dots, {
        className: 'seed-dots',
        x: 'value',
        y: (dot: { y: number }) => dot.y - 0.06,
        r: 4,
        fill: (dot: { condition: number }) => colour(dot.condition),
        fillOpacity: 0.55,
        stroke: 'var(--panel)',
        strokeWidth: 0.8,
      }),
      Plot.ruleY(withInterval, {
        className: 'intervals',
        x1: (row: { low: number | null }) => (plot.log ? Math.max(row.low ?? 0, plot.domain[0]) : row.low),
        x2: 'high',
        y: (row: { y: number }) => row.y + BELOW,
        stroke: (row: { condition: number }) => colour(row.condition),
        strokeWidth: 2.5,
      }),
      Plot.dot(withMean, {
        className: 'means',
        x: 'mean',
        y: (row: { y: number }) => row.y + BELOW,
        r: 4.5,
        symbol: 'diamond',
        fill: (row: { condition: number }) => colour(row.condition),
        stroke: 'var(--panel)',
        strokeWidth: 1,
      }),
      Plot.tip(
        plot.dots,
        Plot.pointer({
          x: 'value',
          y: (dot: { y: number }) => dot.y - 0.06,
          title: (dot: { label: string; seed: number; value: number }) =>
            `${dot.label}\nseed ${dot.seed}: ${metricValue(plot.metric, dot.value)}`,
          maxRadius: 30,
          ...TIP,
        }),
      ),
    ],
  });
  node.addEventListener('click', () => {
    const dot = node.value as { trialId?: string } | null | undefined;
    if (dot?.trialId) onOpen(dot.trialId);
  });
  return finish(node, `${metricName(plot.metric)} by condition: ${describe(plot)}`);
}

function describe(plot: ConditionPlot): string {
  return plot.means
    .map((row) => {
      const mean = `${row.label}${row.baseline ? ' (baseline)' : ''} mean ${metricValue(plot.metric, row.mean)}`;
      return row.low === null
        ? `${mean}, no interval, n ${row.n}`
        : `${mean}, interval ${metricValue(plot.metric, row.low)} to ${metricValue(plot.metric, row.high)}, n ${row.n}`;
    })
    .join('; ');
}
