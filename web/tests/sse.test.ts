import { describe, expect, it } from 'vitest';
import { liveEvent, readEvents, SseParser } from '../src/lib/api/sse';
import type { LiveEvent } from '../src/lib/api/types';

const TEXT = ': hello\n\nevent: trial\ndata: {"kind":"trial",\ndata: "trial_id":"t"}\n\nevent: lagged\r\ndata: {"dropped":3}\r\n\r\n';

function parse(pieces: string[]) {
  const parser = new SseParser();
  return pieces.flatMap((piece) => parser.push(piece));
}

describe('SseParser', () => {
  it('finds the same events however the stream is cut', () => {
    const whole = parse([TEXT]);
    expect(whole).toEqual([
      { event: 'trial', data: '{"kind":"trial",\n"trial_id":"t"}' },
      { event: 'lagged', data: '{"dropped":3}' },
    ]);
    expect(parse([...TEXT])).toEqual(whole);
    for (let cut = 1; cut < TEXT.length; cut += 1) expect(parse([TEXT.slice(0, cut), TEXT.slice(cut)])).toEqual(whole);
  });

  it('holds back an event that is not ended', () => {
    expect(parse(['event: x\ndata: 1\n'])).toEqual([]);
  });
});

describe('liveEvent', () => {
  it('takes the kind from the field or from the data', () => {
    expect(liveEvent({ event: 'lagged', data: '{"dropped":3}' })).toEqual({ kind: 'lagged', dropped: 3 });
    expect(liveEvent({ event: 'message', data: '{"kind":"lagged","dropped":1}' })).toEqual({ kind: 'lagged', dropped: 1 });
  });

  it('drops what is not an event', () => {
    expect(liveEvent({ event: 'x', data: 'not json' })).toBeNull();
    expect(liveEvent({ event: 'x', data: '7' })).toBeNull();
  });
});

describe('readEvents', () => {
  const bytes = new TextEncoder().encode('event: lagged\ndata: {"dropped":1}\n\n');

  it('ends with the stream', async () => {
    const seen: LiveEvent[] = [];
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(bytes);
        controller.close();
      },
    });
    await readEvents(body, (event) => seen.push(event));
    expect(seen).toHaveLength(1);
  });

  it('gives up on a stream that falls silent', async () => {
    let cancelled = false;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(bytes),
      cancel: () => void (cancelled = true),
    });
    await readEvents(body, () => undefined, 5);
    expect(cancelled).toBe(true);
  });
});
