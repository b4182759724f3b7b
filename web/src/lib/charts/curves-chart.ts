// Learning curves: a mean per condition and a band over seeds. Loaded when first drawn.
import * as Plot from '@observablehq/plot';
import { metricName, metricValue, number } from '../format';
import { colour, dash } from '../palette';
import { bands, type CurveRow, type CurvesPlot } from './curves-data';
import { AXIS, finish, TIP } from './style';
import { labelWidth, metricAxis, plainAxis } from './ticks';

const BANDS_CLEAR_MAX = 6;

export function curvesChart(plot: CurvesPlot, width: number): Element {
  const height = Math.round(Math.min(420, Math.max(260, width * 0.42)));
  const x = plot.x;
  // Many bands on top of each other would be mud.
  const opacity = plot.series.length > BANDS_CLEAR_MAX ? 0.06 : 0.14;
  const rows = plot.series.flatMap((one) => one.rows);
  const xs = rows.map((row) => row[x]);
  const across = plainAxis([Math.min(...xs), Math.max(...xs)], Math.min(10, Math.max(3, width / 90)));
  const up = metricAxis(plot.metric, plot.domain, plot.log, 6);
  // A logarithm has no place for an end at or below zero: it goes to the edge.
  const inside = (end: number | null) => (plot.log ? Math.max(end ?? 0, plot.domain[0]) : end);
  const node = Plot.plot({
    ...AXIS,
    width,
    height,
    marginLeft: Math.max(52, labelWidth(up.labels) + 16),
    marginRight: Math.max(12, labelWidth(across.labels.slice(-1)) / 2 + 2),
    marginTop: 14,
    marginBottom: 40,
    x: { label: x === 'epoch' ? 'epochs' : 'minibatches', labelAnchor: 'center', labelArrow: 'none', ticks: across.ticks, tickFormat: across.tickFormat },
    y: { type: plot.log ? 'log' : 'linear', domain: plot.domain, clamp: true, label: null, grid: true, ticks: up.ticks, tickFormat: up.tickFormat },
    marks: [
      ...plot.series.flatMap((one) =>
        bands(one.rows).map((run) =>
          Plot.areaY(run, { className: 'band', x, y1: (row: CurveRow) => inside(row.low), y2: (row: CurveRow) => inside(row.high), fill: colour(one.condition), fillOpacity: opacity }),
        ),
      ),
      ...plot.series.map((one) =>
        Plot.lineY(one.rows, {
          className: 'curve',
          x,
          y: 'mean',
          stroke: colour(one.condition),
          strokeWidth: 2,
          strokeDasharray: dash(one.condition),
        }),
      ),
      // A line of one point cannot be seen.
      Plot.dot(plot.series.flatMap((one) => (one.rows.length === 1 ? one.rows : [])), {
        x,
        y: 'mean',
        r: 3.5,
        fill: (row: CurveRow) => colour(row.condition),
      }),
      Plot.ruleX(rows, Plot.pointerX({ x, stroke: 'var(--line-strong)' })),
      Plot.dot(rows, Plot.pointer({ x, y: 'mean', r: 4, fill: (row: CurveRow) => colour(row.condition), maxRadius: 60 })),
      Plot.tip(
        rows,
        Plot.pointer({
          x,
          y: 'mean',
          title: (row: CurveRow) =>
            `${row.label}\nepoch ${number(row.epoch, 3)}, step ${row.step}\nmean ${metricValue(plot.metric, row.mean)}` +
            (row.low === null ? '' : `\n${metricValue(plot.metric, row.low)} to ${metricValue(plot.metric, row.high)}`) +
            `\nn = ${row.n}`,
          maxRadius: 60,
          ...TIP,
        }),
      ),
    ],
  });
  return finish(node, `Learning curves of ${metricName(plot.metric)}: ${describe(plot)}`);
}

function describe(plot: CurvesPlot): string {
  return plot.series
    .map((one) => {
      const first = one.rows[0];
      const last = one.rows[one.rows.length - 1];
      return `${one.label} from ${metricValue(plot.metric, first?.mean)} to ${metricValue(plot.metric, last?.mean)}`;
    })
    .join('; ');
}
