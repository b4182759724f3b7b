// Short names for the generated schema, and the closed sets that the schema leaves as strings.
import type { components } from './schema';

type Schemas = components['schemas'];

export type SweepRow = Schemas['SweepRow'];
export type SweepState = Schemas['SweepState'];
export type SweepPage = Schemas['SweepPage'];
export type SweepDetail = Schemas['SweepDetail'];
export type ConditionRow = Schemas['ConditionRow'];
export type StateCounts = Schemas['StateCounts'];
export type SweepAction = Schemas['SweepAction'];
export type TrialRow = Schemas['TrialRow'];
export type TrialPage = Schemas['TrialPage'];
export type TrialDetail = Schemas['TrialDetail'];
export type TrialMetrics = Schemas['TrialMetrics'];
export type MetricPoint = Schemas['MetricPoint'];
export type AttemptRow = Schemas['AttemptRow'];
export type Snapshot = Schemas['Snapshot'];
export type Summary = Schemas['Summary'];
export type ConditionSummary = Schemas['ConditionSummary'];
export type IntervalRow = Schemas['IntervalRow'];
export type Comparisons = Schemas['Comparisons'];
export type ComparisonRow = Schemas['ComparisonRow'];
export type Curves = Schemas['Curves'];
export type Anova = Schemas['Anova'];
export type EffectRow = Schemas['EffectRow'];
export type Importance = Schemas['Importance'];
export type Ledger = Schemas['Ledger'];
export type LedgerCell = Schemas['LedgerCell'];
export type Verdicts = Schemas['Verdicts'];
export type ClaimVerdict = Schemas['ClaimVerdict'];
export type VerdictKind = Schemas['VerdictKind'];
export type AmendmentRow = Schemas['AmendmentRow'];
export type UntilRow = Schemas['UntilRow'];
export type Verification = Schemas['Verification'];
export type WorkerRow = Schemas['WorkerRow'];
export type Problem = Schemas['Problem'];
export type LiveEvent = Schemas['LiveEvent'];

/** Every state of a trial, in the order in which they are shown. */
export const TRIAL_STATES = ['succeeded', 'diverged', 'stopped', 'failed', 'dead', 'cancelled', 'leased', 'queued'] as const;
export type TrialState = (typeof TRIAL_STATES)[number];

export function isTrialState(value: unknown): value is TrialState {
  return TRIAL_STATES.some((state) => state === value);
}
