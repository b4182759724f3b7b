// The live event stream of the view on screen, reconnected for as long as the view lives.
import { ApiError } from './api/client';
import { readEvents } from './api/sse';
import type { LiveEvent } from './api/types';
import { client, connection, session } from './session.svelte';

const RETRY_FIRST_MS = 1000;
const RETRY_MAX_MS = 15_000;

interface Listener {
  /** Only events of this sweep; all events when undefined. Tracked. */
  sweep?: () => string | undefined;
  onEvent: (event: LiveEvent) => void;
  /** Events may have been missed: read everything again. */
  onGap: () => void;
}

/** Listens for as long as the component lives. */
export function live(listener: Listener): void {
  $effect(() => {
    const sweep = listener.sweep?.();
    if (!session.token) return;
    const abort = new AbortController();
    void follow(sweep, listener, abort.signal);
    return () => abort.abort();
  });
}

async function follow(sweep: string | undefined, listener: Listener, signal: AbortSignal): Promise<void> {
  const url = `/api/v1/events${sweep ? `?sweep=${encodeURIComponent(sweep)}` : ''}`;
  let failures = 0;
  let opened = 0;
  while (!signal.aborted) {
    try {
      const response = await client.raw(url, { headers: { accept: 'text/event-stream' }, signal });
      connection.heard();
      connection.streaming = true;
      failures = 0;
      if (opened++ > 0) listener.onGap();
      if (response.body) {
        await readEvents(response.body, (event) => {
          if (event.kind === 'lagged') listener.onGap();
          else listener.onEvent(event);
        });
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && error.kind === 'unauthorized') {
        session.reject();
        return;
      }
      if (error instanceof ApiError && error.kind === 'offline') connection.lost();
    }
    if (signal.aborted) return;
    connection.streaming = false;
    await pause(Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** failures++), signal);
  }
}

/** Waits; a person's "try now" or the end of the view cuts it short. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      forget();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    const forget = connection.onRetry(done);
    signal.addEventListener('abort', done);
  });
}
