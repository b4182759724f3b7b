// A bundle opened from disk, without a server and without a network.
//   MOTIF_E2E_BUNDLE  the folder that `motif export --format bundle` wrote
//   MOTIF_E2E_SHOTS   optional: a folder for screenshots
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import AxeBuilder from '@axe-core/playwright';
import { expect, test, type Page } from '@playwright/test';
import type { Comparisons, Curves, Ledger, Summary, Verdicts } from '../src/lib/api/types';

const folder = process.env.MOTIF_E2E_BUNDLE ?? '';
const shots = process.env.MOTIF_E2E_SHOTS ?? 'test-results/shots';
const address = folder ? pathToFileURL(join(folder, 'index.html')).href : '';

test.skip(!folder, 'MOTIF_E2E_BUNDLE names what to look at');

function read<T>(name: string): T {
  return JSON.parse(readFileSync(join(folder, 'data', `${name}.json`), 'utf8')) as T;
}

/** Opens the page; whatever it asks for beyond itself, and whatever the console calls an error, is kept. */
async function open(page: Page): Promise<string[]> {
  const faults: string[] = [];
  await page.context().setOffline(true);
  page.on('request', (request) => request.url() !== address && !request.url().startsWith('data:') && faults.push(`asked for ${request.url()}`));
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && faults.push(message.text()));
  page.on('pageerror', (error) => faults.push(String(error)));
  await page.goto(address);
  await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
  await expect(page.locator('svg .curve').first()).toBeVisible();
  return faults;
}

test('shows the figures, every mark of them, and the tables', async ({ page }) => {
  const faults = await open(page);
  const summary = read<Summary>('summary');
  const curves = read<Curves>('curves');
  const ledger = read<Ledger>('ledger');
  const values = summary.conditions.reduce((sum, condition) => sum + condition.values.length, 0);
  expect(values, 'the bundle has values').toBeGreaterThan(0);

  const first = page.getByRole('figure').filter({ hasText: 'Figure 1' });
  await expect(first.locator('svg .seed-dots circle')).toHaveCount(values);
  await expect(first.locator('svg .means path')).toHaveCount(summary.conditions.filter((row) => row.mean != null).length);
  await expect(first.locator('svg .intervals line')).toHaveCount(summary.conditions.filter((row) => row.interval).length);
  const second = page.getByRole('figure').filter({ hasText: 'Figure 2' });
  await expect(second.locator('svg .curve path')).toHaveCount(curves.conditions.filter((row) => row.points.length > 0).length);
  await expect(second.locator('svg .band path').first()).toBeAttached();
  await expect(page.locator('table.conditions tbody tr')).toHaveCount(summary.conditions.length);
  await expect(page.locator('table.claims tbody tr')).toHaveCount(read<Verdicts>('verdicts').claims.length);
  await expect(page.locator('table.tests tbody tr')).toHaveCount(read<Comparisons>('comparisons').rows.length);
  const cells = ledger.rows.flatMap((row) => row.cells).filter((cell) => cell.trial_id);
  await expect(page.locator('a.cell')).toHaveCount(cells.length);
  await expect(page.locator('table.trials tbody tr')).toHaveCount(cells.length);
  await expect(page.getByText('BLAKE3 over all results')).toContainText(/[0-9a-f]{64}/);
  await expect(page.getByRole('heading', { name: 'Methods and results' })).toBeVisible();
  // What a file holds is told with the word NaN; no number is.
  const panels = await page.locator('main section').filter({ hasNot: page.locator('table.files') }).allInnerTexts();
  expect(panels.length).toBeGreaterThan(5);
  expect(panels.filter((text) => /NaN|undefined|Infinity/.test(text))).toEqual([]);
  for (const link of await page.locator('table.files a').all()) {
    readFileSync(join(folder, (await link.getAttribute('href')) ?? ''));
  }
  expect(faults).toEqual([]);
});

test('is used with the keyboard: another metric, a hidden curve, a trial', async ({ page }) => {
  const faults = await open(page);
  const picker = page.getByLabel('Metric');
  const names = await picker.locator('option').evaluateAll((all) => all.map((one) => (one as HTMLOptionElement).value));
  const other = names.find((name) => name === 'test_loss');
  expect(other, 'there is a second metric').toBeDefined();
  await picker.selectOption(other ?? '');
  await expect(page.getByRole('figure').filter({ hasText: 'Figure 1' })).toContainText('test loss');
  const curves = page.getByRole('figure').filter({ hasText: 'Figure 2' }).locator('svg .curve path');
  const before = await curves.count();
  await page.locator('.legend button').first().focus();
  await page.keyboard.press('Space');
  await expect(curves).toHaveCount(before - 1);
  const cell = page.locator('a.cell').first();
  const target = (await cell.getAttribute('href')) ?? '';
  await cell.focus();
  await page.keyboard.press('Enter');
  await expect(page.locator(`[id="${target.slice(1)}"]`)).toBeInViewport();
  expect(faults).toEqual([]);
});

test('shows figures and text without scripts too', async ({ browser }) => {
  const context = await browser.newContext({ javaScriptEnabled: false, offline: true });
  const page = await context.newPage();
  await page.goto(address);
  await expect(page.getByRole('figure')).toHaveCount(readdirSync(join(folder, 'figures')).filter((name) => name.endsWith('.svg')).length);
  expect((await page.locator('main.static p').allTextContents()).join(' ')).toContain('Each trial trained for');
  await context.close();
});

test('its SVG files open by themselves', async ({ page }) => {
  for (const name of readdirSync(join(folder, 'figures')).filter((one) => one.endsWith('.svg'))) {
    await page.setViewportSize({ width: 700, height: 560 });
    await page.goto(pathToFileURL(join(folder, 'figures', name)).href);
    await expect(page.locator('svg text').first()).toBeVisible();
    await page.screenshot({ path: `${shots}/figure-${name}.png` });
  }
});

for (const scheme of ['light', 'dark'] as const) {
  for (const width of [1280, 360]) {
    test(`is accessible and fits, ${scheme}, ${width} px`, async ({ page }) => {
      await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
      await page.setViewportSize({ width, height: 800 });
      const faults = await open(page);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      expect(overflow, 'the page scrolls sideways').toBeLessThanOrEqual(0);
      await page.screenshot({ path: `${shots}/bundle-${scheme}-${width}.png`, fullPage: true });
      const { violations } = await new AxeBuilder({ page }).withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']).analyze();
      expect(violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.target.join(' ')).join(', ')}`)).toEqual([]);
      expect(faults).toEqual([]);
    });
  }
}

test('prints light, without controls', async ({ page }) => {
  await page.emulateMedia({ colorScheme: 'dark' });
  await open(page);
  await page.emulateMedia({ media: 'print' });
  await expect(page.getByLabel('Metric')).toBeHidden();
  const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  expect(ground).toBe('rgb(255, 255, 255)');
  const text = await page.evaluate(() => getComputedStyle(document.body).color);
  expect(text).toBe('rgb(26, 31, 38)');
});
