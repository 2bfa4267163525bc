"""Data bindings: keys, objects, tables and streams that the processor is connected to.

Each call returns what it is for, or, where an event loop runs, something to await that gives it.
"""

import struct
import sys
from collections import namedtuple
from collections.abc import Mapping
from time import monotonic_ns

from .exceptions import (
    BindingConflict, BindingError, BindingMisuse, BindingTimeout, BindingUnavailable, UnknownBinding,
)

KIND, FAILED = 3, 2

Entry = namedtuple("Entry", "value version content_type")
Entry.__doc__ = "A value with its version, which a later write can be made to depend on."

_RAISES = {400: BindingMisuse, 409: BindingConflict, 413: BindingMisuse, 429: BindingUnavailable, 501: BindingMisuse,
           503: BindingUnavailable, 504: BindingTimeout}


class Bindings(Mapping):
    """The function's bindings by name."""

    def __init__(self, told="", calls=None):
        self._all = {}
        for one in told.split(",") if told else ():
            kind, _, name = one.partition(":")
            if kind in _CLASSES:
                self._all[name] = _CLASSES[kind](name, calls)

    def __getitem__(self, name):
        try:
            return self._all[name]
        except KeyError:
            there = ", ".join(sorted(self._all)) or "none"
            raise UnknownBinding("the function has no binding %r (it has %s)" % (name, there), name, 404) from None

    def __contains__(self, name):
        return name in self._all

    def get(self, name, default=None):
        return self._all.get(name, default)

    def __iter__(self):
        return iter(self._all)

    def __len__(self):
        return len(self._all)

    def __repr__(self):
        return "Bindings(%s)" % ", ".join(map(repr, self._all.values()))


class Binding:
    """What all classes share."""

    def __init__(self, name, calls):
        self.name = name
        self._calls = calls
        self._fetched = getattr(calls, "fetched", None)
        self._heads = {}  # of the metadata of calls, by method

    def __repr__(self):
        return "%s(%r)" % (type(self).__name__, self.name)

    def _do(self, read, method, path, options=(), body=b"", timeout=None, view=False):
        calls, name = self._calls, self.name
        meta = self._meta(method, path, options)
        nanos = 0 if timeout is None else _nanos(timeout)
        if _looped():
            return _later(read, name, calls, nanos, meta, body, calls.owner(), view)
        return read(*_checked(name, calls.exchange(KIND, nanos, meta, body, calls.owner(), view)))

    def _meta(self, method, path, options):
        if options:
            return _pack(self.name, method, path, options)
        head = self._heads.get(method)
        if head is None:
            name, verb = self.name.encode(), method.encode()
            head = self._heads[method] = len(name), len(verb), name + verb
        n, m, both = head
        path = _text_of(path)
        return _lengths(n, m, len(path), 0, 0, 0) + both + path

    def _found(self, read, key, name=None):
        """What was fetched for the event, in a tuple; None if nothing was."""
        if self._fetched is None or name is None and type(key) is not str:
            return None
        found = self._fetched(self.name, key, name)
        if not found:
            return None
        value = read(self.name, found[0], found[2], found[3])
        return (_ready(value) if _looped() else value,)

    def _wrote(self, key=None):
        wrote = getattr(self._calls, "wrote", None)
        if wrote:
            wrote(self.name, key)

    def fetched(self, name):
        """What the spec's prefetch has as name: a value, content or rows; None if there is none, or the event has written since."""
        found = self._found(_rows if isinstance(self, _SQL) else _value, None, name)
        return found[0] if found else (_ready(None) if _looped() else None)


async def _ready(value):
    return value


async def _later(read, name, calls, nanos, meta, body, owner, view):
    return read(*_checked(name, await calls.exchange_async(KIND, nanos, meta, body, owner, view)))


# Of what a worker keeps itself of a binding that has a cache.
_KEPT_VALUE, _KEPT_BYTES = 64 << 10, 4 << 20


class KV(Binding):
    """Values by key. Values that are read are memoryviews; those that are written bytes or text, or become JSON."""

    def __init__(self, name, calls):
        super().__init__(name, calls)
        self._kept, self._size, self._hits = {}, 0, 0  # answers by key; their bytes; how often they were given since that was told
        self._count = getattr(calls, "kept", None)

    def get(self, key, timeout=None):
        """The value of key; None if there is none."""
        return self._read(_value, key, timeout)

    def entry(self, key, timeout=None):
        """The same with its version, as an Entry."""
        return self._read(_entry, key, timeout)

    def _read(self, read, key, timeout):
        found = self._found(read, key) or self._kept and self._near(read, key)
        if found:
            return found[0]
        options = ()
        if self._hits:
            options, self._hits = (("Hits", str(self._hits)),), 0

        def answered(name, status, meta, body):
            if b"Keep" in meta and len(body) <= _KEPT_VALUE and type(key) is str:
                self._keep(key, status, meta, bytes(body))
            return read(name, status, meta, body)

        return self._do(answered, "kv.get", key, options, b"", timeout, True)

    def _keep(self, key, status, meta, body):
        """Keeps an answer for as long as the processor says, or until it counts a change."""
        if self._size + len(body) > _KEPT_BYTES:
            self._kept, self._size = {}, 0
        self._size += len(body) + len(key) + 512
        counter, count, nanos = map(int, _headers(meta)["keep"].split())
        self._kept[key] = counter, count, monotonic_ns() + nanos, status, meta, body

    def _near(self, read, key):
        """The answer that is kept, in a tuple; None if there is none any more."""
        kept = self._kept.get(key) if type(key) is str else None
        if kept is None:
            return None
        counter, count, until, status, meta, body = kept
        if self._count(counter) != count or monotonic_ns() >= until:
            self._kept.pop(key, None)
            return None
        self._hits += 1
        value = read(self.name, status, meta, body)
        return (_ready(value) if _looped() else value,)

    def put(self, key, value, ttl=None, if_version=None, timeout=None):
        """Sets a value and returns its version.

        ttl: seconds after which it goes. if_version: only if that is the version now, "" if there must be none; else
        BindingConflict is raised.
        """
        self._wrote(key)
        return self._do(_version, "kv.put", key, _options(Ttl=ttl, **{"If-Version": if_version}), _body(value), timeout)

    def delete(self, key, if_version=None, timeout=None):
        self._wrote(key)
        return self._do(_nothing, "kv.delete", key, _options(**{"If-Version": if_version}), b"", timeout)

    def scan(self, prefix="", limit=None, after=None, timeout=None):
        """The keys that begin with prefix, in order; those behind the key after, and limit at most."""
        return self._do(_json, "kv.scan", prefix, _options(Limit=limit, After=after), b"", timeout)

    def add(self, key, delta=1, ttl=None, timeout=None):
        """Adds to a number, 0 if there is none, and returns the sum."""
        self._wrote(key)
        return self._do(_number, "kv.add", key, _options(Ttl=ttl), b"%d" % delta, timeout)


class State(Binding):
    """What the function remembers by key. What a handler writes counts once, though its event runs again."""

    def get(self, key, default=None, timeout=None):
        """What is remembered under key, as bytes; default if nothing is."""
        return self._do(lambda name, status, meta, body: default if status == 404 else bytes(body), "state.get", key, timeout=timeout)

    def put(self, key, value, timeout=None):
        return self._do(_nothing, "state.put", key, (), _body(value), timeout)

    def delete(self, key, timeout=None):
        return self._do(_nothing, "state.delete", key, (), b"", timeout)


class Object(Binding):
    """Objects of a store by name."""

    def get(self, name, range=None, timeout=None):
        """The content as a memoryview, None if there is none. range: the first and the last byte that are wanted."""
        found = self._found(_value, name) if range is None else None
        if found:
            return found[0]
        return self._do(_value, "object.get", name, _range(range), b"", timeout, True)

    def entry(self, name, range=None, timeout=None):
        """The same with version and content type, as an Entry."""
        found = self._found(_entry, name) if range is None else None
        if found:
            return found[0]
        return self._do(_entry, "object.get", name, _range(range), b"", timeout, True)

    def put(self, name, content, content_type=None, if_version=None, timeout=None):
        """Writes an object and returns its version. if_version is as in KV.put."""
        self._wrote(name)
        options = _options(**{"Content-Type": content_type, "If-Version": if_version})
        return self._do(_version, "object.put", name, options, _body(content), timeout)

    def delete(self, name, timeout=None):
        self._wrote(name)
        return self._do(_nothing, "object.delete", name, (), b"", timeout)

    def list(self, prefix="", limit=None, after=None, timeout=None):
        """What there is of the objects whose names begin with prefix, as dictionaries."""
        return self._do(_json, "object.list", prefix, _options(Limit=limit, After=after), b"", timeout)

    def stat(self, name, timeout=None):
        """What there is of one object but its content, as a dictionary; None if there is none."""
        return self._do(_json, "object.stat", name, (), b"", timeout)


class _SQL(Binding):
    _transaction = ()

    def query(self, sql, *params, limit=None, timeout=None):
        """The rows as dictionaries. ? in sql stands for a parameter."""
        return self._do(_rows, "table.query", sql, (*_options(Limit=limit), *self._transaction), _params(params), timeout)

    def exec(self, sql, *params, timeout=None):
        """Runs a statement and returns how many rows it changed."""
        self._wrote()
        return self._do(_affected, "table.exec", sql, self._transaction, _params(params), timeout)

    def insert(self, table, columns, rows, timeout=None):
        """Inserts many rows at once; returns how many."""
        self._wrote()
        options = (("Columns", ",".join(columns)), *self._transaction)
        return self._do(_affected, "table.insert", table, options, _params([list(row) for row in rows]), timeout)


class Table(_SQL):
    """Tables of a database."""

    def transaction(self, timeout=None):
        """with table.transaction() as tx: ..., in asynchronous handlers async with. What leaves the block by an exception
        rolls it back; so does the end of the event."""
        return Transaction(self, timeout)


class Transaction(_SQL):
    """An open transaction: query, exec and insert are part of it."""

    def __init__(self, table, timeout):
        super().__init__(table.name, table._calls)
        self._timeout = timeout

    def _end(self, exc_type):
        self._wrote()
        (_, transaction), = self._transaction
        self._transaction = (("Transaction", "ended"),)
        return self._do(_nothing, "table.commit" if exc_type is None else "table.rollback", transaction)

    def __enter__(self):
        if _looped():
            raise BindingMisuse("in an asynchronous handler, use: async with", self.name, 400)
        self._transaction = (("Transaction", self._do(_text, "table.begin", "", timeout=self._timeout)),)
        return self

    def __exit__(self, exc_type, exc, trace):
        try:
            self._end(exc_type)
        except BindingError:
            if exc_type is None:
                raise
        return False

    async def __aenter__(self):
        self._transaction = (("Transaction", await self._do(_text, "table.begin", "", timeout=self._timeout)),)
        return self

    async def __aexit__(self, exc_type, exc, trace):
        try:
            await self._end(exc_type)
        except BindingError:
            if exc_type is None:
                raise
        return False


class Stream(Binding):
    """Where messages are published."""

    def publish(self, topic, value, key=None, headers=None, timeout=None):
        """Returns when the message is accepted. Without a traceparent of its own it belongs to the event's trace."""
        options = [] if key is None else [("Key", _key(key))]
        options += [("H-" + k, v) for k, v in self._traced(headers).items()]
        return self._do(_nothing, "stream.publish", topic, options, _body(value), timeout)

    def publish_all(self, messages, timeout=None):
        """Publishes many messages with one call, each a tuple of topic, value and, if it has them, key and headers.

        Returns when all are accepted. If some are not, the exception's unpublished has their places; one that is wrong in
        itself keeps all from being sent.
        """
        import json

        packed = json.dumps([self._message(*m) for m in messages], ensure_ascii=False)
        return self._do(_nothing, "stream.publishAll", "", (), packed.encode(), timeout)

    def _message(self, topic, value, key=None, headers=None):
        return [_topic(topic), _content(value), None if key is None else _content(key), self._traced(headers)]

    def _traced(self, headers):
        """Headers as text, with those that make the message part of the event's trace."""
        given = {str(k): str(v) for k, v in (headers or {}).items()}
        event = self._calls.event()
        for name in ("traceparent", "tracestate") if event is not None else ():
            if event.get_header(name) and name not in (k.lower() for k in given):
                given[name] = event.get_header(name)
        return given


def state(told="", calls=None):
    """The function's state; UnknownBinding is raised if it has none."""
    if "state:state" not in told.split(","):
        raise UnknownBinding("the function has no state: name a binding under spec.state", "state", 404)
    return State("state", calls)


_CLASSES = {"kv": KV, "object": Object, "table": Table, "stream": Stream}


def _looped():
    """Whether an event loop runs in this thread."""
    asyncio = sys.modules.get("asyncio.events")
    return asyncio is not None and asyncio._get_running_loop() is not None


_lengths = struct.Struct("<6I").pack


def _nanos(timeout):
    if not timeout > 0:
        raise ValueError("timeout must be above 0 seconds, not %r" % (timeout,))
    return min(int(timeout * 1e9) or 1, 1 << 62)


def _options(**given):
    return [(k, v if isinstance(v, str) else str(v)) for k, v in given.items() if v is not None]


def _range(given):
    return () if given is None else (("Range", "%d-%d" % tuple(given)),)


def _pack(name, method, path, options):
    parts = [name.encode(), method.encode(), _text_of(path), b""]
    pairs = []
    for k, v in options:
        k, v = k.encode(), v.encode("utf-8", "surrogateescape")
        pairs.append(struct.pack("<II", len(k), len(v)) + k + v)
    return struct.pack("<6I", *map(len, parts), len(pairs), 0) + b"".join(parts) + b"".join(pairs)


def _text_of(path):
    if isinstance(path, str):
        return path.encode("utf-8", "surrogateescape")
    if isinstance(path, (bytes, bytearray, memoryview)):
        return bytes(path)
    raise TypeError("a key, a name or SQL is text, not %s" % type(path).__name__)


def _body(value):
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, (bytes, bytearray)):
        return value
    if isinstance(value, memoryview):
        return value if value.c_contiguous else value.tobytes()
    import json

    return json.dumps(value).encode()


def _topic(name):
    if isinstance(name, str):
        return name
    raise TypeError("a topic is text, not %s" % type(name).__name__)


def _key(key):
    return key if isinstance(key, str) else bytes(key).decode("utf-8", "surrogateescape")


def _content(value):
    """A message's value or key within JSON."""
    if isinstance(value, str):
        return value
    body = _body(value)
    try:
        return str(body, "utf-8")
    except UnicodeDecodeError:
        import base64

        return {"$bytes": base64.b64encode(body).decode()}


def _params(values):
    if not values:
        return b"[]"
    import json

    return json.dumps(values, default=_parameter, allow_nan=False).encode()


def _parameter(value):
    if isinstance(value, (bytes, bytearray, memoryview)):
        import base64

        return {"$bytes": base64.b64encode(value).decode()}
    if hasattr(value, "isoformat"):
        return {"$time": value.isoformat()} if getattr(value, "tzinfo", None) is not None else value.isoformat()
    if type(value).__name__ in ("Decimal", "UUID"):
        return str(value)
    raise TypeError("a parameter cannot be a %s" % type(value).__name__)


def _checked(name, answer):
    """(status, metadata, body) of an answer that is none of failure; 404 is left to who asked."""
    status, flags, meta, body = answer
    if (status >= 400 and status != 404) or (flags & FAILED and status < 400):
        raise _error(name, status, body, b"" if flags & FAILED else meta)
    return name, status, b"" if flags & FAILED else meta, body


def _error(name, status, body, meta=b""):
    text = bytes(body).decode("utf-8", "replace")
    error = _RAISES.get(status, BindingError)(text or "binding %s failed with status %d" % (name, status), name, status)
    places = _headers(meta).get("unpublished")
    if places:
        error.unpublished = [int(n) for n in places.split(",")]
    return error


def _headers(meta):
    if not meta:
        return {}
    length, count = struct.unpack_from("<II", meta)
    at, found = 12 + length, {}
    for _ in range(count):
        k, v = struct.unpack_from("<II", meta, at)
        at += 8
        found[meta[at:at + k].decode("latin-1").lower()] = meta[at + k:at + k + v].decode("utf-8", "replace")
        at += k + v
    found.setdefault("content-type", meta[12:12 + length].decode("latin-1"))
    return found


def _there(name, status, body):
    if status == 404:
        raise _error(name, status, body)
    return body


def _value(name, status, meta, body):
    return None if status == 404 else memoryview(body)


def _entry(name, status, meta, body):
    if status == 404:
        return None
    headers = _headers(meta)
    return Entry(memoryview(body), headers.get("version"), headers.get("content-type"))


def _version(name, status, meta, body):
    _there(name, status, body)
    return _headers(meta).get("version")


def _nothing(name, status, meta, body):
    if status == 404:
        raise _error(name, status, body, meta)


def _text(name, status, meta, body):
    return bytes(_there(name, status, body)).decode()


def _number(name, status, meta, body):
    return int(bytes(_there(name, status, body)))


def _json(name, status, meta, body):
    if status == 404:
        return None
    import json

    return json.loads(bytes(body))


def _affected(name, status, meta, body):
    import json

    return json.loads(bytes(_there(name, status, body)))["affected"]


def _rows(name, status, meta, body):
    import json

    found = json.loads(bytes(_there(name, status, body)), object_hook=_bytes_of)
    columns = found["columns"]
    return [dict(zip(columns, row)) for row in found["rows"] or ()]


def _bytes_of(value):
    if len(value) == 1 and "$bytes" in value:
        import base64

        return base64.b64decode(value["$bytes"])
    return value
