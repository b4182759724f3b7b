// Text on axes. Pure.
import { count, fixed, isFraction, number } from '../format';

/** A tick without zeros that say nothing: `0.5`, `2`, `1 200`. */
export function plainTick(value: number): string {
  if (Number.isInteger(value)) return value < 0 ? `−${count(-value)}` : count(value);
  return trimmed(number(value, 3));
}

/** From this span on, numbers are written with an exponent: `2e5`, `1.2e6`. */
const EXPONENT_SPAN_MIN = 1e5;

/** Without the zeros after the last digit that says something. */
function trimmed(text: string): string {
  return text.replace(/(\.\d*?)0+$/, '$1').replace(/\.$/, '');
}

/** Formats a tick of a metric's axis; `span` is the length of the axis in the metric's unit. */
export function metricTick(metric: string, span: number): (value: number) => string {
  if (!isFraction(metric)) {
    if (span >= EXPONENT_SPAN_MIN) return (value) => exponent(value, span);
    // As many places as tell two ticks apart.
    const places = span > 0 ? 1 - Math.floor(Math.log10(span)) : 3;
    if (places < 1 || places > 6) return plainTick;
    return (value) => trimmed(fixed(value, places));
  }
  const places = span < 0.002 ? 2 : span < 0.02 ? 1 : 0;
  return (value) => `${(value * 100).toFixed(places)} %`;
}

/** `1.2e6`: as many digits as tell two ticks of an axis of this span apart. */
function exponent(value: number, span: number): string {
  if (value === 0) return '0';
  const digits = Math.floor(Math.log10(Math.abs(value))) - Math.floor(Math.log10(span)) + 1;
  const [mantissa = '', power = ''] = value.toExponential(Math.min(6, Math.max(0, digits))).split('e');
  return `${trimmed(mantissa)}e${power.replace('+', '')}`.replaceAll('-', '−');
}

/** A tick of a logarithmic axis: `0.01`, `100`, `1e4`. */
export function logTick(value: number): string {
  return value >= 1e4 || value < 1e-3 ? exponent(value, value) : plainTick(Number(value.toPrecision(6)));
}

/** About `wanted` round numbers within a range: steps of 1, 2 or 5 times a power of ten. */
export function roundTicks([low, high]: [number, number], wanted: number): number[] {
  const span = high - low;
  if (!(span > 0) || !Number.isFinite(span)) return Number.isFinite(low) ? [low] : [];
  const raw = span / Math.max(1, wanted);
  const power = Math.floor(Math.log10(raw));
  const error = raw / 10 ** power;
  const factor = error >= Math.sqrt(50) ? 10 : error >= Math.sqrt(10) ? 5 : error >= Math.sqrt(2) ? 2 : 1;
  // Below one, dividing by the whole number keeps 0.3 from becoming 0.30000000000000004.
  const at = power < 0 ? (k: number) => (k * factor) / 10 ** -power : (k: number) => k * factor * 10 ** power;
  const first = Math.ceil(low / at(1) - 1e-9);
  const last = Math.floor(high / at(1) + 1e-9);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, k) => at(first + k) + 0);
}

/** Powers of ten within a range, at most about `most` of them. */
export function logTicks([low, high]: [number, number], most: number): number[] {
  const first = Math.ceil(Math.log10(low) - 1e-9);
  const last = Math.floor(Math.log10(high) + 1e-9);
  const stride = Math.max(1, Math.ceil((last - first + 1) / Math.max(1, most)));
  const powers: number[] = [];
  for (let power = first; power <= last; power += stride) powers.push(Number(`1e${power}`));
  return powers;
}

/** Values that spread over more than this factor are unreadable on a linear axis. */
const LOG_FACTOR_MIN = 1000;

/** Whether a logarithmic axis serves these values: all positive and over three orders of magnitude apart. */
export function suitsLog(metric: string, values: number[]): boolean {
  if (isFraction(metric) || values.length === 0) return false;
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return low > 0 && high / low > LOG_FACTOR_MIN;
}

/** A range that holds all positive values with some air, for a logarithmic axis. */
export function logDomain(values: number[], air = 0.04): [number, number] {
  const logs = values.filter((value) => value > 0 && Number.isFinite(value)).map(Math.log10);
  if (logs.length === 0) return [0.1, 10];
  const [low, high] = paddedDomain('', logs, air);
  return [10 ** low, 10 ** high];
}

export interface Axis {
  ticks: number[];
  /** Their text, as `tickFormat` writes it. */
  labels: string[];
  tickFormat: (value: number) => string;
}

/** Ticks of a metric's axis with their text, known before the drawing so that it can make room for them. */
export function metricAxis(metric: string, domain: [number, number], log: boolean, wanted: number): Axis {
  const ticks = log ? logTicks(domain, wanted) : roundTicks(domain, wanted);
  const tickFormat = log ? logTick : metricTick(metric, domain[1] - domain[0]);
  return { ticks, labels: ticks.map(tickFormat), tickFormat };
}

/** Ticks of epochs or steps. */
export function plainAxis(domain: [number, number], wanted: number): Axis {
  const ticks = roundTicks(domain, wanted);
  return { ticks, labels: ticks.map(plainTick), tickFormat: plainTick };
}

/** Width of the longest text in a 12-pixel font, in pixels, rather too wide than too narrow. */
export function labelWidth(labels: string[]): number {
  return 7.2 * Math.max(0, ...labels.map((label) => label.length));
}

/** A range that holds all values with some air; fractions stay within [0, 1]. */
export function paddedDomain(metric: string, values: number[], air = 0.06): [number, number] {
  const finite = values.filter((value) => Number.isFinite(value));
  if (finite.length === 0) return [0, 1];
  let low = Infinity;
  let high = -Infinity;
  for (const value of finite) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  const span = high - low || Math.abs(high) * 0.1 || 0.1;
  low -= span * air;
  high += span * air;
  return isFraction(metric) ? [Math.max(0, low), Math.min(1, high)] : [low, high];
}

/** Cuts text to about `width` pixels of a 12-pixel font. */
export function clip(text: string, width: number): string {
  const letters = Math.max(4, Math.floor(width / 6.6));
  return text.length <= letters ? text : `${text.slice(0, letters - 1)}…`;
}
