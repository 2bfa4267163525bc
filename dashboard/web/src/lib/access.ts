// Projects, tokens, secrets and the audit log, as the API has them.
import type { Metadata } from './types';

export interface Grant {
  namespace: string;
  project: string;
  role: string;
}

export const roles = ['viewer', 'developer', 'operator', 'admin'];

export interface Caller {
  subject: string;
  by: string;
  grants: Grant[] | null;
}

export interface Token {
  id: string;
  name: string;
  grants: Grant[];
  created: string;
  by: string;
  expires?: string;
}

export interface Secret {
  namespace: string;
  project: string;
  name: string;
  by: string;
  created: string;
  changed: string;
}

export interface Project {
  metadata: Metadata;
  spec?: { description?: string; owner?: string };
  status?: { functions?: number };
}

export interface Entry {
  time: string;
  request: string;
  who: string;
  by?: string;
  from: string;
  operation: string;
  namespace?: string;
  object?: string;
  outcome: string;
  status: number;
}

/** grant writes a role as the command line does. */
export const grant = (g: Grant): string => `${g.namespace}/${g.project}:${g.role}`;

/** until is the moment so many days from now, '' for never. */
export function until(days: string, now: number): string | undefined {
  const n = Number(days);
  return days === '' || !(n > 0) ? undefined : new Date(now + n * 86_400_000).toISOString();
}
