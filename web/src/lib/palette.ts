// Colours and dashes of conditions: Okabe and Ito's set, tuned in app.css for each theme. Beyond eight, dashes tell apart.

export const PALETTE_SIZE = 8;
const DASHES = ['none', '6 3', '2 3', '8 3 2 3'];

/** The CSS colour of a series. */
export function colour(index: number): string {
  return `var(--c${index % PALETTE_SIZE})`;
}

/** The stroke's dash pattern of a series. */
export function dash(index: number): string {
  return DASHES[Math.floor(index / PALETTE_SIZE) % DASHES.length] ?? 'none';
}
