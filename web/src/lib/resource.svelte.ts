// Something fetched that stays fresh: keeps its last data through failures, retries, and never asks too often.
import { untrack } from 'svelte';
import { ApiError } from './api/client';
import { connection, session } from './session.svelte';

const RETRY_FIRST_MS = 1000;
const RETRY_MAX_MS = 15_000;
/** A hidden tab asks this many times less often. */
const HIDDEN_FACTOR = 5;

export interface ResourceOptions {
  /** Read inside an effect: a change fetches anew. */
  key?: () => unknown;
  /** Least time between two fetches that events ask for. */
  gapMs?: number;
  /** Fetch this often even without events, in case one was missed; 0 is never. */
  pollMs?: () => number;
}

export class Resource<T> {
  data = $state.raw<T | undefined>(undefined);
  error = $state.raw<ApiError | null>(null);
  loading = $state(false);
  private inflight: AbortController | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private timerDue = Infinity;
  private startedAt = 0;
  private failures = 0;
  private again = false;
  private stopped = false;

  constructor(
    private readonly load: (signal: AbortSignal) => Promise<T>,
    private readonly options: ResourceOptions = {},
  ) {}

  /** Fetches now; a fetch under way is given up. */
  refresh(): void {
    this.stopped = false;
    this.inflight?.abort();
    void this.run();
  }

  /** Something changed: fetch soon. */
  touch(): void {
    if (this.stopped) return;
    if (this.inflight) {
      this.again = true;
      return;
    }
    const gap = (this.options.gapMs ?? 1000) * (document.hidden ? HIDDEN_FACTOR : 1);
    this.schedule(Math.max(0, this.startedAt + gap - Date.now()));
  }

  stop(): void {
    this.stopped = true;
    this.inflight?.abort();
    this.inflight = null;
    clearTimeout(this.timer);
    this.timerDue = Infinity;
  }

  private poll(): void {
    const every = this.options.pollMs?.() ?? 0;
    if (every > 0) this.schedule(every);
  }

  private schedule(delayMs: number): void {
    const due = Date.now() + delayMs;
    if (due >= this.timerDue) return;
    clearTimeout(this.timer);
    this.timerDue = due;
    this.timer = setTimeout(() => {
      this.timerDue = Infinity;
      if (this.inflight) this.again = true;
      else void this.run();
    }, delayMs);
  }

  private async run(): Promise<void> {
    clearTimeout(this.timer);
    this.timerDue = Infinity;
    const abort = new AbortController();
    this.inflight = abort;
    this.again = false;
    this.startedAt = Date.now();
    this.loading = true;
    let result: { data: T } | { error: unknown };
    try {
      result = { data: await this.load(abort.signal) };
    } catch (error) {
      result = { error };
    }
    if (this.inflight !== abort) return;
    this.inflight = null;
    this.loading = false;
    if ('error' in result) {
      this.fail(result.error);
      return;
    }
    this.data = result.data;
    this.error = null;
    this.failures = 0;
    if (this.again) this.touch();
    else this.poll();
    connection.heard();
  }

  private fail(error: unknown): void {
    this.error =
      error instanceof ApiError ? error : new ApiError('problem', error instanceof Error ? error.message : String(error));
    switch (this.error.kind) {
      case 'unauthorized':
        connection.heard();
        session.reject();
        return;
      case 'offline':
        connection.lost();
        break;
      case 'forbidden':
      case 'not_found':
        connection.heard();
        return;
      case 'problem':
        connection.heard();
        // The same question would get the same answer.
        if (!this.error.transient) return;
    }
    this.schedule(Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** this.failures));
    this.failures += 1;
  }
}

/** A resource that lives as long as the component that makes it. */
export function resource<T>(load: (signal: AbortSignal) => Promise<T>, options: ResourceOptions = {}): Resource<T> {
  const made = new Resource(load, options);
  $effect(() => {
    options.key?.();
    untrack(() => made.refresh());
  });
  $effect(() => {
    const forget = connection.onRetry(() => made.refresh());
    return () => {
      forget();
      made.stop();
    };
  });
  return made;
}
