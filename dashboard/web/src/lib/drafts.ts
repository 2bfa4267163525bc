// What was written and not deployed, kept as long as the tab, also when the page
// is loaded again.

import type { Source } from './sources';

export interface Draft {
  config: string;
  code: string | undefined;
  files?: Source[];
  base: string; // the revision that it began with
}

const key = (of: string) => 'myelin.draft.' + of;
const kept = new Map<string, Draft>();
const most = 1_500_000; // characters that are kept beyond the page

export function draftOf(of: string): Draft | undefined {
  const have = kept.get(of);
  if (have) return have;
  try {
    const text = sessionStorage.getItem(key(of));
    return text ? (JSON.parse(text) as Draft) : undefined;
  } catch {
    return undefined;
  }
}

export function keep(of: string, d: Draft | undefined): void {
  try {
    sessionStorage.removeItem(key(of));
    if (d) kept.set(of, d);
    else kept.delete(of);
    const text = d ? JSON.stringify(d) : '';
    if (text && text.length < most) sessionStorage.setItem(key(of), text);
  } catch {
    // The browser has no room: it is kept in memory.
  }
}
