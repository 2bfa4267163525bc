// Help with a function.yaml by its schema: what may stand where, and what it means.
import { autocompletion, type Completion, type CompletionContext, type CompletionResult } from '@codemirror/autocomplete';
import type { Extension } from '@codemirror/state';
import { hoverTooltip } from '@codemirror/view';
import { at, keysOf, kindOf, valuesOf, type Schema } from '../lib/schema';
import { kindFor, pathAt } from '../lib/yaml';

const key = /^(\s*(?:- +)*)([\w./-]*)$/; // a key that is being written
const value = /^(\s*(?:- +)*)([\w./-]+):\s+([^\s#]*)$/;

function offers(schema: Schema, c: CompletionContext): CompletionResult | null {
  const line = c.state.doc.lineAt(c.pos);
  const before = line.text.slice(0, c.pos - line.from);
  const lines = c.state.doc.toString().split('\n');
  const k = key.exec(before);
  if (k) {
    if (!c.explicit && k[2] === '') return null;
    const indent = ' '.repeat(k[1].length);
    const path = pathAt(lines, line.number - 1, k[1].length);
    const options = keysOf(schema, path, kindFor(lines, path)).map(
      (o): Completion => ({ label: o.label, detail: o.detail, info: o.info || undefined, type: 'property', apply: o.below ? `${o.label}:\n${indent}  ` : `${o.label}: ` }),
    );
    return options.length > 0 ? { from: c.pos - k[2].length, options, validFor: /^[\w./-]*$/ } : null;
  }
  const v = value.exec(before);
  if (!v) return null;
  const path = [...pathAt(lines, line.number - 1, v[1].length), v[2]];
  const options = valuesOf(schema, path, kindFor(lines, path)).map((label): Completion => ({ label, type: 'enum' }));
  return options.length > 0 ? { from: c.pos - v[3].length, options } : null;
}

/** help offers keys and values and says what a key means. */
export function help(schema: Schema): Extension {
  return [
    autocompletion({ override: [(c) => offers(schema, c)] }),
    hoverTooltip((view, pos) => {
      const line = view.state.doc.lineAt(pos);
      const m = /^(\s*(?:- +)*)([\w./-]+):/.exec(line.text);
      if (!m || pos > line.from + m[0].length || pos < line.from + m[1].length) return null;
      const lines = view.state.doc.toString().split('\n');
      const path = [...pathAt(lines, line.number - 1, m[1].length), m[2]];
      const s = at(schema, path, kindFor(lines, path));
      if (!s?.description) return null;
      return {
        pos: line.from + m[1].length, end: line.from + m[0].length, above: true,
        create: () => {
          const dom = document.createElement('div');
          dom.className = 'cm-meaning';
          dom.textContent = (kindOf(s) ? kindOf(s) + ': ' : '') + s.description;
          return { dom };
        },
      };
    }),
  ];
}
