// A trial's config as rows for reading: nested tables flattened to dotted keys, in groups. Pure.

type Json = unknown;

export interface ConfigRow {
  key: string;
  value: string;
  swept: boolean;
}

export interface ConfigGroup {
  name: string;
  rows: ConfigRow[];
}

const GROUPS: [string, RegExp][] = [
  ['Data', /^(dataset|train_limit|test_limit|validation|augment\..*)$/],
  ['Network', /^(hidden|ratio|activation|downstream_activation|init_scale_v|biases)$/],
  ['Learning', /^(rule|plastic|hebbian_partner|clip_norm|momentum|updates.*|rates\..*|decay\..*)$/],
  ['Training', /^(epochs|batch_size|schedule|divergence_bound|diagnostics.*)$/],
];

/** Flattens nested objects to dotted keys; arrays stay whole. */
export function flatten(value: Json, prefix = ''): Map<string, Json> {
  const flat = new Map<string, Json>();
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    for (const [key, inner] of Object.entries(value)) {
      for (const [path, leaf] of flatten(inner, prefix ? `${prefix}.${key}` : key)) flat.set(path, leaf);
    }
  } else if (prefix) {
    flat.set(prefix, value);
  }
  return flat;
}

/** A value as a person would write it in a spec. */
export function show(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(show).join(', ')}]`;
  if (value === null || value === undefined) return '—';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** The dotted keys in which a sweep's conditions differ. */
export function sweptKeys(configs: Json[]): Set<string> {
  const flats = configs.map((config) => flatten(config));
  const keys = new Set(flats.flatMap((flat) => [...flat.keys()]));
  return new Set([...keys].filter((key) => new Set(flats.map((flat) => JSON.stringify(flat.get(key)))).size > 1));
}

/** The config in groups; what fits no group comes last. */
export function configGroups(config: Json, swept: ReadonlySet<string>): ConfigGroup[] {
  const rows = [...flatten(config)].map(([key, value]) => ({ key, value: show(value), swept: swept.has(key) }));
  const groups = GROUPS.map(([name, pattern]) => ({ name, rows: rows.filter((row) => pattern.test(row.key)) }));
  const rest = rows.filter((row) => !GROUPS.some(([, pattern]) => pattern.test(row.key)));
  return [...groups, { name: 'Other', rows: rest }].filter((group) => group.rows.length > 0);
}
