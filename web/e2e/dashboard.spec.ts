// The dashboard in a real browser against a running server.
//   MOTIF_E2E_URL    the address with the token, as `motif up` prints it: http://127.0.0.1:8080/#token=motif_…
//   MOTIF_E2E_SWEEP  id of a finished sweep there
//   MOTIF_E2E_SHOTS  optional: a folder for screenshots of every page
import AxeBuilder from '@axe-core/playwright';
import { expect, test, type Page } from '@playwright/test';
import type { ComparisonRow, Comparisons, Summary, SweepDetail, TrialDetail, TrialPage, Verdicts } from '../src/lib/api/types';

const address = process.env.MOTIF_E2E_URL ?? '';
const sweepId = process.env.MOTIF_E2E_SWEEP ?? '';
const shots = process.env.MOTIF_E2E_SHOTS;
const origin = address ? new URL(address).origin : '';
const token = new URLSearchParams(address ? new URL(address).hash.slice(1) : '').get('token') ?? '';

test.skip(!address || !sweepId, 'MOTIF_E2E_URL and MOTIF_E2E_SWEEP name what to look at');

async function api<T>(page: Page, path: string): Promise<T> {
  const response = await page.request.get(`${origin}/api/v1${path}`, { headers: { authorization: `Bearer ${token}` } });
  expect(response.status(), path).toBe(200);
  return (await response.json()) as T;
}

/** Collects everything that the console calls an error. */
function consoleErrors(page: Page): string[] {
  const errors: string[] = [];
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  page.on('pageerror', (error) => errors.push(String(error)));
  return errors;
}

async function signIn(page: Page): Promise<void> {
  await page.goto(address);
  await expect(page.getByRole('heading', { level: 1, name: 'Sweeps' })).toBeVisible();
}

async function trialOf(page: Page): Promise<string> {
  const trials = await api<TrialPage>(page, `/sweeps/${sweepId}/trials`);
  const id = trials.items.find((trial) => trial.state === 'succeeded')?.id;
  expect(id, 'the sweep has a trial that succeeded').toBeDefined();
  return id ?? '';
}

test('takes the token from the address and leaves it nowhere in sight', async ({ page }) => {
  await signIn(page);
  expect(page.url()).not.toContain('motif_');
  await page.reload();
  await expect(page.getByRole('heading', { level: 1, name: 'Sweeps' })).toBeVisible();
});

test('lists the sweep as finished', async ({ page }) => {
  const errors = consoleErrors(page);
  await signIn(page);
  const sweep = await api<SweepDetail>(page, `/sweeps/${sweepId}`);
  const item = page.getByRole('listitem').filter({ has: page.locator(`a[href="#/sweeps/${sweepId}"]`) });
  await expect(item).toContainText(sweep.name);
  await expect(item).toContainText('finished');
  await expect(item).toContainText('100 %');
  await expect(item.getByRole('img')).toHaveAccessibleName(new RegExp(`${sweep.counts.succeeded} succeeded`));
  await expect(page.getByRole('status').filter({ hasText: 'live' })).toBeVisible();
  expect(errors).toEqual([]);
});

test('shows a sweep: both figures, the conditions, the ledger, the trials', async ({ page }) => {
  const errors = consoleErrors(page);
  await signIn(page);
  await page.goto(`${origin}/#/sweeps/${sweepId}`);
  const summary = await api<Summary>(page, `/sweeps/${sweepId}/summary`);
  const sweep = await api<SweepDetail>(page, `/sweeps/${sweepId}`);
  const values = summary.conditions.reduce((sum, condition) => sum + condition.values.length, 0);
  expect(values, 'the sweep has values').toBeGreaterThan(0);

  const first = page.getByRole('figure').filter({ hasText: 'Figure 1' });
  await expect(first.locator('svg[role="img"]')).toHaveAccessibleName(/by condition/);
  await expect(first.locator('svg .seed-dots circle')).toHaveCount(values);
  await expect(first.locator('svg .means path')).toHaveCount(summary.conditions.filter((row) => row.mean != null).length);
  const second = page.getByRole('figure').filter({ hasText: 'Figure 2' });
  await expect(second.locator('svg[role="img"]')).toHaveAccessibleName(/Learning curves/);
  await expect(second.locator('svg .curve path')).not.toHaveCount(0);

  const rows = page.locator('table.conditions tbody tr');
  await expect(rows).toHaveCount(summary.conditions.length);
  for (const [index, condition] of summary.conditions.entries()) {
    const row = rows.nth(index);
    await expect(row.getByRole('rowheader')).toContainText(condition.label);
    if (condition.interval) await expect(row.locator('.estimate')).toHaveText(/\d ± \d|\[.+, .+\]/);
  }
  const verdicts = await api<Verdicts>(page, `/sweeps/${sweepId}/verdicts`);
  const answers = page.locator('table.claims tbody tr');
  await expect(answers).toHaveCount(verdicts.claims.length);
  for (const [index, claim] of verdicts.claims.entries()) {
    await expect(answers.nth(index).getByRole('rowheader')).toContainText(claim.text);
    await expect(answers.nth(index)).toContainText({ supported: '✓ supported', not_supported: '✗ not supported', undecided: '? undecided' }[claim.verdict]);
  }
  const comparisons = await api<Comparisons>(page, `/sweeps/${sweepId}/comparisons`);
  if (comparisons.rows.some((row: ComparisonRow) => row.p_adjusted != null)) {
    await expect(page.getByRole('columnheader', { name: /^p \(/ })).toBeVisible();
  }
  await expect(page.locator('a.cell')).toHaveCount(sweep.conditions * sweep.seeds);
  await expect(page.locator('table.trials tbody tr').first()).toBeVisible();

  await first.getByRole('button', { name: /Show data/ }).click();
  await expect(first.locator('tbody tr')).toHaveCount(values);
  await expect(page.locator('body')).not.toContainText(/NaN|undefined|Infinity/);
  await expect(page).toHaveTitle(new RegExp(`100 % · `));
  expect(errors).toEqual([]);
});

test('keeps the chosen metric in the address and hides a curve', async ({ page }) => {
  await signIn(page);
  await page.goto(`${origin}/#/sweeps/${sweepId}`);
  const picker = page.getByLabel('Metric');
  await expect(picker.locator('option').nth(1)).toBeAttached();
  const names = await picker.locator('option').evaluateAll((all) => all.map((one) => (one as HTMLOptionElement).value));
  const current = await picker.inputValue();
  const other = names.find((name) => name !== current && /^(test|train)_(loss|accuracy)$/.test(name));
  expect(other, 'there is a second metric').toBeDefined();
  await picker.selectOption(other ?? '');
  await expect(page).toHaveURL(new RegExp(`metric=${other}`));
  const second = page.getByRole('figure').filter({ hasText: 'Figure 2' });
  await expect(second).toContainText((other ?? '').replaceAll('_', ' '));
  const curves = second.locator('svg .curve path');
  const before = await curves.count();
  await second.locator('.legend button').first().click();
  await expect(curves).toHaveCount(before - 1);
});

test('saves the export', async ({ page }) => {
  await signIn(page);
  await page.goto(`${origin}/#/sweeps/${sweepId}`);
  const download = page.waitForEvent('download');
  await page.getByRole('button', { name: 'CSV' }).click();
  expect((await download).suggestedFilename()).toMatch(/\.csv$/);
});

test('shows a trial: curves, attempts, config, provenance', async ({ page }) => {
  const errors = consoleErrors(page);
  await signIn(page);
  const id = await trialOf(page);
  const trial = await api<TrialDetail>(page, `/trials/${id}`);
  await page.goto(`${origin}/#/sweeps/${sweepId}`);
  await page.locator(`a.cell[href="#/trials/${id}"]`).click();
  await expect(page.getByRole('heading', { level: 1 })).toContainText(trial.label);
  await expect(page.getByRole('figure').filter({ hasText: 'Accuracy' }).locator('svg .curve path')).not.toHaveCount(0);
  await expect(page.getByRole('figure').filter({ hasText: 'Loss' }).locator('svg .curve path')).not.toHaveCount(0);
  await expect(page.locator('table.attempts tbody tr')).toHaveCount(trial.attempt_rows.length);
  await expect(page.locator('table.attempts')).toContainText('succeeded');
  await expect(page.getByText(trial.result_hash ?? 'no hash').first()).toBeVisible();
  await expect(page.getByRole('rowheader', { name: 'dataset', exact: true })).toBeVisible();
  await expect(page.locator('body')).not.toContainText(/NaN|undefined|Infinity/);
  expect(errors).toEqual([]);
});

test('saves a snapshot of a trial', async ({ page }) => {
  await signIn(page);
  await page.goto(`${origin}/#/trials/${await trialOf(page)}`);
  await expect(page.locator('table.snapshots tbody tr')).toHaveCount(4);
  const download = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Save step-000000.npz' }).click();
  expect((await download).suggestedFilename()).toBe('step-000000.npz');
  await expect(page.getByText('step-000000.npz saved')).toBeVisible();
});

test('asks for a token when it has none, and says when one is refused', async ({ page }) => {
  await page.goto(`${origin}/`);
  await expect(page.getByRole('heading', { name: 'This dashboard needs a token' })).toBeVisible();
  await page.getByLabel('Token', { exact: true }).fill('nonsense');
  await page.getByRole('button', { name: 'Open' }).click();
  await expect(page.getByText('A token begins with')).toBeVisible();
  await page.getByLabel('Token', { exact: true }).fill(`motif_${'0'.repeat(64)}`);
  await page.getByRole('button', { name: 'Open' }).click();
  await expect(page.getByRole('heading', { name: 'The server did not accept the token' })).toBeVisible();
  await page.getByLabel('Token', { exact: true }).fill(token);
  await page.getByRole('button', { name: 'Open' }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'Sweeps' })).toBeVisible();
});

test('keeps what it showed when the server is gone, and recovers', async ({ page, context }) => {
  await signIn(page);
  const link = page.locator(`a[href="#/sweeps/${sweepId}"]`);
  await expect(link).toBeVisible();
  await context.route('**/api/**', (route) => route.abort('connectionrefused'));
  // The next call fails: paging, a poll or a retry. Going to the workers makes one at once.
  await page.getByRole('link', { name: 'Workers' }).click();
  await expect(page.getByRole('alert').filter({ hasText: 'cannot be reached' })).toBeVisible();
  await context.unroute('**/api/**');
  await page.getByRole('button', { name: 'Try now' }).click();
  await expect(page.getByRole('alert').filter({ hasText: 'cannot be reached' })).toBeHidden();
  await page.getByRole('link', { name: 'Sweeps' }).click();
  await expect(link).toBeVisible();
  await context.setOffline(true);
  await expect(page.getByRole('alert').filter({ hasText: 'cannot be reached' })).toBeVisible({ timeout: 30_000 });
  await expect(link).toBeVisible();
});

test('says so when there is no such thing', async ({ page }) => {
  await signIn(page);
  await page.goto(`${origin}/#/sweeps/00000000-0000-7000-8000-000000000000`);
  await expect(page.getByText('Not found')).toBeVisible();
});

for (const scheme of ['light', 'dark'] as const) {
  for (const width of [1280, 360]) {
    test(`every page is accessible and fits, ${scheme}, ${width} px`, async ({ page }) => {
      await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
      await page.setViewportSize({ width, height: 800 });
      const errors = consoleErrors(page);
      await page.goto(`${origin}/`);
      await inspect(page, 'no-token', scheme, width, page.getByLabel('Token', { exact: true }));
      await signIn(page);
      const id = await trialOf(page);
      const pages = [
        { name: 'sweeps', path: '/', ready: page.locator(`a[href="#/sweeps/${sweepId}"]`) },
        { name: 'sweep', path: `/sweeps/${sweepId}`, ready: page.locator('svg .curve').first() },
        { name: 'trial', path: `/trials/${id}`, ready: page.locator('svg .curve').last() },
        { name: 'workers', path: '/workers', ready: page.getByRole('heading', { level: 1, name: 'Workers' }) },
        { name: 'docs', path: '/docs', ready: page.locator('details').first() },
      ];
      for (const { name, path, ready } of pages) {
        await page.goto(`${origin}/#${path}`);
        await inspect(page, name, scheme, width, ready);
      }
      expect(errors.filter((error) => !error.includes('401'))).toEqual([]);
    });
  }
}

async function inspect(page: Page, name: string, scheme: string, width: number, ready: ReturnType<Page['locator']>): Promise<void> {
  await expect(ready).toBeVisible();
  await expect(page.getByText('Loading:')).toHaveCount(0);
  if (name === 'docs') await page.locator('details summary').nth(2).click();
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  expect(overflow, `${name} scrolls sideways`).toBeLessThanOrEqual(0);
  if (shots) await page.screenshot({ path: `${shots}/${name}-${scheme}-${width}.png`, fullPage: true });
  const { violations } = await new AxeBuilder({ page }).withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']).analyze();
  const found = violations.map((violation) => `${violation.id}: ${violation.nodes.map((node) => node.target.join(' ')).join(', ')}`);
  expect(found, `axe on ${name}`).toEqual([]);
}
