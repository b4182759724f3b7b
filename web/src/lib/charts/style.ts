// What all charts share.
import type { PlotOptions, TipOptions } from '@observablehq/plot';

export const AXIS: PlotOptions = {
  style: { background: 'transparent', color: 'var(--muted)', fontFamily: 'inherit', fontSize: '12px', overflow: 'visible' },
};

export const TIP: TipOptions = {
  fill: 'var(--panel)',
  stroke: 'var(--line-strong)',
  fontSize: 12,
  textPadding: 7,
};

/** Makes a chart one image with a text, for readers that do not see it. */
export function finish(node: Element, text: string): Element {
  node.setAttribute('role', 'img');
  node.setAttribute('aria-label', text);
  // Plot's own style element would break a policy without inline styles; app.css says the same.
  for (const style of node.querySelectorAll('style')) style.remove();
  // What Plot says of its parts is in the text already, and some of it is not allowed within an image.
  for (const part of node.querySelectorAll('[aria-label], [aria-description]')) {
    part.removeAttribute('aria-label');
    part.removeAttribute('aria-description');
  }
  return node;
}
