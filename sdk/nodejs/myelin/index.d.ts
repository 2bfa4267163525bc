/// <reference types="node" />

export declare class Response {
  constructor(body?: unknown, headers?: Headers | null, contentType?: string | null, statusCode?: number, bodyEncoding?: 'text' | 'base64', eventId?: string | null);
  body: unknown;
  headers: Headers | null;
  content_type: string | null;
  status_code: number;
  body_encoding: string;
  /** The event in a batch that this answers; without it, the order tells. */
  event_id: string | null;
}

export declare class HttpError extends Error {
  constructor(statusCode: number, message: string);
  statusCode: number;
}

/** Another function gave no answer; callStatus says why: 404 there is none, 504 not in time, 502 or 503 it is down. */
export declare class CallError extends Error {
  functionName: string;
  callStatus: number;
}

/** An event was not settled; settleStatus says why: 404 no such trigger, 409 it is not open, 410 its shard has moved. */
export declare class AckError extends Error {
  settleStatus: number;
}

/**
 * A data binding did not do what it was asked; bindingStatus says why: 400 wrong use, 404 no such binding, 409 the condition did not hold,
 * 410 the event was answered first, 413 too large, 429 all connections are in use, 501 not of this class or kind, 503 the service is away, 504 not in time.
 */
export declare class BindingError extends Error {
  bindingName: string;
  bindingStatus: number;
  /** The places of the messages of a publishAll that the service does not have; it may have the others. */
  unpublished: number[];
}

/** Every call of a binding can be given milliseconds. */
interface Timed { timeout?: number }
type Content = string | ArrayBufferView | object | number;

/** A value with its version, which a later write can be made to depend on. */
export interface BindingEntry { value: Buffer; version?: string; contentType?: string }

/** Values by key; what is no string and no bytes becomes JSON. */
export interface KV {
  name: string;
  get(key: string, options?: Timed): Promise<Buffer | null>;
  entry(key: string, options?: Timed): Promise<BindingEntry | null>;
  /** What the spec's prefetch has as name; null if there is none, or the event has written since. */
  fetched(name: string, options?: Timed): Promise<Buffer | null>;
  /** Gives the new version. ttl is in seconds; ifVersion: only if that is the version now, '' if there must be none. */
  put(key: string, value: Content, options?: Timed & { ttl?: number; ifVersion?: string }): Promise<string>;
  delete(key: string, options?: Timed & { ifVersion?: string }): Promise<void>;
  scan(prefix?: string, options?: Timed & { limit?: number; after?: string }): Promise<string[]>;
  /** Adds to a number, 0 if there is none, and gives the sum. */
  add(key: string, delta?: number, options?: Timed & { ttl?: number }): Promise<number>;
}

export interface ObjectStore {
  name: string;
  /** range is the first and the last byte that are wanted. */
  get(name: string, options?: Timed & { range?: [number, number] }): Promise<Buffer | null>;
  entry(name: string, options?: Timed & { range?: [number, number] }): Promise<BindingEntry | null>;
  /** The content that the spec's prefetch has as name; null if there is none, or the event has written since. */
  fetched(name: string, options?: Timed): Promise<Buffer | null>;
  put(name: string, content: Content, options?: Timed & { contentType?: string; ifVersion?: string }): Promise<string>;
  delete(name: string, options?: Timed): Promise<void>;
  list(prefix?: string, options?: Timed & { limit?: number; after?: string }): Promise<any[]>;
  stat(name: string, options?: Timed): Promise<any | null>;
}

interface Statements {
  name: string;
  /** The rows as objects; ? in sql stands for a parameter. */
  query(sql: string, params?: unknown[], options?: Timed & { limit?: number }): Promise<Record<string, any>[]>;
  exec(sql: string, params?: unknown[], options?: Timed): Promise<number>;
  insert(table: string, columns: string[], rows: unknown[][], options?: Timed): Promise<number>;
}

export interface Table extends Statements {
  /** Runs work, commits and gives what it gave; rolls back if it fails. */
  transaction<T>(work: (tx: Statements) => Promise<T>, options?: Timed): Promise<T>;
  /** The rows that the spec's prefetch has as name; null if there are none, or the event has written since. */
  fetched(name: string, options?: Timed): Promise<Record<string, any>[] | null>;
}

/** What the function remembers by key. What a handler writes counts once, though its event runs again. */
export interface State {
  get(key: string, options?: Timed): Promise<Buffer | null>;
  put(key: string, value: Content, options?: Timed): Promise<void>;
  delete(key: string, options?: Timed): Promise<void>;
}

/** One message of several. */
export interface Message { topic: string; value: Content; key?: string | ArrayBufferView; headers?: Record<string, string | number> }

export interface Topics {
  name: string;
  publish(topic: string, message: Content, options?: Timed & { key?: string | ArrayBufferView; headers?: Record<string, string | number> }): Promise<void>;
  /** Publishes many with one call. If some are not published, the BindingError's unpublished has their places; one that is wrong keeps all from being sent. */
  publishAll(messages: Message[], options?: Timed): Promise<void>;
}

/** The place of an event in its queue or stream; an event is one itself. */
export interface Place {
  /** The trigger or its name; without it, the function's only one that acknowledges explicitly. */
  trigger?: string | { name: string };
  topic?: string;
  shardId?: number;
  offset: number;
}

/** The event that another function gets; an object as body is sent as JSON. */
export interface CallEvent {
  method?: string;
  path?: string;
  headers?: Record<string, string | number>;
  contentType?: string;
  body?: unknown;
}

/** What another function answered, whatever its status. */
export interface Answer {
  body: Buffer;
  headers: Record<string, string>;
  statusCode: number;
  contentType: string;
  status_code: number;
  content_type: string;
  text(): string;
  json(): any;
}

export interface Platform {
  /** Calls another function. timeout is in milliseconds. Rejects with a CallError if there is no answer. */
  callFunction(name: string, event?: CallEvent, options?: { timeout?: number }): Promise<Answer>;
  /** Acknowledges an event that its handler left open. Rejects with an AckError if it is not open here. */
  ack(place: Place): Promise<void>;
  /** Says that such an event failed: it is tried again, or, if permanent, given up. */
  nack(place: Place, error?: unknown, options?: { permanent?: boolean }): Promise<void>;
}

export type Headers = Record<string, string | number | boolean | Array<string | number>>;

export interface Event {
  id: string;
  /** Bytes; parsed where runtimeAttributes.parseJSON is set and contentType is application/json. */
  body: any;
  /** The body without a copy, only valid until the event is answered. */
  readonly bodyView: Buffer;
  /** The body for as long as anybody holds it: a large one is not copied while there is room in the shared memory. Do not write to it. */
  keepBody(): Buffer;
  contentType: string;
  method: string;
  path: string;
  url: string;
  headers: Record<string, string>;
  fields: Record<string, string>;
  size: number;
  timestamp: Date;
  trigger: { kind: string; name: string; class: string };
  topic: string;
  key: Buffer;
  offset: number;
  shardId: number;
  numShards: number;
  type: string;
  typeVersion: string;
  version: string;
  lastInBatch: boolean;
  content_type: string;
  shard_id: number;
  num_shards: number;
  type_version: string;
  last_in_batch: boolean;
  getHeader(name: string): string | undefined;
  json(): any;
  text(): string;
}

type Log = (message: unknown, attributes?: Record<string, unknown>) => void;

export interface Logger {
  debug: Log; info: Log; warn: Log; error: Log;
  debugWith: Log; infoWith: Log; warnWith: Log; errorWith: Log;
}

export interface Context {
  /** For the function's own things; it lives as long as the worker. */
  userData: any;
  logger: Logger;
  Response: typeof Response;
  platform: Platform;
  /** The function's data bindings by name; each is a KV, ObjectStore, Table or Topics. A name that is none throws a BindingError. */
  bindings: Record<string, any>;
  /** What the function remembers from event to event, if spec.state names a binding; else it throws a BindingError. */
  readonly state: State;
  workerId: number;
  trigger: { kind: string; name: string };
  triggerName: string;
  /** Aborted when nobody reads the stream of the answer any more. */
  readonly signal: AbortSignal;
  /** Answers the event: what it takes is what a handler may return. */
  callback(answer?: unknown): void;
}

export type Handler = (context: Context, event: Event) => unknown;

/** The handler of a trigger with batch.mode: enable gives as many answers as it got events, in their order. */
export type BatchHandler = (context: Context, events: Event[]) => unknown[] | Promise<unknown[]> | undefined;
