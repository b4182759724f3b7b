import { describe, expect, it } from 'vitest';
import { verdictMark, verdictName } from '../src/lib/verdicts';

describe('verdicts', () => {
  it('says which answer it is without colour', () => {
    expect(verdictName('supported')).toBe('supported');
    expect(verdictName('not_supported')).toBe('not supported');
    expect(verdictName('undecided')).toBe('undecided at this n');
    const marks = (['supported', 'not_supported', 'undecided'] as const).map(verdictMark);
    expect(new Set(marks).size).toBe(3);
  });
});
