// What is different between two texts, by lines.

export interface Line {
  sign: ' ' | '+' | '-';
  text: string;
  before?: number; // its number in the former text, from 1
  after?: number;
}

/** Hunk is lines that belong together; skipped is how many equal ones are left
 * out before them. */
export interface Hunk {
  skipped: number;
  lines: Line[];
}

const most = 1500; // lines that are different; beyond, all are shown as replaced

/** diff is the way from one text to the other with as few changed lines as there
 * can be. */
export function diff(from: string, to: string): Line[] {
  const a = lines(from);
  const b = lines(to);
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  const out: Line[] = [];
  let x = 0;
  let y = 0;
  const keep = () => out.push({ sign: ' ', text: a[x], before: ++x, after: ++y });
  const drop = () => out.push({ sign: '-', text: a[x], before: ++x });
  const add = () => out.push({ sign: '+', text: b[y], after: ++y });
  for (let i = 0; i < head; i++) keep();
  for (const [to, is] of script(a.slice(head, a.length - tail), b.slice(head, b.length - tail))) {
    for (let i = 0; i < to; i++) (is === ' ' ? keep : is === '-' ? drop : add)();
  }
  for (let i = 0; i < tail; i++) keep();
  return out;
}

const lines = (text: string) => (text === '' ? [] : text.replace(/\n$/, '').split('\n'));

// script is the shortest edit by Myers' algorithm, as runs.
function script(a: string[], b: string[]): [number, Line['sign']][] {
  const whole: [number, Line['sign']][] = [[a.length, '-'], [b.length, '+']];
  if (a.length === 0 || b.length === 0) return whole;
  const max = Math.min(a.length + b.length, most);
  const trace: Int32Array[] = [];
  let v = new Int32Array(2 * max + 3);
  for (let d = 0; d <= max; d++) {
    trace.push(v.slice(max - d, max + d + 3)); // what this round begins with, from diagonal -d-1
    for (let k = -d; k <= d; k += 2) {
      const at = k + max + 1;
      let x = k === -d || (k !== d && v[at - 1] < v[at + 1]) ? v[at + 1] : v[at - 1] + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x++;
      v[at] = x;
      if (x >= a.length && x - k >= b.length) return back(trace, a.length, b.length);
    }
  }
  return whole;
}

function back(trace: Int32Array[], x: number, y: number): [number, Line['sign']][] {
  const out: [number, Line['sign']][] = [];
  for (let d = trace.length - 1; d >= 0; d--) {
    const v = trace[d];
    const at = (k: number) => v[k + d + 1];
    const k = x - y;
    const former = k === -d || (k !== d && at(k - 1) < at(k + 1)) ? k + 1 : k - 1;
    const px = d === 0 ? 0 : at(former);
    const py = d === 0 ? 0 : px - former;
    const sign = former > k ? '+' : '-';
    const from = d === 0 ? 0 : px + (sign === '-' ? 1 : 0);
    if (x > from) out.push([x - from, ' ']);
    if (d > 0) out.push([1, sign]);
    [x, y] = [px, py];
  }
  return out.reverse();
}

/** hunks leaves out what is equal but for some lines around what is not. */
export function hunks(all: Line[], around = 3): Hunk[] {
  const out: Hunk[] = [];
  let end = 0; // of what is shown
  for (let i = 0; i < all.length; i++) {
    if (all[i].sign === ' ') continue;
    const from = Math.max(end, i - around);
    if (from > end || out.length === 0) out.push({ skipped: from - end, lines: [] });
    let to = i;
    while (to < all.length && all[to].sign !== ' ') to++;
    to = Math.min(all.length, to + around);
    out[out.length - 1].lines.push(...all.slice(from, to));
    end = to;
    i = to - 1;
  }
  return out;
}
