"""The event a handler gets, and one that a test can make by hand."""


class EventMethods:
    """What every event can do; its attributes come from elsewhere."""

    __slots__ = ()
    _myelin_event = True

    def get_header(self, name, default=None):
        """The value of a header, without regard to case."""
        headers = self.headers
        if name in headers:
            return headers[name]
        wanted = name.lower()
        for key, value in headers.items():
            if key.lower() == wanted:
                return value
        return default

    def to_json(self):
        """The event as JSON text; bytes become text, with escapes where they are not UTF-8."""
        import json

        names = ("body", "content_type", "fields", "headers", "id", "method", "path", "size", "timestamp", "url",
                 "shard_id", "num_shards", "type", "type_version", "version", "last_in_batch", "offset", "topic")
        obj = {name: getattr(self, name) for name in names}
        obj["trigger"] = {"kind": self.trigger.kind, "name": self.trigger.name}
        return json.dumps(obj, default=_plain)

    def compile_explicit_ack_message(self):
        """What names this event's place in its queue or stream: Platform.explicit_ack takes it."""
        from .qualified_offset import QualifiedOffset

        return QualifiedOffset.from_event(self).compile_explicit_ack_message()

    def __repr__(self):
        return "<Event %s %s %s>" % (self.id, self.method, self.path)


def _plain(value):
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).decode("utf-8", "backslashreplace")
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return str(value)


class _AnyEvent(type):
    """Events that the processor brings are instances of Event too."""

    def __instancecheck__(cls, obj):
        return getattr(type(obj), "_myelin_event", False) is True


class Event(EventMethods, metaclass=_AnyEvent):
    """An event made by hand."""

    def __init__(self, body=None, content_type=None, trigger=None, fields=None, headers=None, id=None, method=None,
                 path=None, size=None, timestamp=None, url=None, shard_id=None, num_shards=None, type=None,
                 type_version=None, version=None, last_in_batch=False, offset=None, topic=None):
        from .context import TriggerInfo

        self.body = body
        self.content_type = content_type
        self.trigger = trigger or TriggerInfo("", "")
        self.fields = fields or {}
        self.headers = headers or {}
        self.id = id
        self.method = method
        self.path = path or "/"
        self.size = len(body) if size is None and isinstance(body, (bytes, str)) else size or 0
        self.timestamp = timestamp
        self.url = url
        self.shard_id = shard_id
        self.num_shards = num_shards
        self.type = type
        self.type_version = type_version
        self.version = version
        self.last_in_batch = last_in_batch
        self.cancelled = False  # whether nobody waits for the answer's stream any more
        self.offset = offset
        self.topic = topic

    @property
    def body_view(self):
        """The body as a memoryview, if it is bytes or text."""
        return memoryview(self.body.encode() if isinstance(self.body, str) else self.body or b"")
