"""What a function may ask of the platform that runs it."""

from .exceptions import AckError, CallError, CallTimeout, UnknownFunction
from .qualified_offset import QualifiedOffset
from .response import Response


class Platform:
    def __init__(self, kind="local", namespace="default"):
        self.kind = kind
        self.namespace = namespace
        self._drain = None
        self._termination = None
        self._calls = None  # the worker's

    def call_function(self, function_name, event, node=None, timeout=None, service_name_override=None):
        """Calls another function and waits for its Response, whatever its status.

        event: an Event, or anything with its attributes; timeout: in seconds. Raises CallError if there is no
        answer: UnknownFunction, CallTimeout or another. node is ignored; service_name_override is called instead
        of function_name. In an asynchronous handler use call_function_async: this one holds up all events.
        """
        calls, name = self._ready(), service_name_override or function_name
        return _response(name, calls.call(1, _seconds(timeout), *_request(name, event, calls.event())))

    async def call_function_async(self, function_name, event, node=None, timeout=None, service_name_override=None):
        """The same, to await: any number of calls may be on their way."""
        calls, name = self._ready(), service_name_override or function_name
        return _response(name, await calls.call_async(1, _seconds(timeout), *_request(name, event, calls.event())))

    def _ready(self):
        if self._calls is None or self._calls.channel.cells == 0:
            raise CallError("functions cannot be called here: no processor runs this one")
        return self._calls

    async def explicit_ack(self, qualified_offset):
        """Acknowledges an event that its handler left open.

        qualified_offset: a QualifiedOffset, an event, or what compile_explicit_ack_message gave. Raises AckError if
        the event is not open here. Plain handlers use ack.
        """
        await self._settle_async("ack", qualified_offset, "")

    async def explicit_nack(self, qualified_offset, error=None, permanent=False):
        """Says that such an event failed: it is tried again by the trigger's retry policy; permanent: given up."""
        await self._settle_async("reject" if permanent else "nack", qualified_offset, error)

    def ack(self, qualified_offset):
        """explicit_ack for plain handlers and threads: it waits."""
        self._settle("ack", qualified_offset, "")

    def nack(self, qualified_offset, error=None, permanent=False):
        """explicit_nack for plain handlers and threads: it waits."""
        self._settle("reject" if permanent else "nack", qualified_offset, error)

    def _settle(self, verb, place, error):
        _settled(self._here().call(2, 0, *_settlement(verb, place, error)))

    async def _settle_async(self, verb, place, error):
        _settled(await self._here().call_async(2, 0, *_settlement(verb, place, error)))

    def _here(self):
        if self._calls is None or self._calls.channel.cells == 0:
            raise AckError("events cannot be acknowledged here: no processor runs this function", status=502)
        return self._calls

    def set_drain_callback(self, callback):
        """callback() is called when a shard is to move, or the processor stops, and events are open: time to settle them.

        In an asynchronous handler's loop, where it may be async; else in a thread of its own. It is also called
        before the worker ends, when nothing can be settled any more.
        """
        self._drain = callback

    def set_termination_callback(self, callback):
        """callback() is called before the worker ends."""
        self._termination = callback

    def _on_signal(self, callback_name):
        callback = getattr(self, "_" + callback_name)
        return callback() if callback is not None else None


def _seconds(timeout):
    """Nanoseconds; 0 leaves it to the processor."""
    if timeout is None:
        return 0
    if not timeout > 0:
        raise ValueError("timeout must be above 0 seconds, not %r" % (timeout,))
    return min(int(timeout * 1e9) or 1, 1 << 62)


def _request(name, event, current):
    """(name, method, path, content type, headers, body) of a call, all bytes."""
    body, content_type = getattr(event, "body", None), getattr(event, "content_type", None)
    if body is None:
        body = b""
    elif isinstance(body, str):
        body = body.encode()
    elif not isinstance(body, (bytes, bytearray, memoryview)):
        import json

        body, content_type = json.dumps(body).encode(), content_type or "application/json"
    headers = {str(k): v if isinstance(v, str) else str(v) for k, v in (getattr(event, "headers", None) or {}).items()}
    given = {k.lower() for k in headers}
    if current is not None and current is not event:
        for key in ("traceparent", "tracestate"):
            value = current.get_header(key)
            if value and key not in given:
                headers[key] = value
        if current.id and "x-request-id" not in given:
            headers["X-Request-Id"] = current.id
    content_type = content_type or ("text/plain" if len(body) else "")
    method, path = getattr(event, "method", None) or "", getattr(event, "path", None) or ""
    return str(name), method, path, content_type, headers.items(), body


def _settlement(verb, place, error):
    """The call that settles the event of a place; see _request."""
    if isinstance(place, dict):
        place = QualifiedOffset.from_message(place)
    elif hasattr(place, "shard_id"):
        place = QualifiedOffset.from_event(place)
    if place.offset is None:
        raise ValueError("the event has no place in a queue or stream: its offset is None")
    at = [("shard", str(int(place.partition or 0))), ("offset", str(int(place.offset)))]
    return getattr(place, "trigger", None) or "", verb, place.topic or "", "", at, str(error or "").encode()


def _settled(answer):
    status, failed, _, _, body = answer
    if failed:
        raise AckError(bytes(body).decode("utf-8", "replace"), status)


def _response(name, answer):
    status, failed, content_type, headers, body = answer
    if failed:
        text = bytes(body).decode("utf-8", "replace")
        if status == 404:
            raise UnknownFunction(text, name, status)
        if status == 504:
            raise CallTimeout(text, name, status)
        raise CallError(text, name, status)
    if content_type == "application/json":
        import json

        try:
            body = json.loads(body)
        except ValueError:
            pass
    return Response(headers={k.lower(): v for k, v in headers}, body=body, content_type=content_type, status_code=status)
