// Who is asking and whether the server hears: the token, and the state of the connection. One of each per page.
import { Client } from './api/client';
import { recall, remember } from './storage';

const TOKEN_KEY = 'motif.token';

class Session {
  token = $state<string | null>(recall(TOKEN_KEY));
  /** The server did not accept the last token. */
  rejected = $state(false);

  accept(token: string): void {
    remember(TOKEN_KEY, token);
    this.token = token;
    this.rejected = false;
  }

  reject(): void {
    remember(TOKEN_KEY, null);
    this.token = null;
    this.rejected = true;
  }

  forget(): void {
    remember(TOKEN_KEY, null);
    this.token = null;
    this.rejected = false;
  }
}

class Connection {
  /** Whether the last call reached the server. */
  reachable = $state(true);
  /** Whether the event stream is open. */
  streaming = $state(false);
  /** When the server last answered, in milliseconds. */
  heardAt = $state<number | null>(null);
  private readonly retries = new Set<() => void>();

  heard(): void {
    this.heardAt = Date.now();
    if (this.reachable) return;
    this.reachable = true;
    this.retryNow();
  }

  lost(): void {
    this.reachable = false;
    this.streaming = false;
  }

  /** Registers something to do when the server is back or a person asks for it. */
  onRetry(retry: () => void): () => void {
    this.retries.add(retry);
    return () => this.retries.delete(retry);
  }

  /** Asks again whenever the browser says that something may have changed. */
  start(): () => void {
    const retry = () => this.retryNow();
    const seen = () => document.hidden || this.retryNow();
    addEventListener('online', retry);
    addEventListener('offline', retry);
    document.addEventListener('visibilitychange', seen);
    return () => {
      removeEventListener('online', retry);
      removeEventListener('offline', retry);
      document.removeEventListener('visibilitychange', seen);
    };
  }

  retryNow(): void {
    for (const retry of [...this.retries]) retry();
  }
}

export const session = new Session();
export const connection = new Connection();
export const client = new Client(() => session.token);
