// The source of a function, where it is kept with its configuration.

/** codeOf is the source in a configuration; '' if there is none that is text. */
export function codeOf(spec: Record<string, unknown> | undefined): string {
  const build = spec?.build as { functionSourceCode?: string } | undefined;
  if (!build?.functionSourceCode) return '';
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.from(atob(build.functionSourceCode), (c) => c.charCodeAt(0)));
  } catch {
    return '';
  }
}

/** coded is a source as a configuration has it. */
export function coded(code: string): string {
  let out = '';
  for (const b of new TextEncoder().encode(code)) out += String.fromCharCode(b);
  return btoa(out);
}

/** withoutCode is a configuration without its source. */
export function withoutCode(spec: Record<string, unknown> | undefined): Record<string, unknown> {
  const { build, ...rest } = spec ?? {};
  const { functionSourceCode: _, ...others } = (build ?? {}) as Record<string, unknown>;
  return Object.keys(others).length > 0 ? { ...rest, build: others } : rest;
}

/** staged is a configuration whose sources are on their way already. */
export function staged(spec: Record<string, unknown> | undefined): Record<string, unknown> {
  const { build, ...rest } = spec ?? {};
  const { functionSourceCode: _, path: _path, codeEntryType: _type, codeEntryAttributes: _attributes, functionConfigPath: _config, ...others } = (build ?? {}) as Record<string, unknown>;
  return Object.keys(others).length > 0 ? { ...rest, build: others } : rest;
}

const endings: Record<string, string> = { python: '.py', nodejs: '.js', golang: '.go', go: '.go', shell: '.sh', java: '.java', c: '.c' };

/** languageOf is the language of a runtime such as python:3.12. */
export const languageOf = (runtime: string | undefined) => (runtime ?? '').split(':')[0];

/** fileOf is what the file is called in which a function's source is built; ''
 * for a language whose source is not kept. */
export function fileOf(runtime: string | undefined, handler: string | undefined, name: string): string {
  const language = languageOf(runtime);
  const ending = endings[language];
  if (!ending) return '';
  const [before, after] = (handler ?? '').split(':');
  let stem = '';
  if (language === 'java') stem = (after ?? before).replace(/\.java$/, '').split('.').at(-1)!;
  else if (language === 'shell' || after !== undefined) stem = before;
  stem = stem.split('/').at(-1) || name || 'main';
  return stem.endsWith(ending) ? stem : stem + ending;
}
