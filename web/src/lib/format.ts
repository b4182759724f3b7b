// Numbers and times as text. Nothing here ever says NaN: what is missing is an em dash.

export const MISSING = '—';

type Maybe = number | null | undefined;

export function isNumber(value: Maybe): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

/** Metrics that are fractions of one and read better as percentages. */
export function isFraction(metric: string): boolean {
  return /(^|[._])(accuracy|dead|error_rate)([._]|$)/.test(metric);
}

const minus = (text: string) => text.replace('-', '−');

/** A plain number with about `digits` significant digits. */
export function number(value: Maybe, digits = 4): string {
  if (!isNumber(value)) return MISSING;
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) {
    return minus(value.toExponential(Math.max(0, digits - 2)).replace('e+', 'e'));
  }
  const places = Math.max(0, digits - 1 - Math.floor(Math.log10(size)));
  return minus(value.toFixed(Math.min(places, 6)));
}

/** A number with a fixed number of decimal places. */
export function fixed(value: Maybe, places = 2): string {
  return isNumber(value) ? minus(value.toFixed(places)) : MISSING;
}

/** A fraction as a percentage. */
export function percent(value: Maybe, places = 1): string {
  return isNumber(value) ? `${minus((value * 100).toFixed(places))} %` : MISSING;
}

/** How many decimal places a value needs so that its uncertainty shows two digits. */
export function placesFor(uncertainty: Maybe, scale = 1, fallback = 1): number {
  if (!isNumber(uncertainty) || uncertainty <= 0) return fallback;
  const size = Math.abs(uncertainty * scale);
  return Math.min(4, Math.max(1, 1 - Math.floor(Math.log10(size))));
}

/** A metric's value, in percent where it is a fraction. */
export function metricValue(metric: string, value: Maybe, uncertainty?: Maybe): string {
  if (!isNumber(value)) return MISSING;
  if (isFraction(metric)) return percent(value, placesFor(uncertainty, 100, 2));
  return isNumber(uncertainty) && uncertainty > 0 ? minus(value.toFixed(placesFor(uncertainty))) : number(value);
}

/** A difference of a metric, with its sign; percentage points where it is a fraction. */
export function metricDifference(metric: string, value: Maybe, uncertainty?: Maybe): string {
  if (!isNumber(value)) return MISSING;
  const fraction = isFraction(metric);
  const scale = fraction ? 100 : 1;
  const places = isNumber(uncertainty) || fraction ? placesFor(uncertainty, scale, fraction ? 2 : 3) : 3;
  const text = minus((value * scale).toFixed(places));
  return `${value > 0 ? '+' : ''}${text}${fraction ? ' pp' : ''}`;
}

/** A p-value: three digits, and never zero. */
export function pValue(value: Maybe): string {
  if (!isNumber(value)) return MISSING;
  if (value < 0.001) return '< 0.001';
  return value.toFixed(3);
}

/** A count with thin spaces between thousands. */
export function count(value: Maybe): string {
  return isNumber(value) ? Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, '\u202f') : MISSING;
}

/** A duration in its two largest units. */
export function duration(seconds: Maybe): string {
  if (!isNumber(seconds)) return MISSING;
  if (seconds <= 0) return '0 s';
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  const minutes = Math.round(whole / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  const hours = Math.round(whole / 3600);
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** A number of bytes in its largest unit, as the command line writes it. */
export function bytes(size: Maybe): string {
  if (!isNumber(size)) return MISSING;
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  const power = size < 1024 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(size) / 10));
  return `${power === 0 ? size : (size / 1024 ** power).toFixed(1)} ${units[power]}`;
}

/** How long ago a time was, coarsely. */
export function ago(time: string | null | undefined, now: number): string {
  const then = time ? Date.parse(time) : NaN;
  if (Number.isNaN(then)) return MISSING;
  const seconds = (now - then) / 1000;
  if (seconds < 5) return 'just now';
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}

/** A time in the reader's zone, to the second. */
export function dateTime(time: string | null | undefined): string {
  const date = time ? new Date(time) : null;
  if (!date || Number.isNaN(date.getTime())) return MISSING;
  const two = (value: number) => String(value).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** Seconds between two times, to now while the second is open. */
export function elapsed(from: string | null | undefined, to: string | null | undefined, now: number): number | null {
  if (!from) return null;
  const end = to ? Date.parse(to) : now;
  const seconds = (end - Date.parse(from)) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, seconds) : null;
}

/** The first characters of an id or a hash. */
export function short(id: string | null | undefined, length = 8): string {
  return id ? id.slice(0, length) : MISSING;
}

/** A metric's name for people: `norm.v_bar.2` stays, `test_accuracy` becomes `test accuracy`. */
export function metricName(metric: string): string {
  return metric.includes('.') ? metric : metric.replaceAll('_', ' ');
}

/** Whether a metric says something of the result: the schedule's `rate` is an input that is only logged. */
export function isResult(metric: string): boolean {
  return metric !== 'rate';
}

/** The interval's method for people. */
export function methodName(method: string): string {
  if (method === 'student_t') return 'Student t';
  if (method === 'bca_bootstrap') return 'BCa bootstrap';
  return method.replaceAll('_', ' ');
}

/** The correction's name for people. */
export function correctionName(correction: string): string {
  if (correction === 'holm') return 'Holm';
  if (correction === 'benjamini_hochberg') return 'Benjamini–Hochberg';
  return correction.replaceAll('_', ' ');
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}
