// @vitest-environment jsdom
import { expect, it, vi } from 'vitest';
import { conditionChart } from '../src/lib/charts/condition-chart';
import { conditionPlot } from '../src/lib/charts/condition-data';
import { curvesChart } from '../src/lib/charts/curves-chart';
import { curvesPlot } from '../src/lib/charts/curves-data';
import { trialChart } from '../src/lib/charts/trial-chart';
import { trialCharts } from '../src/lib/charts/trial-data';
import { curves, metrics, summary, wild, wildSummary } from './fixtures';

const conditionNode = () => conditionChart(conditionPlot(summary, 0), 800, vi.fn());
const curvesNode = () => curvesChart(curvesPlot(curves), 800);

it('draws a dot per seed, a mean where there is one, an interval where there is one', () => {
  const node = conditionNode();
  expect(node.querySelectorAll('.seed-dots circle')).toHaveLength(4);
  expect(node.querySelectorAll('.means path')).toHaveLength(2);
  expect(node.querySelectorAll('.intervals line')).toHaveLength(1);
});

it('puts the first condition on top and its interval under its dots', () => {
  const node = conditionNode();
  const height = (element: Element | undefined) => Number(element?.getAttribute('cy') ?? element?.getAttribute('y1'));
  const dots = [...node.querySelectorAll('.seed-dots circle')];
  expect(height(dots[0])).toBeLessThan(height(dots[3]));
  expect(height(dots[0])).toBeLessThan(height(node.querySelector('.intervals line') ?? undefined));
});

it('says in words what it shows', () => {
  const node = conditionNode();
  expect(node.getAttribute('role')).toBe('img');
  expect(node.getAttribute('aria-label')).toContain('backprop (baseline) mean 96.00 %, interval 93.52 % to 98.48 %, n 3');
  expect(node.getAttribute('aria-label')).toContain('plastic={w} mean 88.00 %, no interval, n 1');
  expect(curvesNode().getAttribute('aria-label')).toContain('backprop from 10.00 % to 92.00 %');
});

it('draws a curve per condition and a band per run', () => {
  const node = curvesNode();
  expect(node.querySelectorAll('.curve')).toHaveLength(2);
  expect(node.querySelectorAll('.band')).toHaveLength(3);
});

it('keeps no inline style element, which a strict policy would refuse', () => {
  expect(conditionNode().querySelector('style')).toBeNull();
  expect(curvesNode().querySelector('style')).toBeNull();
});

it('never writes NaN into the drawing', () => {
  const small = trialCharts(metrics).flatMap((group) => group.charts.map((chart) => trialChart(chart, 320)));
  for (const node of [conditionNode(), curvesNode(), ...small]) expect(node.outerHTML).not.toMatch(/NaN|undefined|Infinity/);
});

it('draws huge values whole: no text leaves the drawing on the left, and nothing becomes NaN', () => {
  for (const linear of [false, true]) {
    const nodes = [curvesChart(curvesPlot(wild, new Set(), linear), 800), conditionChart(conditionPlot(wildSummary, null, linear), 400, vi.fn())];
    for (const node of nodes) expect(node.outerHTML).not.toMatch(/NaN|undefined|Infinity/);
    const labels = [...(nodes[0]?.querySelectorAll('[text-anchor="end"] text') ?? [])];
    expect(labels.length).toBeGreaterThan(3);
    for (const label of labels) {
      const right = Number(/translate\(([\d.]+)/.exec(label.getAttribute('transform') ?? '')?.[1]);
      expect(right - 9).toBeGreaterThan((label.textContent ?? '').length * 7);
    }
  }
});
