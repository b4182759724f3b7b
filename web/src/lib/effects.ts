// Analysis of variance and importance as rows of text. Pure.
import type { Anova, EffectRow, Importance } from './api/types';
import { fixed, isNumber, MISSING, number, percent, pValue } from './format';

/** A key with its share, between 0 and 1. */
export interface Bar {
  name: string;
  levels: string;
  share: number;
  text: string;
}

/** The keys, the most important first, and what interactions make up. */
export function bars(importance: Importance): Bar[] {
  const bar = (name: string, levels: string, share: number): Bar => ({ name, levels, share, text: percent(share) });
  const rows = importance.rows.map((row) => bar(row.name, String(row.levels), row.share));
  return isNumber(importance.interactions) ? [...rows, bar('interactions', '', importance.interactions)] : rows;
}

/** R² out of sample and what was left out to find it. */
export function predicted(importance: Importance): string {
  if (!isNumber(importance.r_squared)) return '';
  return `R² out of sample: ${fixed(importance.r_squared)} (${importance.r_squared_of}).`;
}

/** What a row of the table stands for. */
export function source(row: EffectRow): string {
  if (row.kind === 'blocks') return 'seed (blocks)';
  return row.factors.length > 0 ? row.factors.join(' × ') : row.kind;
}

/** The table's cells. */
export function anovaRows(anova: Anova): string[][] {
  const blank = (value: number | null | undefined, text: (value: number) => string): string => (isNumber(value) ? text(value) : '');
  return anova.rows.map((row) => [
    source(row),
    String(row.df),
    number(row.sum_sq),
    blank(row.mean_sq, (value) => number(value)),
    blank(row.f, (value) => fixed(value)),
    blank(row.p, (value) => pValue(value)),
    isNumber(row.eta_sq) ? fixed(row.eta_sq, 3) : MISSING,
    blank(row.partial_eta_sq, (value) => fixed(value, 3)),
  ]);
}
