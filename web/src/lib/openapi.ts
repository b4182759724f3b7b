// An OpenAPI document → what the page shows of it. Pure; knows only the parts of the format that the server uses.

export interface Schema {
  $ref?: string;
  type?: string | string[];
  format?: string;
  description?: string;
  enum?: unknown[];
  const?: unknown;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  additionalProperties?: Schema | boolean;
  allOf?: Schema[];
  oneOf?: Schema[];
  anyOf?: Schema[];
  minimum?: number;
  maximum?: number;
  default?: unknown;
}

interface Parameter {
  name: string;
  in: string;
  required?: boolean;
  description?: string;
  schema?: Schema;
}

interface RawOperation {
  tags?: string[];
  operationId?: string;
  summary?: string;
  description?: string;
  parameters?: Parameter[];
  requestBody?: { description?: string; content?: Record<string, { schema?: Schema }> };
  responses?: Record<string, { description?: string; content?: Record<string, { schema?: Schema }> }>;
  security?: unknown[];
  'x-motif-scope'?: string;
}

export interface OpenApi {
  info?: { title?: string; version?: string; description?: string };
  tags?: { name: string; description?: string }[];
  paths?: Record<string, Record<string, RawOperation>>;
  components?: { schemas?: Record<string, Schema> };
}

export interface Body {
  media: string;
  schema: Schema | null;
}

export interface Operation {
  id: string;
  method: string;
  path: string;
  summary: string;
  description: string;
  parameters: Parameter[];
  /** What a token needs; nothing where none is asked for. */
  scope: string | null;
  request: Body | null;
  responses: { status: string; description: string; body: Body | null }[];
}

export interface OperationGroup {
  tag: string;
  about: string;
  operations: Operation[];
}

/** What people call comes before what workers call; tags that are not named come last. */
const TAG_ORDER = ['sweeps', 'trials', 'events', 'workers', 'datasets', 'tokens', 'system', 'work'];
const METHODS = ['get', 'post', 'put', 'patch', 'delete'];

export function operationGroups(doc: OpenApi): OperationGroup[] {
  const groups = new Map<string, Operation[]>();
  for (const tag of doc.tags ?? []) groups.set(tag.name, []);
  for (const [path, methods] of Object.entries(doc.paths ?? {})) {
    for (const method of METHODS) {
      const raw = methods[method];
      if (!raw) continue;
      const tag = raw.tags?.[0] ?? 'other';
      groups.set(tag, [...(groups.get(tag) ?? []), operation(method, path, raw)]);
    }
  }
  return [...groups]
    .filter(([, operations]) => operations.length > 0)
    .sort(([a], [b]) => place(a) - place(b))
    .map(([tag, operations]) => ({
      tag,
      about: doc.tags?.find((one) => one.name === tag)?.description ?? '',
      operations,
    }));
}

function place(tag: string): number {
  const at = TAG_ORDER.indexOf(tag);
  return at < 0 ? TAG_ORDER.length : at;
}

function operation(method: string, path: string, raw: RawOperation): Operation {
  return {
    id: raw.operationId ?? `${method} ${path}`,
    method: method.toUpperCase(),
    path,
    summary: raw.summary ?? '',
    description: raw.description ?? '',
    parameters: raw.parameters ?? [],
    scope: raw['x-motif-scope'] ?? null,
    request: bodyOf(raw.requestBody?.content),
    responses: Object.entries(raw.responses ?? {}).map(([status, response]) => ({
      status,
      description: response.description ?? '',
      body: bodyOf(response.content),
    })),
  };
}

function bodyOf(content: Record<string, { schema?: Schema }> | undefined): Body | null {
  const [media, body] = Object.entries(content ?? {})[0] ?? [];
  return media === undefined ? null : { media, schema: body?.schema ?? null };
}

/** The last part of a reference: the schema's name. */
export function refName(ref: string): string {
  return ref.split('/').pop() ?? ref;
}

/** The schema behind references, and its name when it has one. */
export function resolve(doc: OpenApi, schema: Schema): { schema: Schema; name: string | null } {
  let current = schema;
  let name: string | null = null;
  for (let hops = 0; current.$ref && hops < 8; hops += 1) {
    name = refName(current.$ref);
    current = doc.components?.schemas?.[name] ?? {};
  }
  return { schema: current, name };
}

/** A schema's type in a few words: `SweepRow[]`, `string (uuid) or null`. */
export function typeName(doc: OpenApi, schema: Schema): string {
  if (schema.$ref) return refName(schema.$ref);
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices) return choices.map((choice) => typeName(doc, choice)).join(' or ');
  if (schema.allOf) return schema.allOf.map((part) => typeName(doc, part)).join(' & ');
  const types = [schema.type ?? (schema.properties ? 'object' : 'any')].flat();
  return types
    .map((type) => {
      if (type === 'array') return `${schema.items ? typeName(doc, schema.items) : 'any'}[]`;
      if (type === 'object' && typeof schema.additionalProperties === 'object') {
        return `map of ${typeName(doc, schema.additionalProperties)}`;
      }
      return schema.format && type !== 'null' ? `${type} (${schema.format})` : type;
    })
    .join(' or ');
}

export interface PropertyRow {
  name: string;
  type: string;
  required: boolean;
  description: string;
  /** Names of schemas that the type mentions. */
  refs: string[];
}

/** The properties of an object, those of its parts included. */
export function properties(doc: OpenApi, schema: Schema): PropertyRow[] {
  const { schema: own } = resolve(doc, schema);
  const parts = (own.allOf ?? []).flatMap((part) => properties(doc, part));
  const rows = Object.entries(own.properties ?? {}).map(([name, property]) => ({
    name,
    type: typeName(doc, property),
    required: own.required?.includes(name) ?? false,
    description: property.description ?? '',
    refs: refsOf(property),
  }));
  return [...parts, ...rows];
}

/** Names of the schemas that a schema mentions directly. */
export function refsOf(schema: Schema): string[] {
  const inner = [
    schema.items,
    typeof schema.additionalProperties === 'object' ? schema.additionalProperties : undefined,
    ...(schema.allOf ?? []),
    ...(schema.oneOf ?? []),
    ...(schema.anyOf ?? []),
  ];
  const own = schema.$ref ? [refName(schema.$ref)] : [];
  return [...new Set([...own, ...inner.flatMap((one) => (one ? refsOf(one) : []))])];
}

/** A command that calls the operation. */
export function curl(operation: Operation, origin: string): string {
  const needed = operation.parameters.filter((parameter) => parameter.in === 'query' && parameter.required);
  const query = needed.map((parameter) => `${parameter.name}=${parameter.name.toUpperCase()}`).join('&');
  const path = operation.path.replace(/\{(\w+)\}/g, (_, name: string) => name.toUpperCase());
  const lines = [
    `curl ${operation.method === 'GET' ? '' : `-X ${operation.method} `}'${origin}${path}${query ? `?${query}` : ''}'`,
    ...(operation.scope === null ? [] : [`-H "authorization: Bearer $MOTIF_TOKEN"`]),
  ];
  for (const parameter of operation.parameters) {
    if (parameter.in === 'header' && parameter.required) lines.push(`-H '${parameter.name}: ${parameter.name.toUpperCase()}'`);
  }
  if (operation.request) {
    lines.push(`-H 'content-type: ${operation.request.media}'`);
    lines.push(operation.request.media.includes('json') ? `--data @body.json` : `--data-binary @body`);
  }
  return lines.join(' \\\n  ');
}
