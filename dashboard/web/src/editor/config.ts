// Reads a function.yaml as it is written, and finds places in it.
import { isMap, isPair, isScalar, isSeq, LineCounter, parseDocument, type Node, type Pair } from 'yaml';

export interface Read {
  value: unknown;
  wrong: { line: number; message: string }[];
  /** lineOf is the line of a field such as spec.env[0].name, from 1, or of what
   * is nearest to it. */
  lineOf: (path: string) => number;
}

export function readConfig(text: string): Read {
  const lines = new LineCounter();
  const doc = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const wrong = doc.errors.map((e) => ({ line: lines.linePos(e.pos[0]).line || 1, message: e.message }));
  let value: unknown;
  if (wrong.length === 0) {
    try {
      value = doc.toJS({ maxAliasCount: 100 });
    } catch (e) {
      wrong.push({ line: 1, message: (e as Error).message });
    }
  }
  const lineAt = (offset: number | undefined) => (offset === undefined ? 1 : lines.linePos(offset).line || 1);
  const lineOf = (path: string) => {
    let node: unknown = doc.contents;
    let at = 1;
    for (const part of parts(path)) {
      let pair: Pair | undefined;
      if (isMap(node)) pair = node.items.find((p) => isScalar(p.key) && String(p.key.value) === part);
      if (isPair(pair)) {
        at = lineAt((pair.key as Node | null)?.range?.[0]);
        node = pair.value;
      } else if (isSeq(node) && node.items[Number(part)]) {
        node = node.items[Number(part)];
        at = lineAt((node as Node).range?.[0]);
      } else break;
    }
    return at;
  };
  return { value, wrong, lineOf };
}

// spec.env[0].name, and spec.env[LEVEL].value
const parts = (path: string) => path.split(/[.[\]]+/).filter(Boolean);
