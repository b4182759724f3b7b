import { describe, expect, it } from 'vitest';
import { ago, bytes, count, duration, elapsed, isFraction, metricDifference, metricValue, MISSING, number, percent, placesFor, pValue } from '../src/lib/format';

describe('numbers', () => {
  it('never says NaN', () => {
    for (const value of [null, undefined, NaN, Infinity, -Infinity]) {
      for (const text of [number(value), percent(value), pValue(value), count(value), duration(value), metricValue('test_loss', value), metricDifference('test_accuracy', value)]) {
        expect(text).toBe(MISSING);
      }
    }
  });

  it('keeps significant digits', () => {
    expect(number(0)).toBe('0');
    expect(number(1234.5678)).toBe('1235');
    expect(number(0.012345)).toBe('0.01235');
    expect(number(-2.5)).toBe('−2.500');
    expect(number(0.00001234)).toBe('1.23e−5');
    expect(number(2_500_000)).toBe('2.50e6');
  });

  it('shows as many places as the uncertainty deserves', () => {
    expect(placesFor(0.0123, 100)).toBe(1);
    expect(placesFor(0.00123, 100)).toBe(2);
    expect(metricValue('test_accuracy', 0.95678, 0.0123)).toBe('95.7 %');
    expect(metricValue('test_accuracy', 0.95678, 0.00123)).toBe('95.68 %');
    expect(metricValue('test_accuracy', 0.95678)).toBe('95.68 %');
    expect(metricValue('test_loss', 0.123456, 0.0123)).toBe('0.123');
  });

  it('writes differences with a sign, in points for fractions', () => {
    expect(metricDifference('test_accuracy', 0.0123, 0.004)).toBe('+1.23 pp');
    expect(metricDifference('test_accuracy', -0.0123, 0.04)).toBe('−1.2 pp');
    expect(metricDifference('test_loss', 0.5)).toBe('+0.500');
  });

  it('writes memory in its largest unit', () => {
    expect(bytes(1)).toBe('1 B');
    expect(bytes(1023)).toBe('1023 B');
    expect(bytes(8 * 1024 ** 3)).toBe('8.0 GiB');
    expect(bytes(1024 ** 4 - 1)).toBe('1024.0 GiB');
    expect(bytes(2 ** 53 - 1)).toBe('8.0 PiB');
  });

  it('never writes a p of zero', () => {
    expect(pValue(0)).toBe('< 0.001');
    expect(pValue(0.0312)).toBe('0.031');
  });

  it('knows which metrics are fractions', () => {
    expect(['test_accuracy', 'train_accuracy', 'dead.1'].every(isFraction)).toBe(true);
    expect(['test_loss', 'norm.w.1', 'cos_g_bp.1'].some(isFraction)).toBe(false);
  });
});

describe('times', () => {
  const now = Date.parse('2026-11-24T10:00:00Z');

  it('uses two units', () => {
    expect(duration(0.1724)).toBe('172 ms');
    expect(duration(3.21)).toBe('3.2 s');
    expect(duration(59.7)).toBe('1 min 0 s');
    expect(duration(3599)).toBe('59 min 59 s');
    expect(duration(3600 * 5 + 60 * 7)).toBe('5 h 7 min');
    expect(duration(86_400 * 2)).toBe('2 d 0 h');
  });

  it('says how long ago', () => {
    expect(ago('2026-11-24T09:59:58Z', now)).toBe('just now');
    expect(ago('2026-11-24T09:30:00Z', now)).toBe('30 min ago');
    expect(ago('2026-11-20T09:30:00Z', now)).toBe('4 d ago');
    expect(ago('nonsense', now)).toBe(MISSING);
  });

  it('measures an open span to now, and never below zero', () => {
    expect(elapsed('2026-11-24T09:59:00Z', null, now)).toBe(60);
    expect(elapsed('2026-11-24T10:01:00Z', null, now)).toBe(0);
    expect(elapsed(null, null, now)).toBeNull();
  });
});
