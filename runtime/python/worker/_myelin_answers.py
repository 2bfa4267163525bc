"""What handlers return or raise, as the channel takes it."""

import os

import _struct

from _myelin_wire import ERROR, pack_pairs, to_bytes

FAILED = 2  # the response's flag


class Answers:
    """Turns what handlers return or raise into (status, flags, metadata, body)."""

    def __init__(self, log, channel=None):
        self.log = log
        self.channel = channel
        self.loop = None

    def meta(self, content_type, headers=(), records=()):
        pairs = []
        for key, value in headers:
            if isinstance(value, bytes):
                value = value.decode("latin-1")
            pairs.append((header_bytes(str(key)), header_bytes(str(value))))
        content_type = header_bytes(content_type)
        return _struct.pack("<III", len(content_type), len(pairs), len(records)) + content_type + pack_pairs(
            pairs) + b"".join(records)

    def run(self, awaitable):
        """Waits for what a plain handler or hook returned unawaited."""
        import asyncio

        if self.loop is None:
            self.loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self.loop)
        return self.loop.run_until_complete(wait_for(awaitable))

    def convert(self, result, records=()):
        try:
            if hasattr(result, "__await__"):
                result = self.run(result)
            status, content_type, headers, body = self.plain(result)
            if is_source(body):
                return self.stream(self.channel.current, status, content_type, headers, body, records)
            if status == 200 and not headers and not records and content_type == "text/plain":
                return status, 0, b"", body
            return status, 0, self.meta(content_type, headers, records), body
        except BaseException as exc:
            return self.failed(type(exc), exc, exc.__traceback__, records)

    def plain(self, result):
        if isinstance(result, str):
            return 200, "text/plain", (), to_bytes(result)
        if isinstance(result, memoryview):
            return 200, "text/plain", (), result if result.c_contiguous else bytes(result)
        if isinstance(result, (bytes, bytearray)):
            return 200, "text/plain", (), bytes(result)
        if result is None:
            return 200, "text/plain", (), b""
        if isinstance(result, tuple):
            if len(result) == 2 and isinstance(result[0], int) and not isinstance(result[0], bool):
                _, content_type, headers, body = self.plain(result[1])
                return check_status(result[0]), content_type, headers, body
            return 200, "application/json", (), dump(result)
        if isinstance(result, (dict, list, bool, int, float)):
            return 200, "application/json", (), dump(result)
        if hasattr(result, "status_code") and hasattr(result, "body"):
            return self.response(result)
        if is_source(result):
            return 200, "text/plain", (), result
        raise TypeError(
            "a handler cannot return %s: return str, bytes, a dict or list, (status, body) or context.Response"
            % type(result).__name__)

    def response(self, r):
        _, content_type, _, body = self.plain(r.body)
        headers = r.headers or {}
        return (check_status(r.status_code or 200), getattr(r, "content_type", None) or content_type,
                list(headers.items()), body)

    def stream(self, event, status, content_type, headers, source, records):
        """Sends the parts of a generator as they come; returns the end of the answer."""
        if hasattr(source, "__anext__"):
            source = Awaited(self.run, source)
        stream = Stream(self, event, status, content_type, headers, records)
        try:
            for part in source:
                stream.offer(part)
                while not stream.push():
                    self.channel.wait(event)
                if stream.unwanted:
                    break
        except BaseException as exc:
            return stream.failed(exc)
        return stream.end(close(source))

    async def stream_async(self, event, status, content_type, headers, source, records, room):
        """The same in an event loop; room() gives an awaitable that ends when there may be room."""
        stream = Stream(self, event, status, content_type, headers, records)
        asynchronous = hasattr(source, "__anext__")
        try:
            while True:
                try:
                    stream.offer(await source.__anext__() if asynchronous else next(source))
                except (StopIteration, StopAsyncIteration):
                    break
                while not stream.push():
                    await room()
                if stream.unwanted:
                    break
        except BaseException as exc:
            if event.cancelled and type(exc).__name__ == "CancelledError":
                return stream.end(None)  # nobody is left to be told
            return stream.failed(exc)
        problem = None
        if asynchronous:
            try:
                await getattr(source, "aclose", nothing)()
            except BaseException as exc:
                problem = exc
        else:
            problem = close(source)
        return stream.end(problem)

    def failed(self, kind, exc, tb, records=()):
        """Nuclio's form: what the caller sees; the function's log gets the same."""
        text, trace = self.explain(kind, exc, tb)
        status = getattr(exc, "status_code", None)
        if isinstance(status, int) and not isinstance(status, bool) and 400 <= status <= 599:
            message = text
        else:
            status = 500
            message = "Exception caught in handler - \"%s\": %s" % (text, trace)
        self.log(ERROR, "exception in handler: %s: %s" % (kind.__name__, text), {"traceback": trace})
        meta = self.meta("text/plain", (), records) if records else b""
        return status, FAILED, meta, to_bytes(message)

    @staticmethod
    def explain(kind, exc, tb):
        """The text and the traceback of an exception, whose own methods may fail too."""
        import traceback

        while tb is not None and os.path.basename(tb.tb_frame.f_code.co_filename).startswith("_myelin_"):
            tb = tb.tb_next
        try:
            return str(exc), "".join(traceback.format_exception(kind, exc, tb))
        except BaseException as worse:
            return "%s, and it cannot be shown: %s" % (kind.__name__, type(worse).__name__), kind.__name__


class Stream:
    """One answer on its way in parts."""

    def __init__(self, answers, event, status, content_type, headers, records):
        self.answers, self.event, self.status = answers, event, status
        self.meta = answers.meta(content_type, headers, records)
        self.unwanted = self.begun = False
        self.left = b""

    def offer(self, part):
        if isinstance(part, str):
            part = to_bytes(part)
        elif not isinstance(part, (bytes, bytearray, memoryview)):
            raise TypeError("a streamed part must be str or bytes, not %s" % type(part).__name__)
        self.left = memoryview(part).cast("B") if part else b""

    def push(self):
        """False if the reader is behind."""
        while len(self.left) or not self.begun:
            taken = self.answers.channel.part(self.event, self.status, self.meta, self.left)
            if taken is None:
                return False
            if taken is False:
                self.unwanted, self.left = True, b""
                return True
            self.meta, self.begun, self.left = b"", True, self.left[taken:]
        return True

    def failed(self, exc):
        status, flags, meta, body = self.answers.failed(type(exc), exc, exc.__traceback__)
        return (status, flags, b"", body[:1000]) if self.begun else (status, flags, meta, body)

    def end(self, problem):
        if problem is not None:
            return self.failed(problem)
        return self.status, 0, b"" if self.begun else self.meta, b""


class Awaited:
    """An asynchronous generator as a plain one."""

    def __init__(self, run, source):
        self.run, self.source = run, source

    def __iter__(self):
        return self

    def __next__(self):
        try:
            return self.run(self.source.__anext__())
        except StopAsyncIteration:
            raise StopIteration from None

    def close(self):
        self.run(getattr(self.source, "aclose", nothing)())


async def nothing():
    pass


def is_source(value):
    return hasattr(value, "__next__") or hasattr(value, "__anext__")


def close(source):
    """Ends a generator, which sees GeneratorExit if it is not at its end; what it raises is returned."""
    try:
        if hasattr(source, "close"):
            source.close()
    except BaseException as exc:
        return exc
    return None


async def wait_for(awaitable):
    return await awaitable


def header_bytes(text):
    if "\n" in text or "\r" in text or "\0" in text:
        raise ValueError("a header of a response cannot hold a line break or NUL: %r" % text)
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return to_bytes(text)


def dump(value):
    import json

    return json.dumps(value).encode()


def check_status(status):
    if isinstance(status, bool) or not isinstance(status, int) or not 100 <= status <= 599:
        raise ValueError("status must be an integer from 100 to 599, not %r" % (status,))
    return int(status)
