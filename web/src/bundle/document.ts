// Any JSON document as tables that can be read: for what the page has no figure for. Pure.
import { number } from '../lib/format';

export interface Section {
  /** Where it stands in the document: `axes`, `rows.terms`; empty for the document itself. */
  title: string;
  facts: [string, string][];
  columns: string[];
  rows: string[][];
}

const DEPTH_MAX = 4;
const ROWS_MAX = 500;
/** Ids of what the whole page is about. */
const KNOWN = new Set(['sweep_id']);

type Table = Record<string, unknown>;

function isTable(value: unknown): value is Table {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A name for people: `mean_square` becomes `mean square`. */
export function words(name: string): string {
  return name.replaceAll('_', ' ');
}

/** A value as text: numbers short, lists in a line, nothing as a dash. */
export function text(value: unknown): string {
  if (value === null || value === undefined) return '—';
  if (typeof value === 'number') return Number.isInteger(value) ? String(value).replace('-', '−') : number(value);
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'string') return value;
  if (Array.isArray(value)) return value.length === 0 ? '—' : value.map(text).join(', ');
  return Object.entries(value)
    .map(([key, inner]) => `${words(key)} ${text(inner)}`)
    .join(', ');
}

/** The document's own values, then each list of objects as a table, then what lies deeper. */
export function sections(content: unknown, title = '', depth = 0): Section[] {
  if (Array.isArray(content)) return [list(title, content)];
  if (!isTable(content)) return [{ title, facts: [['value', text(content)]], columns: [], rows: [] }];
  const own: Section = { title, facts: [], columns: [], rows: [] };
  const below: Section[] = [];
  for (const [key, value] of Object.entries(content)) {
    const path = title ? `${title} · ${words(key)}` : words(key);
    if (Array.isArray(value) && value.some(isTable)) below.push(list(path, value));
    else if (isTable(value) && depth < DEPTH_MAX) below.push(...sections(value, path, depth + 1));
    else if (!KNOWN.has(key)) own.facts.push([words(key), text(value)]);
  }
  return own.facts.length > 0 ? [own, ...below] : below;
}

function list(title: string, items: unknown[]): Section {
  const shown = items.slice(0, ROWS_MAX);
  const keys = [...new Set(shown.flatMap((item) => (isTable(item) ? Object.keys(item) : [])))];
  const columns = keys.length > 0 ? keys.map(words) : ['value'];
  const rows = shown.map((item) => (isTable(item) ? keys.map((key) => text(item[key])) : [text(item), ...keys.slice(1).map(() => '')]));
  const cut = items.length > ROWS_MAX ? `${title} (the first ${ROWS_MAX} of ${items.length})` : title;
  return { title: cut, facts: [], columns, rows };
}
