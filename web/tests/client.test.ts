import { describe, expect, it } from 'vitest';
import { address, ApiError, Client, kindOf } from '../src/lib/api/client';

function answering(status: number, body: unknown, seen: Request[] = []) {
  return new Client(
    () => 'motif_1',
    (input, init) => {
      seen.push(new Request(new URL(String(input), 'http://server'), init));
      return Promise.resolve(new Response(JSON.stringify(body), { status }));
    },
  );
}

describe('address', () => {
  it('fills the template and leaves out what is not given', () => {
    expect(address('/sweeps/{id}/trials', { id: 'a b' }, { state: 'failed', cursor: undefined, limit: 5 })).toBe(
      '/sweeps/a%20b/trials?state=failed&limit=5',
    );
  });
});

describe('Client', () => {
  it('sends the token and the query', async () => {
    const seen: Request[] = [];
    const page = await answering(200, { items: [] }, seen).get('/api/v1/sweeps', { query: { limit: 5 } });
    expect(page.items).toEqual([]);
    expect(seen[0]?.headers.get('authorization')).toBe('Bearer motif_1');
    expect(seen[0]?.url).toBe('http://server/api/v1/sweeps?limit=5');
  });

  it('tells failures apart', async () => {
    expect([401, 403, 404, 502, 500].map(kindOf)).toEqual(['unauthorized', 'forbidden', 'not_found', 'offline', 'problem']);
    const problem = { type: 'about:blank', title: 'x', status: 400, code: 'bad_parameter', detail: 'Wrong.', errors: [{ field: 'metric', message: 'unknown' }] };
    const error = await answering(400, problem).get('/api/v1/workers', {}).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({ kind: 'problem', message: 'Wrong. (metric: unknown)', transient: false });
    const busy = await answering(503, { ...problem, status: 503 }).get('/api/v1/workers', {}).catch((caught: unknown) => caught);
    expect(busy).toMatchObject({ kind: 'problem', transient: true });
  });

  it('calls a broken connection offline', async () => {
    const client = new Client(
      () => null,
      () => Promise.reject(new TypeError('Failed to fetch')),
    );
    await expect(client.get('/api/v1/workers', {})).rejects.toMatchObject({ kind: 'offline' });
  });

  it('survives an error that is no problem document', async () => {
    const client = new Client(
      () => null,
      () => Promise.resolve(new Response('<html>', { status: 500, statusText: 'Oops' })),
    );
    await expect(client.get('/api/v1/workers', {})).rejects.toMatchObject({ message: 'The server answered 500 Oops' });
  });
});
