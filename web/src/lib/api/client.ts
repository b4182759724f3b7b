// The HTTP API as typed functions over the generated schema. Knows nothing of components or of time.
import type { paths } from './schema';
import type { Problem } from './types';

/** What went wrong, as far as the page has to act differently. */
export type FailureKind = 'offline' | 'unauthorized' | 'forbidden' | 'not_found' | 'problem';

/** Any failure of a call. */
export class ApiError extends Error {
  constructor(
    readonly kind: FailureKind,
    message: string,
    readonly problem?: Problem,
  ) {
    super(message);
    this.name = 'ApiError';
  }

  /** Whether the same call may succeed a little later. */
  get transient(): boolean {
    const status = this.problem?.status ?? 503;
    return this.kind === 'offline' || (this.kind === 'problem' && (status >= 500 || status === 429));
  }
}

type Methods = 'get' | 'post';
type Ok<O> = O extends { responses: infer R }
  ? R extends { 200: { content: { 'application/json': infer J } } }
    ? J
    : R extends { 202: { content: { 'application/json': infer J } } }
      ? J
      : never
  : never;
type Params<O, K extends 'path' | 'query'> = O extends { parameters: infer P }
  ? K extends keyof P
    ? NonNullable<P[K]>
    : K extends keyof Required<P>
      ? NonNullable<Required<P>[K]>
      : never
  : never;
type Arguments<O> = ([Params<O, 'path'>] extends [never] ? object : { path: Params<O, 'path'> }) &
  ([Params<O, 'query'>] extends [never] ? object : { query?: Params<O, 'query'> });
type Options<O> = Arguments<O> & { signal?: AbortSignal };
type PathsWith<M extends Methods> = {
  [P in keyof paths]: paths[P] extends Record<M, { responses: unknown }> ? P : never;
}[keyof paths];

type Loose = { path?: Record<string, unknown>; query?: Record<string, unknown>; signal?: AbortSignal };

/** A path template with its parameters filled in. */
export function address(template: string, path: Record<string, unknown> = {}, query: Record<string, unknown> = {}): string {
  const filled = template.replace(/\{(\w+)\}/g, (_, key: string) => encodeURIComponent(String(path[key])));
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== '') search.set(key, String(value));
  }
  const text = search.toString();
  return text ? `${filled}?${text}` : filled;
}

/** What a status means for the page. A gateway that finds no server behind it counts as offline. */
export function kindOf(status: number): FailureKind {
  if (status === 401) return 'unauthorized';
  if (status === 403) return 'forbidden';
  if (status === 404) return 'not_found';
  if (status === 502 || status === 504) return 'offline';
  return 'problem';
}

async function failure(response: Response): Promise<ApiError> {
  let problem: Problem | undefined;
  try {
    problem = (await response.json()) as Problem;
  } catch {
    // Not problem+json: a proxy's page. The status says enough.
  }
  const fields = problem?.errors?.map((error) => `${error.field}: ${error.message}`).join('; ');
  const detail = problem?.detail ?? `The server answered ${response.status} ${response.statusText}`.trim();
  return new ApiError(kindOf(response.status), fields ? `${detail} (${fields})` : detail, problem);
}

/** Calls the API with the token that `token()` gives at the time of each call. */
export class Client {
  constructor(
    private readonly token: () => string | null,
    private readonly fetcher: typeof fetch = (input, init) => fetch(input, init),
  ) {}

  /** Any request; resolves only for 2xx. */
  async raw(url: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    const token = this.token();
    if (token) headers.set('authorization', `Bearer ${token}`);
    let response: Response;
    try {
      response = await this.fetcher(url, { ...init, headers, cache: 'no-store' });
    } catch (error) {
      if (init.signal?.aborted) throw error;
      throw new ApiError('offline', 'The server cannot be reached.');
    }
    if (!response.ok) throw await failure(response);
    return response;
  }

  private async json(method: string, template: string, options: Loose): Promise<unknown> {
    const { path, query, signal } = options;
    const response = await this.raw(address(template, path, query), {
      method,
      headers: { accept: 'application/json' },
      signal: signal ?? null,
    });
    return response.json();
  }

  get<P extends PathsWith<'get'>>(path: P, options: Options<paths[P]['get']>): Promise<Ok<paths[P]['get']>> {
    return this.json('GET', path, options as Loose) as Promise<Ok<paths[P]['get']>>;
  }

  post<P extends PathsWith<'post'>>(path: P, options: Options<paths[P]['post']>): Promise<Ok<paths[P]['post']>> {
    return this.json('POST', path, options as Loose) as Promise<Ok<paths[P]['post']>>;
  }
}
