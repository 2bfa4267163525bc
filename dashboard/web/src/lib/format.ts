// How numbers, times and strangers' text are shown.

/** number shows a figure with three digits at most: 0, 0.25, 12.3, 1.2k, 3.4M. */
export function number(v: number | undefined): string {
  if (v === undefined || !Number.isFinite(v)) return '–';
  const abs = Math.abs(v);
  if (abs >= 1e9) return digits(v / 1e9) + 'G';
  if (abs >= 1e6) return digits(v / 1e6) + 'M';
  if (abs >= 1e4) return digits(v / 1e3) + 'k';
  if (abs >= 1000) return Math.round(v).toLocaleString('en');
  return digits(v);
}

function digits(v: number): string {
  const abs = Math.abs(v);
  if (abs >= 100) return String(Math.round(v));
  if (abs >= 10) return trim(v.toFixed(1));
  if (abs >= 0.01 || abs === 0) return trim(v.toFixed(2));
  return '<0.01';
}

const trim = (text: string) => (text.includes('.') ? text.replace(/\.?0+$/, '') : text);

/** seconds shows how long something took: 850 µs, 12.3 ms, 1.5 s, 2 min. */
export function seconds(v: number | undefined): string {
  if (v === undefined || !Number.isFinite(v) || v <= 0) return '–';
  if (v < 1e-3) return digits(v * 1e6) + ' µs';
  if (v < 1) return digits(v * 1e3) + ' ms';
  if (v < 120) return digits(v) + ' s';
  return digits(v / 60) + ' min';
}

/** ago shows how long ago a moment was. */
export function ago(at: string | undefined, now: number): string {
  const t = at ? Date.parse(at) : NaN;
  if (Number.isNaN(t)) return '–';
  const s = Math.max(0, Math.round((now - t) / 1000));
  if (s < 5) return 'now';
  if (s < 60) return s + ' s ago';
  if (s < 3600) return Math.floor(s / 60) + ' min ago';
  if (s < 86400) return Math.floor(s / 3600) + ' h ago';
  return Math.floor(s / 86400) + ' d ago';
}

/** bytes shows a size. */
export function bytes(n: number): string {
  if (n < 1024) return n + ' B';
  if (n < 1 << 20) return digits(n / 1024) + ' KiB';
  return digits(n / (1 << 20)) + ' MiB';
}

const ansi = /\u001b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-Z\\-_])/g;
// What moves, hides or reverses text: controls, directions, invisible signs.
const tricky = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** plain makes text of strangers harmless to look at: colours of terminals go,
 * and signs that would move, hide or reverse other text are shown as codes. */
export function plain(text: string): string {
  return text.replace(ansi, '').replace(/\r\n/g, '\n').replace(tricky, (c) => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0'));
}

/** cut shortens text; more says how many characters are left out. */
export function cut(text: string, most: number): { text: string; more: number } {
  return text.length <= most ? { text, more: 0 } : { text: text.slice(0, most), more: text.length - most };
}
