// What was written of a function, and what was found of it elsewhere. No state.

export interface Config {
  apiVersion?: string;
  kind?: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string>; annotations?: Record<string, string>; resourceVersion?: string };
  spec: Record<string, unknown>;
}

export const artefact = 'myelin.run/artefact';
const ours = 'myelin.run/'; // annotations that are not for people

/** theirs are the annotations that people do not write. */
export function theirs(annotations: Record<string, string> = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(annotations).filter(([n]) => n.startsWith(ours) && n !== artefact));
}

/** shown are the annotations that people write. */
export function shown(annotations: Record<string, string> = {}): Record<string, string> | undefined {
  const left = Object.entries(annotations).filter(([n]) => !n.startsWith(ours));
  return left.length > 0 ? Object.fromEntries(left) : undefined;
}

/** over lays what was written over what was found in the code, entry by entry
 * where entries have names. */
export function over<T>(found: T, written: T): T {
  if (Array.isArray(found) && Array.isArray(written)) {
    const named = (list: unknown[]) => list.every((x) => typeof (x as { name?: unknown } | null)?.name === 'string');
    if (!named(found) || !named(written)) return written;
    const names = new Set(written.map((x) => x.name));
    return [...written, ...found.filter((x) => !names.has(x.name))] as T;
  }
  const plain = (v: unknown): v is Record<string, unknown> => typeof v === 'object' && v !== null && !Array.isArray(v);
  if (!plain(found) || !plain(written)) return written ?? found;
  const out: Record<string, unknown> = { ...found };
  for (const [n, v] of Object.entries(written)) out[n] = over(out[n], v);
  return out as T;
}

/** placeIn finds in a log where in a file something went wrong. */
export function placeIn(file: string, lines: string[]): number {
  const name = file.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const form = new RegExp(`(?:^|[/\\s"'(])${name}"?(?::|, line )(\\d+)`, 'g');
  let at = 0;
  for (const line of lines) for (const m of line.slice(0, 10_000).matchAll(form)) at = Number(m[1]);
  return at;
}
