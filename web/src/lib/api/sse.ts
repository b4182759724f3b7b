// Server-sent events over fetch: `EventSource` cannot send the token's header. Parsing is separate from reading.
import type { LiveEvent } from './types';

/** One event of the stream. */
export interface SseEvent {
  event: string;
  data: string;
}

/** Turns pieces of a stream into events; a piece may end anywhere. */
export class SseParser {
  private rest = '';
  private event = '';
  private data: string[] = [];

  push(piece: string): SseEvent[] {
    const found: SseEvent[] = [];
    const lines = (this.rest + piece).split(/\r\n|\n|\r(?!$)/);
    this.rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '') {
        if (this.data.length > 0) found.push({ event: this.event || 'message', data: this.data.join('\n') });
        this.event = '';
        this.data = [];
        continue;
      }
      if (line.startsWith(':')) continue;
      const colon = line.indexOf(':');
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
      if (field === 'event') this.event = value;
      else if (field === 'data') this.data.push(value);
    }
    return found;
  }
}

/** The live event in an SSE event, or nothing when it is none that this page knows. */
export function liveEvent({ event, data }: SseEvent): LiveEvent | null {
  try {
    const value: unknown = JSON.parse(data);
    if (typeof value !== 'object' || value === null) return null;
    return { kind: event, ...value } as LiveEvent;
  } catch {
    return null;
  }
}

/** Without a byte for this long the stream counts as broken; the server sends a comment far more often. */
export const SILENCE_LIMIT_MS = 60_000;

/** Reads events until the stream ends, breaks, falls silent or is aborted. */
export async function readEvents(
  body: ReadableStream<Uint8Array>,
  onEvent: (event: LiveEvent) => void,
  silenceLimitMs = SILENCE_LIMIT_MS,
): Promise<void> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const parser = new SseParser();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const rearm = () => {
    clearTimeout(timer);
    timer = setTimeout(() => void reader.cancel().catch(() => undefined), silenceLimitMs);
  };
  try {
    for (;;) {
      rearm();
      const { done, value } = await reader.read();
      if (done) return;
      for (const event of parser.push(decoder.decode(value, { stream: true }))) {
        const live = liveEvent(event);
        if (live) onEvent(live);
      }
    }
  } finally {
    clearTimeout(timer);
  }
}
