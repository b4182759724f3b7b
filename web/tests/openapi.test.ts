import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { curl, operationGroups, properties, refsOf, resolve, typeName, type OpenApi } from '../src/lib/openapi';

const doc = JSON.parse(readFileSync(new URL('../openapi.json', import.meta.url), 'utf8')) as OpenApi;
const groups = operationGroups(doc);
const operation = (id: string) => groups.flatMap((group) => group.operations).find((one) => one.id === id)!;

describe('the description of the server', () => {
  it('shows every operation once', () => {
    const all = Object.entries(doc.paths ?? {}).flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`));
    const shown = groups.flatMap((group) => group.operations.map((one) => `${one.method} ${one.path}`));
    expect(shown.sort()).toEqual(all.sort());
    expect(groups[0]?.tag).toBe('sweeps');
  });

  it('finds the fields of a schema made of parts', () => {
    const names = properties(doc, { $ref: '#/components/schemas/SweepDetail' }).map((row) => row.name);
    expect(names).toEqual(expect.arrayContaining(['id', 'counts', 'condition_rows']));
    expect(new Set(names).size).toBe(names.length);
  });

  it('has no reference that leads nowhere', () => {
    for (const one of groups.flatMap((group) => group.operations)) {
      const schemas = [one.request, ...one.responses.map((response) => response.body)].flatMap((body) => (body?.schema ? [body.schema] : []));
      for (const name of schemas.flatMap(refsOf)) expect(Object.keys(resolve(doc, { $ref: `#/components/schemas/${name}` }).schema), name).not.toEqual([]);
    }
  });
});

describe('typeName', () => {
  it('reads like a type', () => {
    expect(typeName({}, { type: ['string', 'null'], format: 'uuid' })).toBe('string (uuid) or null');
    expect(typeName({}, { type: 'array', items: { $ref: '#/components/schemas/X' } })).toBe('X[]');
    expect(typeName({}, { type: 'object', additionalProperties: { type: 'number' } })).toBe('map of number');
    expect(typeName({}, { oneOf: [{ type: 'null' }, { $ref: '#/X' }] })).toBe('null or X');
    expect(typeName({}, { enum: ['a', 'b'] })).toBe('"a" | "b"');
  });
});

describe('curl', () => {
  it('calls the operation with a token', () => {
    expect(curl(operation('sweep_pause'), 'http://h')).toBe(
      `curl -X POST 'http://h/api/v1/sweeps/ID/pause' \\\n  -H "authorization: Bearer $MOTIF_TOKEN"`,
    );
  });
});
