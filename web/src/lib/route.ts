// Addresses within the page: `#/sweeps/ID?metric=test_loss`. Pure.

export type Route =
  | { view: 'sweeps'; query: URLSearchParams }
  | { view: 'sweep'; id: string; query: URLSearchParams }
  | { view: 'trial'; id: string; query: URLSearchParams }
  | { view: 'workers'; query: URLSearchParams }
  | { view: 'docs'; query: URLSearchParams }
  | { view: 'unknown'; path: string; query: URLSearchParams };

/** The route of a location's hash. */
export function parseRoute(hash: string): Route {
  const text = hash.replace(/^#/, '');
  const mark = text.indexOf('?');
  const path = mark < 0 ? text : text.slice(0, mark);
  const query = new URLSearchParams(mark < 0 ? '' : text.slice(mark + 1));
  const parts = path.split('/').filter(Boolean).map(decode);
  const [head, id, more] = parts;
  if (head === undefined || (head === 'sweeps' && id === undefined)) return { view: 'sweeps', query };
  if (head === 'sweeps' && id !== undefined && more === undefined) return { view: 'sweep', id, query };
  if (head === 'trials' && id !== undefined && more === undefined) return { view: 'trial', id, query };
  if (head === 'workers' && id === undefined) return { view: 'workers', query };
  if (head === 'docs' && id === undefined) return { view: 'docs', query };
  return { view: 'unknown', path, query };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The hash of a path and its query; empty values are left out. */
export function href(path: string, query: Record<string, string | undefined> = {}): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) if (value) search.set(key, value);
  const text = search.toString();
  return `#${path}${text ? `?${text}` : ''}`;
}

/** A token handed over in the fragment, `#token=motif_…` with an optional `&to=/sweeps/ID`, and where to go then. */
export function handedToken(hash: string): { token: string; next: string } | null {
  if (!hash.startsWith('#token=')) return null;
  const values = new URLSearchParams(hash.slice(1));
  const token = values.get('token');
  if (!token) return null;
  const to = values.get('to') ?? '/';
  return { token, next: `#${to.startsWith('/') ? to : '/'}` };
}
