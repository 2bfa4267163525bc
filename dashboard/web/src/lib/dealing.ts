// Where the shards of a trigger are drawn: a lane for each processor, and each
// shard in the lane of who has it.

export interface Member {
  name: string;
  capacity: number;
  zone?: string;
  leaving?: boolean;
  due: number;
  has: number;
  silent: number; // nanoseconds
}

export interface Lease {
  name: string;
  holder?: string;
  to?: string;
  epoch: number;
  why?: string;
}

export interface Table {
  namespace: string;
  function: string;
  trigger: string;
  resources: number;
  unowned: number;
  moving: number;
  skew: number;
  moves: number;
  without: number; // nanoseconds
  longest: number;
  processors: Member[] | null;
  leases?: Lease[];
  log?: { at: string; resource: string; from?: string; to: string; epoch: number; why: string }[];
}

export interface Cell {
  name: string;
  x: number;
  y: number;
  state: 'held' | 'moving' | 'free';
  about: string;
}

export interface Lane {
  name: string; // of the processor, '' of shards that nobody has
  y: number;
  high: number;
  member?: Member;
}

export const cell = 24;
const head = 22;
const gap = 10;

const natural = new Intl.Collator('en', { numeric: true });

/** layout places the leases, the first so many of them, over a width. */
export function layout(t: Table, width: number, most: number): { lanes: Lane[]; cells: Cell[]; high: number; left: number } {
  const members = [...(t.processors ?? [])].sort((a, b) => natural.compare(a.name, b.name));
  const by = new Map<string, Lease[]>(members.map((m) => [m.name, []]));
  const all = [...(t.leases ?? [])].sort((a, b) => natural.compare(a.name, b.name));
  for (const l of all.slice(0, most)) {
    const lane = by.get(l.holder ?? '') ?? by.set(l.holder ?? '', []).get(l.holder ?? '')!;
    lane.push(l);
  }
  const columns = Math.max(1, Math.floor((width - gap) / cell));
  const lanes: Lane[] = [];
  const cells: Cell[] = [];
  let y = 0;
  for (const [name, leases] of by) {
    const rows = Math.max(1, Math.ceil(leases.length / columns));
    lanes.push({ name, y, high: head + rows * cell + gap, member: members.find((m) => m.name === name) });
    leases.forEach((l, i) => {
      const state = !l.holder ? 'free' : l.to ? 'moving' : 'held';
      cells.push({ name: l.name, x: gap / 2 + (i % columns) * cell, y: y + head + Math.floor(i / columns) * cell, state, about: about(l) });
    });
    y += head + rows * cell + gap * 2;
  }
  return { lanes, cells: cells.sort((a, b) => natural.compare(a.name, b.name)), high: y, left: Math.max(0, all.length - most) };
}

function about(l: Lease): string {
  const where = l.holder ? `${l.holder} has it` : 'nobody has it';
  return `${l.name}: ${where}${l.to ? `, ${l.to} shall have it` : ''}, epoch ${l.epoch}${l.why ? `: ${l.why}` : ''}`;
}

/** span writes nanoseconds in seconds. */
export const span = (ns: number) => ns / 1e9;
