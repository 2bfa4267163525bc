import { get } from './api';
import type { Schema } from './schema';

let asked: Promise<Schema | undefined> | undefined;

/** functionSchema is the schema of function.yaml, with those of the attributes of
 * triggers; without it the editor helps less. */
export function functionSchema(): Promise<Schema | undefined> {
  return (asked ??= read().catch(() => (asked = undefined)));
}

async function read(): Promise<Schema> {
  const [schema, list] = await Promise.all([get<Schema>('schemas/function'), get<{ items: { kind: string; attributes?: Schema }[] }>('triggers')]);
  schema.kinds = Object.fromEntries(list.items.map((k) => [k.kind, k.attributes ?? {}]));
  const kind = schema.$defs?.Trigger?.properties?.kind;
  if (kind) kind.examples = list.items.map((k) => k.kind);
  return schema;
}
