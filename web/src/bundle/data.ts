// What `motif export --format bundle` puts into the page, and what the page makes of it. Pure.
import type { Comparisons, Curves, Ledger, Summary, SweepDetail, TrialRow } from '../lib/api/types';

export interface View {
  metric: string;
  summary: Summary | null;
  comparisons: Comparisons | null;
  curves: Curves | null;
}

export type Block =
  | { kind: 'heading' | 'note' | 'paragraph'; text: string }
  | { kind: 'table'; header: string[]; rows: string[][] };

export interface BundleFile {
  path: string;
  bytes: number;
  about: string;
}

/** `manifest.rs` and `page.rs` of the command line write this; `format` rises when it changes its meaning. */
export interface BundleData {
  format: number;
  motif: string;
  made_at: string;
  finished: boolean;
  results_hash: string;
  sweep: SweepDetail;
  views: View[];
  left_out: string[];
  ledger: Ledger;
  documents: { name: string; content: unknown }[];
  trials: TrialRow[];
  trials_in_all: number;
  methods: Block[];
  methods_text: string;
  files: BundleFile[];
}

/** The view of a metric; the sweep's own where there is none. */
export function viewOf(data: BundleData, metric: string): View {
  const view = data.views.find((one) => one.metric === metric) ?? data.views[0];
  if (!view) throw new Error('the bundle holds no figures');
  return view;
}

/** A time in UTC, to the minute: a bundle is read in other zones than it was made in. */
export function utc(time: string | null | undefined): string {
  return time ? `${time.slice(0, 16).replace('T', ' ')} UTC` : '—';
}

/** A file's size. */
export function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const units = ['kB', 'MB', 'GB'];
  let value = bytes / 1000;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value >= 10 ? value.toFixed(0) : value.toFixed(1)} ${units[unit]}`;
}
