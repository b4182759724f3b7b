// The time, for ages and durations on the page.
const TICK_MS = 1000;

class PageClock {
  now = $state(Date.now());

  start(): () => void {
    const timer = setInterval(() => (this.now = Date.now()), TICK_MS);
    return () => clearInterval(timer);
  }
}

export const clock = new PageClock();
