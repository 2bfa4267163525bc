// A request to a function, and how it is written for a shell.

export interface Request {
  method: string;
  path: string; // with its query, without the first /
  headers: [string, string][];
  body: string;
}

/** quote writes a word so that a shell takes it as it is. */
export function quote(word: string): string {
  if (/^[A-Za-z0-9_@%+=:,./-]+$/.test(word)) return word;
  return "'" + word.replaceAll("'", "'\\''") + "'";
}

/** curl is the request for the gateway, or for whatever has the function's URL. */
export function curl(url: string, r: Request): string {
  const out = ['curl', '-i'];
  const sends = r.body !== '' && r.method !== 'GET' && r.method !== 'HEAD';
  if (r.method === 'HEAD') out.push('-I');
  else if (r.method !== (sends ? 'POST' : 'GET')) out.push('-X', quote(r.method));
  for (const [name, value] of r.headers) out.push('-H', quote(`${name}: ${value}`));
  if (sends) out.push('--data-raw', quote(r.body));
  out.push(quote(url.replace(/\/$/, '') + (r.path ? '/' + r.path : '')));
  return out.join(' ');
}

/** cli is the request for the command line; '' if that cannot say it, as with a
 * comma in a header. */
export function cli(name: string, namespace: string, r: Request): string {
  const sends = r.body !== '' && r.method !== 'GET' && r.method !== 'HEAD';
  const file = sends && (r.body.startsWith('@') || r.body === '-'); // which --body would take for a file
  const out = file ? ['printf', '%s', quote(r.body), '|'] : [];
  out.push('myelin', 'invoke', name);
  if (namespace !== 'default') out.push('-n', namespace);
  if (r.method !== (sends ? 'POST' : 'GET')) out.push('-m', quote(r.method));
  if (r.path) out.push('-p', quote('/' + r.path));
  for (const [n, v] of r.headers) {
    if (n.toLowerCase() === 'content-type') out.push('-c', quote(v));
    else if (v.includes(',')) return '';
    else if (n.toLowerCase() !== 'x-nuclio-log-level') out.push('-d', quote(`${n}=${v}`));
  }
  if (sends && !file) out.push('-b', quote(r.body));
  return out.join(' ');
}

/** headersOf reads lines of Name: value. */
export function headersOf(text: string): { headers: [string, string][]; wrong: string[] } {
  const headers: [string, string][] = [];
  const wrong: string[] = [];
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue;
    const m = /^\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*:\s*(.*?)\s*$/.exec(line);
    if (m) headers.push([m[1], m[2]]);
    else wrong.push(line.trim());
  }
  return { headers, wrong };
}
