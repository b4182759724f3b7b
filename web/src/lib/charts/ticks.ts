// Text on axes. Pure.
import { count, fixed, isFraction, number } from '../format';

/** A tick without zeros that say nothing: `0.5`, `2`, `1 200`. */
export function plainTick(value: number): string {
  if (Number.isInteger(value)) return value < 0 ? `−${count(-value)}` : count(value);
  return trimmed(number(value, 3));
}

/** Without the zeros after the last digit that says something. */
function trimmed(text: string): string {
  return text.replace(/(\.\d*?)0+$/, '$1').replace(/\.$/, '');
}

/** Formats a tick of a metric's axis; `span` is the length of the axis in the metric's unit. */
export function metricTick(metric: string, span: number): (value: number) => string {
  if (!isFraction(metric)) {
    // As many places as tell two ticks apart.
    const places = span > 0 ? 1 - Math.floor(Math.log10(span)) : 3;
    if (places < 1 || places > 6) return plainTick;
    return (value) => trimmed(fixed(value, places));
  }
  const places = span < 0.002 ? 2 : span < 0.02 ? 1 : 0;
  return (value) => `${(value * 100).toFixed(places)} %`;
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
