import { readFileSync } from 'node:fs';
import openapiTS, { astToString, COMMENT_HEADER } from 'openapi-typescript';
import { expect, it } from 'vitest';

it('has types that are generated from openapi.json as it is (else run `npm run types`)', async () => {
  const description = new URL('../openapi.json', import.meta.url);
  const generated = COMMENT_HEADER + astToString(await openapiTS(description));
  const committed = readFileSync(new URL('../src/lib/api/schema.d.ts', import.meta.url), 'utf8');
  expect(committed === generated, 'src/lib/api/schema.d.ts is stale: run `npm run types`').toBe(true);
});
