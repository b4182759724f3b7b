// Light, dark, or what the system says.
import { recall, remember } from './storage';

const KEY = 'motif.theme';
export const THEMES = ['auto', 'light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];

function isTheme(value: string | null): value is Theme {
  return THEMES.some((theme) => theme === value);
}

class ThemeChoice {
  current = $state<Theme>('auto');

  start(): void {
    const kept = recall(KEY);
    this.set(isTheme(kept) ? kept : 'auto');
  }

  set(theme: Theme): void {
    this.current = theme;
    remember(KEY, theme === 'auto' ? null : theme);
    if (theme === 'auto') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  }
}

export const theme = new ThemeChoice();
