// Addresses of the page, behind the #, so that the server serves one file.

export type Tab = 'charts' | 'logs' | 'try' | 'versions' | 'processors' | 'spec' | 'edit';
export const tabs: Tab[] = ['charts', 'logs', 'try', 'versions', 'processors', 'spec', 'edit'];

/** Place is a page about the whole machine. */
export type Place = 'letters' | 'dealer' | 'mappings' | 'access';
export const places: Place[] = ['mappings', 'dealer', 'letters', 'access'];

export type Route = { page: 'overview' } | { page: 'place'; place: Place; rest: string[] } | { page: 'function'; namespace: string; name: string; tab: Tab } | { page: 'new'; template: string } | { page: 'unknown'; path: string };

export function parse(hash: string): Route {
  const path = hash.replace(/^#/, '');
  const parts = path.split('/').filter(Boolean).map(unescape);
  if (parts.length === 0) return { page: 'overview' };
  const [kind, namespace, name, tab = 'charts'] = parts;
  if (kind === 'functions' && namespace && name && parts.length <= 4 && (tabs as string[]).includes(tab)) {
    return { page: 'function', namespace, name, tab: tab as Tab };
  }
  if (kind === 'new' && parts.length <= 2) return { page: 'new', template: namespace ?? '' };
  if ((places as string[]).includes(kind)) return { page: 'place', place: kind as Place, rest: parts.slice(1) };
  return { page: 'unknown', path };
}

/** to is the address of a place, or of something in it. */
export function to(place: Place, ...rest: string[]): string {
  return '#/' + [place, ...rest].map(encodeURIComponent).join('/');
}

function unescape(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function href(namespace: string, name: string, tab?: Tab): string {
  const base = `#/functions/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`;
  return tab && tab !== 'charts' ? `${base}/${tab}` : base;
}
