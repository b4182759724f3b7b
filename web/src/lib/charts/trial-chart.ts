// One small chart of a trial: a line per series. Loaded when first drawn.
import * as Plot from '@observablehq/plot';
import { metricName, metricValue, number } from '../format';
import { colour, dash } from '../palette';
import { AXIS, finish, TIP } from './style';
import { labelWidth, metricAxis, paddedDomain, plainAxis } from './ticks';
import type { TrialChart } from './trial-data';

interface Row {
  series: number;
  metric: string;
  name: string;
  step: number;
  epoch: number;
  value: number;
}

export function trialChart(chart: TrialChart, width: number): Element {
  const metric = chart.series[0]?.metric ?? '';
  const rows: Row[] = chart.series.flatMap(({ metric, name, points }, series) =>
    points.map((point) => ({ series, metric, name, step: point.step, epoch: point.epoch, value: point.value ?? NaN })),
  );
  const domain = paddedDomain(metric, rows.map((row) => row.value));
  const up = metricAxis(metric, domain, false, 4);
  const epochs = rows.map((row) => row.epoch);
  const across = plainAxis([Math.min(...epochs), Math.max(...epochs)], Math.max(3, width / 80));
  const node = Plot.plot({
    ...AXIS,
    width,
    height: 190,
    marginLeft: Math.max(50, labelWidth(up.labels) + 16),
    marginRight: Math.max(10, labelWidth(across.labels.slice(-1)) / 2 + 2),
    marginTop: 10,
    marginBottom: 34,
    x: { label: 'epochs', labelAnchor: 'center', labelArrow: 'none', ticks: across.ticks, tickFormat: across.tickFormat },
    y: { domain, label: null, grid: true, ticks: up.ticks, tickFormat: up.tickFormat },
    marks: [
      ...chart.series.map((_, series) =>
        Plot.lineY(
          rows.filter((row) => row.series === series),
          { className: 'curve', x: 'epoch', y: 'value', stroke: colour(series), strokeWidth: 1.8, strokeDasharray: dash(series) },
        ),
      ),
      Plot.dot(
        chart.series.flatMap((one, series) => (one.points.length === 1 ? rows.filter((row) => row.series === series) : [])),
        { x: 'epoch', y: 'value', r: 3, fill: (row: Row) => colour(row.series) },
      ),
      Plot.tip(
        rows.filter((row) => Number.isFinite(row.value)),
        Plot.pointer({
          x: 'epoch',
          y: 'value',
          title: (row: Row) => `${row.metric}\nepoch ${number(row.epoch, 3)}, step ${row.step}\n${metricValue(row.metric, row.value)}`,
          maxRadius: 50,
          ...TIP,
        }),
      ),
    ],
  });
  const ends = chart.series.map((one) => {
    const last = [...one.points].reverse().find((point) => point.value !== null);
    return `${one.name} ends at ${metricValue(one.metric, last?.value)}`;
  });
  return finish(node, `${chart.title === metricName(metric) ? chart.title : `${chart.title} over training`}: ${ends.join('; ')}`);
}
