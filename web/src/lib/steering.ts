// What a sweep's page says of its steering: amendments, sequential replication, reproducibility. Pure.
import type { AmendmentRow, UntilRow, Verification } from './api/types';
import { count, dateTime, metricName, plural } from './format';

const UNTIL: Record<string, string> = {
  running: 'goes on',
  reached: 'reached',
  exhausted: 'not reached, and all seeds are spent',
};

export function amendmentText(row: AmendmentRow): string {
  const parts = [
    row.added_seeds > 0 ? `+${plural(row.added_seeds, 'seed')}` : '',
    row.added_conditions > 0 ? `+${plural(row.added_conditions, 'condition')}` : '',
  ].filter(Boolean);
  const what = parts.length > 0 ? `${parts.join(', ')} (${plural(row.added_trials, 'trial')})` : 'another spec, no trials';
  return `Amended ${dateTime(row.at)} by ${row.principal}: ${what}${row.note ? `: ${row.note}` : ''}`;
}

export function untilText(until: UntilRow): string {
  const last = until.half_width == null ? '' : ` at ± ${Number(until.half_width.toPrecision(3))}`;
  return (
    `Until ± ${until.target} on ${metricName(until.metric)}: ${UNTIL[until.state] ?? until.state}${last} ` +
    `with ${plural(until.seeds, 'seed')} (at most ${count(until.max_seeds)})`
  );
}

export function reproducibilityText(found: Verification): string {
  const { verified, mismatched, unverified } = found;
  return `Reproducibility: ${count(verified)} verified, ${count(mismatched)} mismatched, ${count(unverified)} unverified`;
}

/** What the re-runs say of one trial; nothing when it was not re-run. */
export function trialVerdict(found: Verification | null | undefined, trialId: string): string | null {
  const compared = found?.trials.find((run) => run.original.trial_id === trialId);
  if (!compared || compared.reruns.length === 0) return null;
  return `${compared.verdict}, ${plural(compared.reruns.length, 're-run')}`;
}
