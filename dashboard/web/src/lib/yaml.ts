// Writes plain data as YAML, to be read.

/** yaml is a value as YAML, behind the colon or the dash of what it belongs to. */
export function yaml(v: unknown, indent = ''): string {
  if (Array.isArray(v)) {
    if (v.length === 0) return ' []\n';
    return '\n' + v.map((x) => indent + '-' + first(x, indent + '  ')).join('');
  }
  if (v !== null && typeof v === 'object') {
    const entries = Object.entries(v as object).filter(([, x]) => x !== undefined);
    if (entries.length === 0) return ' {}\n';
    return '\n' + entries.map(([n, x]) => indent + word(n) + ':' + yaml(x, indent + '  ')).join('');
  }
  if (typeof v === 'string' && v.includes('\n') && readable(v)) {
    const lines = v.replace(/\n$/, '').split('\n');
    return (v.endsWith('\n') ? ' |\n' : ' |-\n') + lines.map((l) => (l ? indent + l : '') + '\n').join('');
  }
  return ' ' + (typeof v === 'string' ? word(v) : JSON.stringify(v)) + '\n';
}

// The first entry of an object of a list stands behind the dash.
function first(v: unknown, indent: string): string {
  const text = yaml(v, indent);
  return text.startsWith('\n' + indent) ? ' ' + text.slice(1 + indent.length) : text;
}

// What a block can hold as it is.
const readable = (s: string) => !/^[ \n]|\n\n$|[^\n\t\x20-\x7e\xa0-\ud7ff\ue000-\ufefe]/.test(s);

function word(s: string): string {
  const bare = /^[A-Za-z_/][\w ./@%+-]*$/.test(s) && !s.endsWith(' ') && !/^(true|false|null|yes|no|on|off|y|n)$/i.test(s);
  return bare ? s : JSON.stringify(s);
}
