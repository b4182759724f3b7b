// The answers to a sweep's claims, in words and as marks that do not lean on colour.
import type { VerdictKind } from './api/types';

export function verdictName(verdict: VerdictKind): string {
  if (verdict === 'supported') return 'supported';
  if (verdict === 'not_supported') return 'not supported';
  return 'undecided at this n';
}

export function verdictMark(verdict: VerdictKind): string {
  if (verdict === 'supported') return '✓';
  if (verdict === 'not_supported') return '✗';
  return '?';
}
