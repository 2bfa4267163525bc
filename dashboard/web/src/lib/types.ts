// What of the API's objects the page reads; the whole of them is described at
// /api/v1/openapi.json.

export interface Metadata {
  name: string;
  namespace?: string;
  resourceVersion?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
}

export interface Replica {
  name: string;
  state: string;
  pid?: number;
  started?: string;
  restarts?: number;
  artefact?: string;
  message?: string;
}

export interface Status {
  state: string;
  message?: string;
  artefact?: string;
  address?: string;
  url?: string;
  replicas?: Replica[];
  scaling?: { replicas: number; start?: { at: string; way: string; total: number; phases?: Record<string, number> }; kept?: string; moves?: { at: string; from: number; to: number; why: string }[] };
  observedRevision?: number;
  changed?: string;
  logs?: string[];
}

export interface Fn {
  metadata: Metadata;
  spec: Record<string, unknown> & { runtime?: string; handler?: string; triggers?: Record<string, { kind?: string }>; disable?: boolean };
  status: Status;
}

/** Start is what the start of a processor took, in seconds. */
export interface Start {
  way: string;
  total: number;
  phases?: Record<string, number>;
}

export interface Point {
  at: string;
  seconds: number;
  events?: number;
  errors?: number;
  refused?: number;
  p50?: number;
  p99?: number;
  wait?: number;
  workers?: number;
  busy?: number;
  waiting?: number;
  lag?: number;
  restarts?: number;
  processors?: number;
  started?: number;
  starts?: Start[];
  times?: { upTo?: number; events: number }[];
}

export interface Figures {
  name: string;
  namespace: string;
  points: Point[];
}

export interface FigureList {
  at: string;
  items: Figures[];
}

export interface Version {
  version: number;
  artefact: string;
  created: string;
  note?: string;
  publisher?: string;
  config: { metadata?: Metadata; spec?: Record<string, unknown> };
  status?: Status & { namedBy?: string[] };
}

export interface Weighted {
  version: string;
  weight: number;
}

export interface Alias {
  metadata: Metadata;
  spec: { versions?: Weighted[]; rules?: unknown[]; sticky?: unknown };
  status?: { waiting?: string[]; effective?: { versions?: Weighted[] }; history?: { at: string; by?: string; note?: string; spec: { versions?: Weighted[] } }[] };
}

export interface TriggerView {
  name: string;
  kind: string;
  replica: string;
  version?: string;
  share?: number;
  report?: { state: string; lag: number; inFlight: number; done: number; retried: number; dead: number; problem?: string };
  problem?: string;
}
