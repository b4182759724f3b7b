// The page's place, read from and written to the location's hash.
import { handedToken, parseRoute, type Route } from './route';
import { session } from './session.svelte';

class Router {
  route = $state.raw<Route>(parseRoute('#/'));

  start(): () => void {
    const read = () => {
      const handed = handedToken(location.hash);
      if (handed) {
        session.accept(handed.token);
        // The token must not stay in the address bar or the history.
        history.replaceState(null, '', handed.next);
      }
      this.route = parseRoute(location.hash);
    };
    read();
    addEventListener('hashchange', read);
    return () => removeEventListener('hashchange', read);
  }

  /** Changes parts of the query in place; an empty value removes the key. */
  setQuery(values: Record<string, string | undefined>): void {
    const query = new URLSearchParams(this.route.query);
    for (const [key, value] of Object.entries(values)) {
      if (value) query.set(key, value);
      else query.delete(key);
    }
    const path = location.hash.replace(/^#/, '').split('?')[0] || '/';
    const text = query.toString();
    history.replaceState(null, '', `#${path}${text ? `?${text}` : ''}`);
    this.route = parseRoute(location.hash);
  }
}

export const router = new Router();
