import { describe, expect, it } from 'vitest';
import { size, utc, viewOf, type BundleData } from '../src/bundle/data';
import { sections, text } from '../src/bundle/document';

describe('a document without a figure', () => {
  it('becomes facts and tables', () => {
    const found = sections({
      sweep_id: 'x',
      method: 'anova',
      share: 0.25,
      terms: [{ term: 'ratio', eta_squared: 0.5 }, { term: 'rule', p: null }],
      model: { trees: 64, r_squared: -0.1 },
    });
    expect(found.map((part) => part.title)).toEqual(['', 'terms', 'model']);
    expect(found[0]?.facts).toEqual([['method', 'anova'], ['share', '0.2500']]);
    expect(found[1]?.columns).toEqual(['term', 'eta squared', 'p']);
    expect(found[1]?.rows).toEqual([['ratio', '0.5000', '—'], ['rule', '—', '—']]);
    expect(found[2]?.facts).toEqual([['trees', '64'], ['r squared', '−0.1000']]);
  });

  it('may be a list, or anything else', () => {
    expect(sections([{ a: 1 }, 2])).toEqual([{ title: '', facts: [], columns: ['a'], rows: [['1'], ['2']] }]);
    expect(sections('word')[0]?.facts).toEqual([['value', 'word']]);
    expect(sections({})).toEqual([]);
    expect(sections(Array(501).fill(1), 'many')[0]?.title).toBe('many (the first 500 of 501)');
  });

  it('shows nothing as a dash, and what lies inside a cell in words', () => {
    expect([text(null), text(true), text([]), text({ a_b: 1, c: [1, 2] })]).toEqual(['—', 'yes', '—', 'a b 1, c 1, 2']);
  });
});

describe('the bundle’s data', () => {
  const view = (metric: string) => ({ metric, summary: null, comparisons: null, curves: null });
  const data = { views: [view('a'), view('b')] } as unknown as BundleData;

  it('shows the metric that is asked for, or the sweep’s own', () => {
    expect(viewOf(data, 'b').metric).toBe('b');
    expect(viewOf(data, 'gone').metric).toBe('a');
    expect(() => viewOf({ views: [] } as unknown as BundleData, 'a')).toThrow('no figures');
  });

  it('says times in UTC and sizes in three digits', () => {
    expect([utc('2026-01-02T03:04:05.678Z'), utc(null)]).toEqual(['2026-01-02 03:04 UTC', '—']);
    expect([size(999), size(1500), size(999_600), size(12_300_000)]).toEqual(['999 B', '1.5 kB', '1.0 MB', '12 MB']);
  });
});
