import { describe, expect, it } from 'vitest';
import type { Anova, EffectRow, Importance } from '../src/lib/api/types';
import { anovaRows, bars, predicted } from '../src/lib/effects';

const importance: Importance = {
  sweep_id: '0', metric: 'test_accuracy', diverged: 'exclude', method: 'fanova', description: 'trees', conditions: 64, n: 128,
  r_squared: -0.021, r_squared_of: 'left out', refused: null, interactions: 0.3,
  rows: [{ name: 'rates.w', keys: ['rates.w'], levels: 64, share: 0.7 }], notes: [],
};

function effect(kind: EffectRow['kind'], factors: string[], p: number | null): EffectRow {
  return { kind, factors, df: 2, sum_sq: 0.5, mean_sq: kind === 'total' ? null : 0.25, f: p === null ? null : 9, p, eta_sq: 0.5, partial_eta_sq: p };
}

describe('bars', () => {
  it('has a bar for each key and one for interactions', () => {
    expect(bars(importance).map((bar) => [bar.name, bar.text])).toEqual([['rates.w', '70.0 %'], ['interactions', '30.0 %']]);
    expect(bars({ ...importance, interactions: null })).toHaveLength(1);
  });
  it('says what was predicted out of sample', () => {
    expect(predicted(importance)).toMatch(/^R² out of sample: .0\.02 \(left out\)\.$/);
    expect(predicted({ ...importance, r_squared: null })).toBe('');
  });
});

describe('anovaRows', () => {
  it('names each source and leaves blank what is not tested', () => {
    const anova: Anova = {
      sweep_id: '0', metric: 'test_accuracy', diverged: 'exclude', factors: [], seeds: [0, 1], n: 12, method: 'blocks', refused: null, notes: [],
      rows: [effect('blocks', [], 0.2), effect('interaction', ['ratio', 'rule'], 0.0001), effect('total', [], null)],
    };
    const rows = anovaRows(anova);
    expect(rows.map((row) => row[0])).toEqual(['seed (blocks)', 'ratio × rule', 'total']);
    expect(rows[1]?.[5]).toBe('< 0.001');
    expect(rows[2]?.slice(3, 6)).toEqual(['', '', '']);
  });
});
