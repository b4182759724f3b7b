import { describe, expect, it } from 'vitest';
import { handedToken, href, parseRoute } from '../src/lib/route';

describe('parseRoute', () => {
  it('knows every page', () => {
    expect(parseRoute('').view).toBe('sweeps');
    expect(parseRoute('#/').view).toBe('sweeps');
    expect(parseRoute('#/sweeps/')).toMatchObject({ view: 'sweeps' });
    expect(parseRoute('#/sweeps/abc')).toMatchObject({ view: 'sweep', id: 'abc' });
    expect(parseRoute('#/trials/a%2Fb')).toMatchObject({ view: 'trial', id: 'a/b' });
    expect(parseRoute('#/workers').view).toBe('workers');
    expect(parseRoute('#/docs').view).toBe('docs');
    expect(parseRoute('#/nowhere')).toMatchObject({ view: 'unknown', path: '/nowhere' });
    expect(parseRoute('#/sweeps/a/b').view).toBe('unknown');
  });

  it('survives what is no encoding', () => {
    expect(parseRoute('#/trials/%E0%A4%A')).toMatchObject({ view: 'trial', id: '%E0%A4%A' });
  });

  it('reads the query', () => {
    expect(parseRoute('#/sweeps/abc?metric=cos_v.1').query.get('metric')).toBe('cos_v.1');
  });
});

describe('href', () => {
  it('leaves out empty values', () => {
    expect(href('/', { cursor: 's:1', other: undefined })).toBe('#/?cursor=s%3A1');
    expect(href('/workers')).toBe('#/workers');
  });
});

describe('handedToken', () => {
  it('takes a token and a place', () => {
    expect(handedToken('#token=motif_00')).toEqual({ token: 'motif_00', next: '#/' });
    expect(handedToken('#token=motif_00&to=/sweeps/1')).toEqual({ token: 'motif_00', next: '#/sweeps/1' });
    expect(handedToken('#token=motif_00&to=https://elsewhere')).toEqual({ token: 'motif_00', next: '#/' });
    expect(handedToken('#/sweeps?token=motif_00')).toBeNull();
    expect(handedToken('#token=')).toBeNull();
  });
});
