// Event mappings, and where they are drawn: sources, aliases, versions and
// bindings in layers, those of one function beside each other.
import type { Schema } from './schema';
import type { Alias, Fn, Metadata, Version } from './types';

export interface Source extends Record<string, unknown> {
  kind: string;
  url?: string;
  attributes?: Record<string, unknown>;
}

export interface Mapping {
  apiVersion?: string;
  kind?: string;
  metadata: Metadata;
  spec: { function?: string; alias?: string; version?: string; disabled?: boolean; owner?: string; source: Source };
  status?: { state?: string; message?: string; targets?: { version: number; weight: number }[] };
}

export interface Kind {
  kind: string;
  also?: string[];
  about: string;
  attributes: Schema;
  route?: Schema;
}

/** Came is what came to a version by a trigger, a second. */
export interface Came {
  trigger: string;
  version?: string;
  rate: number;
  errors?: number;
}

/** triggerOf is the trigger that a mapping is in the processors. */
export function triggerOf(m: Mapping): string {
  const name = m.metadata.annotations?.['myelin.run/trigger'];
  return name && m.spec.owner === 'function ' + m.spec.function ? name : m.metadata.name;
}

/** where says in short where the events of a source come from. */
export function where(s: Source): string {
  const a = s.attributes ?? {};
  const list = (v: unknown) => (Array.isArray(v) ? v.filter((x) => typeof x === 'string').join(', ') : typeof v === 'string' ? v : '');
  if (s.kind === 'http') return (list(a.host) || list(a.hosts)) + (list(a.path) || '/');
  for (const n of ['topics', 'streams', 'stream', 'subjects', 'subscriptions', 'queueName', 'queue', 'lists', 'channels', 'patterns', 'streamName', 'streamPath', 'bucket', 'table', 'directory', 'schedule', 'interval', 'topic']) {
    const text = list(a[n]);
    if (text) return text;
  }
  return typeof s.url === 'string' ? s.url : '';
}

/** target says where a mapping leads. */
export const target = (m: Mapping): string => m.spec.function + (m.spec.alias ? ':' + m.spec.alias : m.spec.version && m.spec.version !== '$latest' ? ':' + m.spec.version : '');

export interface About {
  fn?: Fn;
  aliases?: Alias[]; // undefined until they are read
  versions: Version[];
  came: Came[];
}

export interface Node {
  id: string;
  layer: number;
  title: string;
  sub: string;
  state: 'ok' | 'warn' | 'bad' | 'quiet';
  group: string;
  link: { to: 'mapping' | 'function'; namespace: string; name: string };
  x: number;
  y: number;
}

export interface Edge {
  id: string;
  from: Node;
  to: Node;
  rate?: number;
  errors?: number;
  share?: number;
  path: string;
  mid: { x: number; y: number };
}

const high = 44;
const gap = 12;
export const boxHigh = high;

const latest = '$latest';
const states: Record<string, Node['state']> = { active: 'ok', waiting: 'warn', error: 'bad', disabled: 'quiet' };

/** picture places mappings and what they lead to over a width. */
export function picture(mappings: Mapping[], about: (namespace: string, fn: string) => About, width: number): { nodes: Node[]; edges: Edge[]; high: number; box: number } {
  const nodes = new Map<string, Node>();
  const edges = new Map<string, Edge>();
  const node = (n: Omit<Node, 'x' | 'y'>): Node => {
    const had = nodes.get(n.id);
    if (had) return had;
    const made = { ...n, x: 0, y: 0 };
    nodes.set(n.id, made);
    return made;
  };
  const edge = (from: Node, to: Node, more: { rate?: number; errors?: number; share?: number } = {}) => {
    const id = from.id + '>' + to.id;
    const e = edges.get(id);
    if (!e) edges.set(id, { id, from, to, path: '', mid: { x: 0, y: 0 }, ...more });
    else {
      e.rate = plus(e.rate, more.rate);
      e.errors = plus(e.errors, more.errors);
    }
  };
  const sorted = [...mappings].sort((a, b) => compare(a.metadata.namespace, b.metadata.namespace) || compare(a.spec.function, b.spec.function) || compare(a.metadata.name, b.metadata.name));
  for (const m of sorted) {
    const namespace = m.metadata.namespace || 'default';
    const fn = m.spec.function ?? '';
    const group = namespace + '/' + fn;
    const known = about(namespace, fn);
    const source = node({ id: `s ${namespace}/${m.metadata.name}`, layer: 0, title: m.metadata.name, sub: `${m.spec.source.kind} ${where(m.spec.source)}`, state: states[m.status?.state ?? ''] ?? 'quiet', group, link: { to: 'mapping', namespace, name: m.metadata.name } });
    const trigger = triggerOf(m);
    const counted = m.spec.source.kind !== 'http' && !m.spec.disabled;
    const came = (version: string): { rate?: number; errors?: number } => {
      if (!counted) return {};
      const of = known.came.filter((c) => c.trigger === trigger && (version === '*' || (c.version ?? latest) === version));
      return { rate: of.reduce((s, c) => s + c.rate, 0), errors: of.reduce((s, c) => s + (c.errors ?? 0), 0) };
    };
    const link = { to: 'function' as const, namespace, name: fn };
    const version = (v: string): Node => {
      const run = v === latest ? known.fn?.status.state : known.versions.find((x) => String(x.version) === v)?.status?.state;
      const n = node({ id: `v ${group} ${v}`, layer: 2, title: fn, sub: v === latest ? 'as it was deployed last' : 'version ' + v, state: run === 'ready' || run === 'scaledToZero' ? 'ok' : run === 'error' || run === 'unhealthy' ? 'bad' : 'quiet', group, link });
      const spec = v === latest ? known.fn?.spec : known.versions.find((x) => String(x.version) === v)?.config.spec;
      for (const [name, b] of Object.entries((spec?.dataBindings ?? {}) as Record<string, { kind?: string; class?: string }>)) {
        edge(n, node({ id: `b ${group} ${name}`, layer: 3, title: name, sub: b.kind || b.class || '', state: 'ok', group, link }));
      }
      return n;
    };
    if (m.spec.alias) {
      const a = known.aliases?.find((x) => x.metadata.name === m.spec.alias);
      const alias = node({ id: `a ${group}:${m.spec.alias}`, layer: 1, title: `${fn}:${m.spec.alias}`, sub: a || !known.aliases ? 'alias' : 'an alias that is not there', state: a ? 'ok' : known.aliases ? 'bad' : 'quiet', group, link });
      edge(source, alias, came('*'));
      for (const w of a?.spec.versions ?? []) edge(alias, version(String(w.version)), { ...came(String(w.version)), share: w.weight });
    } else {
      const v = m.spec.version || latest;
      edge(source, version(v), came(v));
    }
  }
  return place([...nodes.values()], [...edges.values()], width);
}

const plus = (a: number | undefined, b: number | undefined) => (a === undefined ? b : b === undefined ? a : a + b);
const compare = (a = '', b = '') => (a < b ? -1 : a > b ? 1 : 0);

// Each function has a strip as high as its largest layer, in whose middle the others stand.
function place(nodes: Node[], edges: Edge[], width: number): { nodes: Node[]; edges: Edge[]; high: number; box: number } {
  const layers = 4;
  const box = Math.min(230, Math.max(120, (width / layers) * 0.66));
  const step = (width - box - 2) / (layers - 1);
  const groups = new Map<string, Node[][]>();
  for (const n of nodes) {
    const g = groups.get(n.group) ?? groups.set(n.group, Array.from({ length: layers }, () => [] as Node[])).get(n.group)!;
    g[n.layer].push(n);
  }
  let y = 4;
  for (const g of groups.values()) {
    const rows = Math.max(...g.map((l) => l.length));
    const tall = rows * (high + gap);
    for (const layer of g) {
      const off = (tall - layer.length * (high + gap)) / 2;
      layer.forEach((n, i) => ([n.x, n.y] = [1 + n.layer * step, y + off + i * (high + gap)]));
    }
    y += tall + gap;
  }
  for (const e of edges) {
    const [x1, y1, x2, y2] = [e.from.x + box, e.from.y + high / 2, e.to.x, e.to.y + high / 2];
    const bend = Math.max(24, (x2 - x1) / 2);
    e.path = `M${x1.toFixed(1)} ${y1.toFixed(1)}C${(x1 + bend).toFixed(1)} ${y1.toFixed(1)} ${(x2 - bend).toFixed(1)} ${y2.toFixed(1)} ${x2.toFixed(1)} ${y2.toFixed(1)}`;
    // Near its end, where edges that come from one place are apart.
    e.mid = { x: x1 + (x2 - x1) * 0.72, y: y1 + (y2 - y1) * 0.82 };
  }
  return { nodes, edges, high: y, box };
}
