// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ApiError } from '../src/lib/api/client';
import { Resource } from '../src/lib/resource.svelte';
import { connection, session } from '../src/lib/session.svelte';

const offline = () => new ApiError('offline', 'gone');

beforeEach(() => {
  vi.useFakeTimers();
  connection.reachable = true;
  session.accept('motif_1');
});
afterEach(() => {
  vi.useRealTimers();
});

describe('Resource', () => {
  it('asks at most once per gap, and once more after the last event', async () => {
    const load = vi.fn(() => Promise.resolve(load.mock.calls.length));
    const part = new Resource(load, { gapMs: 1000 });
    part.refresh();
    await vi.advanceTimersByTimeAsync(0);
    for (let event = 0; event < 50; event += 1) {
      part.touch();
      await vi.advanceTimersByTimeAsync(10);
    }
    expect(load).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(1000);
    expect(load).toHaveBeenCalledTimes(2);
    expect(part.data).toBe(2);
    part.stop();
  });

  it('keeps its data through an outage, retries ever less often, and recovers', async () => {
    let up = true;
    const load = vi.fn(() => (up ? Promise.resolve('data') : Promise.reject(offline())));
    const part = new Resource(load);
    part.refresh();
    await vi.advanceTimersByTimeAsync(0);
    up = false;
    part.refresh();
    await vi.advanceTimersByTimeAsync(0);
    expect(part.data).toBe('data');
    expect(part.error?.kind).toBe('offline');
    expect(connection.reachable).toBe(false);
    await vi.advanceTimersByTimeAsync(1000 + 2000 + 4000);
    expect(load).toHaveBeenCalledTimes(5);
    up = true;
    await vi.advanceTimersByTimeAsync(8000);
    expect(part.error).toBeNull();
    expect(connection.reachable).toBe(true);
    part.stop();
  });

  it('does not repeat what cannot succeed', async () => {
    const load = vi.fn(() => Promise.reject(new ApiError('not_found', 'none')));
    const part = new Resource(load);
    part.refresh();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(load).toHaveBeenCalledTimes(1);
    part.stop();
  });

  it('gives up the token that the server refuses', async () => {
    const part = new Resource(() => Promise.reject(new ApiError('unauthorized', 'no')));
    part.refresh();
    await vi.advanceTimersByTimeAsync(0);
    expect(session.token).toBeNull();
    expect(session.rejected).toBe(true);
    part.stop();
  });

  it('shows only the newest answer', async () => {
    const answers: ((text: string) => void)[] = [];
    const part = new Resource(() => new Promise<string>((resolve) => answers.push(resolve)));
    part.refresh();
    part.refresh();
    answers[1]?.('new');
    await vi.advanceTimersByTimeAsync(0);
    answers[0]?.('old');
    await vi.advanceTimersByTimeAsync(0);
    expect(part.data).toBe('new');
    part.stop();
  });

  it('is silent once stopped', async () => {
    const load = vi.fn(() => Promise.resolve(1));
    const part = new Resource(load, { pollMs: () => 100 });
    part.refresh();
    await vi.advanceTimersByTimeAsync(250);
    expect(load).toHaveBeenCalledTimes(3);
    part.stop();
    part.touch();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(load).toHaveBeenCalledTimes(3);
  });
});
