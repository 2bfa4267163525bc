// The editor, loaded when it is needed: CodeMirror in a shadow root, where its
// styles are constructed sheets, which the page's policy allows.
import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap, indentWithTab } from '@codemirror/commands';
import { go } from '@codemirror/lang-go';
import { java } from '@codemirror/lang-java';
import { javascript } from '@codemirror/lang-javascript';
import { python } from '@codemirror/lang-python';
import { yaml } from '@codemirror/lang-yaml';
import { bracketMatching, HighlightStyle, indentOnInput, indentUnit, StreamLanguage, syntaxHighlighting } from '@codemirror/language';
import { c } from '@codemirror/legacy-modes/mode/clike';
import { shell } from '@codemirror/legacy-modes/mode/shell';
import { lintGutter, lintKeymap, setDiagnostics } from '@codemirror/lint';
import { highlightSelectionMatches, search, searchKeymap } from '@codemirror/search';
import { Compartment, EditorState, type Extension } from '@codemirror/state';
import { drawSelection, EditorView, highlightActiveLine, highlightActiveLineGutter, highlightSpecialChars, keymap, lineNumbers } from '@codemirror/view';
import { tags as t } from '@lezer/highlight';
import type { Schema } from '../lib/schema';
import { help } from './help';

export { readConfig } from './config';

export interface Mark {
  line: number; // from 1
  column?: number;
  message: string;
}

export interface Options {
  host: HTMLElement;
  text: string;
  language: string;
  label: string;
  schema?: Schema;
  changed: (text: string) => void;
  deploy: () => void;
}

/** Handle is an editor on the page. */
export interface Handle {
  set: (text: string) => void;
  language: (name: string) => void;
  schema: (s: Schema) => void;
  marks: (marks: Mark[]) => void;
  show: (line: number) => void;
  destroy: () => void;
}

const languages: Record<string, () => Extension> = {
  python: () => [python(), indentUnit.of('    ')],
  nodejs: javascript,
  golang: () => [go(), indentUnit.of('\t')],
  java: () => [java(), indentUnit.of('    ')],
  shell: () => StreamLanguage.define(shell),
  c: () => [StreamLanguage.define(c), indentUnit.of('    ')],
  yaml,
};
languages.go = languages.golang;
const highlighted = (name: string): Extension => languages[name]?.() ?? [];

const theme = EditorView.theme({
  '&': { backgroundColor: 'var(--panel)', color: 'var(--text)', border: '1px solid var(--line)', borderRadius: '6px', height: '100%' },
  '&.cm-focused': { outline: '2px solid var(--accent)', outlineOffset: '1px' },
  '.cm-scroller': { fontFamily: 'var(--mono)', fontSize: '0.92rem', lineHeight: '1.5' },
  '.cm-content': { caretColor: 'var(--text)' },
  '.cm-cursor': { borderLeftColor: 'var(--text)' },
  '.cm-gutters': { backgroundColor: 'var(--panel)', color: 'var(--dim)', borderRight: '1px solid var(--line)' },
  '.cm-activeLine': { backgroundColor: 'transparent' },
  '.cm-activeLineGutter': { backgroundColor: 'var(--sunk)', color: 'var(--text)' },
  '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground': { backgroundColor: 'color-mix(in srgb, var(--accent) 30%, transparent)' },
  '.cm-selectionMatch, .cm-matchingBracket, &.cm-focused .cm-matchingBracket': { backgroundColor: 'color-mix(in srgb, var(--accent) 18%, transparent)' },
  '.cm-specialChar': { color: 'var(--bad)' },
  '.cm-panels': { backgroundColor: 'var(--sunk)', color: 'var(--text)' },
  '.cm-panels input, .cm-panels button': { font: 'inherit', color: 'inherit', background: 'var(--panel)', border: '1px solid var(--line)', borderRadius: '4px' },
  '.cm-tooltip': { backgroundColor: 'var(--panel)', color: 'var(--text)', border: '1px solid var(--line)', borderRadius: '4px', maxWidth: '32rem' },
  '.cm-tooltip.cm-tooltip-autocomplete > ul > li[aria-selected]': { backgroundColor: 'var(--accent)', color: 'var(--on-accent)' },
  '.cm-completionDetail': { fontStyle: 'normal' },
  '.cm-completionInfo, .cm-meaning': { padding: '0.3rem 0.6rem', maxWidth: '26rem', whiteSpace: 'normal' },
  // CodeMirror draws these with images in its styles, which the page's policy refuses.
  '.cm-lintRange-error': { backgroundImage: 'none', textDecoration: 'underline wavy var(--bad)', textUnderlineOffset: '2px' },
  '.cm-lint-marker-error': { content: 'normal', width: '0.6em', height: '0.6em', marginTop: '0.4em', borderRadius: '50%', backgroundColor: 'var(--bad)' },
  '.cm-diagnostic': { fontFamily: 'system-ui, sans-serif' },
});
const colours = HighlightStyle.define([
  { tag: [t.keyword, t.operatorKeyword, t.modifier, t.controlKeyword], color: 'var(--accent)' },
  { tag: [t.string, t.special(t.string), t.character], color: 'var(--ok)' },
  { tag: [t.comment, t.meta], color: 'var(--dim)', fontStyle: 'italic' },
  { tag: [t.number, t.bool, t.null, t.atom], color: 'var(--warn)' },
  { tag: [t.propertyName, t.attributeName, t.definition(t.variableName), t.function(t.definition(t.variableName))], color: 'var(--accent)' },
  { tag: t.invalid, color: 'var(--bad)' },
]);
// Signs that turn or hide text, beyond those that CodeMirror shows anyway.
const tricky = /[\u180e\u200c\u200d\u202a-\u202c\u2060-\u2065\u2068\u206a-\u206f]/g;

export function open(o: Options): Handle {
  const root = o.host.shadowRoot ?? o.host.attachShadow({ mode: 'open' });
  const language = new Compartment();
  const helping = new Compartment();
  let silent = false;
  const view = new EditorView({
    root,
    parent: root,
    state: EditorState.create({
      doc: o.text,
      extensions: [
        lineNumbers(), highlightActiveLineGutter(), highlightActiveLine(), highlightSpecialChars({ addSpecialChars: tricky }), history(), drawSelection(), indentOnInput(), bracketMatching(), closeBrackets(),
        highlightSelectionMatches(), search({ top: true }), lintGutter(), EditorView.lineWrapping, EditorState.tabSize.of(4),
        keymap.of([
          { key: 'Mod-Enter', run: () => (o.deploy(), true) }, { key: 'Mod-s', run: () => (o.deploy(), true) },
          ...closeBracketsKeymap, ...defaultKeymap, ...searchKeymap, ...historyKeymap, ...completionKeymap, ...lintKeymap, indentWithTab,
        ]),
        language.of(highlighted(o.language)),
        helping.of(o.schema ? help(o.schema) : autocompletion()),
        theme, syntaxHighlighting(colours),
        EditorView.contentAttributes.of({ 'aria-label': o.label, tabindex: '0', spellcheck: 'false', autocapitalize: 'off', autocorrect: 'off' }),
        EditorView.updateListener.of((u) => {
          if (u.docChanged && !silent) o.changed(u.state.doc.toString());
        }),
      ],
    }),
  });
  // The page's keys are not the editor's.
  const own = (e: Event) => e.stopPropagation();
  o.host.addEventListener('keydown', own);
  return {
    set(text) {
      if (text === view.state.doc.toString()) return;
      silent = true;
      view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } });
      silent = false;
    },
    language: (name) => view.dispatch({ effects: language.reconfigure(highlighted(name)) }),
    schema: (s) => view.dispatch({ effects: helping.reconfigure(help(s)) }),
    marks(marks) {
      const doc = view.state.doc;
      const found = marks.map((m) => {
        const line = doc.line(Math.min(Math.max(1, m.line), doc.lines));
        const word = line.from + /^\s*/.exec(line.text)![0].length;
        const from = m.column && line.from + m.column - 1 < line.to ? line.from + Math.max(0, m.column - 1) : word;
        return { from, to: line.to, severity: 'error' as const, message: m.message };
      });
      view.dispatch(setDiagnostics(view.state, found.sort((a, b) => a.from - b.from)));
    },
    show(n) {
      const line = view.state.doc.line(Math.min(Math.max(1, n), view.state.doc.lines));
      view.dispatch({ selection: { anchor: line.from }, effects: EditorView.scrollIntoView(line.from, { y: 'center' }) });
      view.focus();
    },
    destroy() {
      o.host.removeEventListener('keydown', own);
      view.destroy();
    },
  };
}
