"""Calls to the processor: which cells are free, and who waits for which."""

import _struct
import _thread
from collections import deque

from _myelin_answers import header_bytes
from _myelin_wire import pack_pairs, to_bytes

FAILED, HELD = 2, 1 << 15  # the answer's flags


class Calls:
    """call for threads, call_async for coroutines; both at once if need be."""

    def __init__(self, channel, log):
        self.channel = channel
        self.log = log
        self.event = log.single  # the one at hand, or None
        self.kept = channel.kept  # counters of what changed, by number
        self.serving = _thread.get_ident()  # the thread that runs plain handlers
        self.free = list(range(channel.cells))
        self.lock = _thread.allocate_lock()
        self.waiting = deque()  # for a free cell: functions that take one, and may refuse it
        self.futures = {}  # of the cells that coroutines wait for; None if nobody does any more
        self.loop = None  # the event loop that hears of answers, if there is one

    def owner(self):
        """The event that a call of a binding is for, of a batch the first; None if this thread serves none."""
        if self.log.task_event is None and _thread.get_ident() != self.serving:
            return None
        event = self.log.event()
        return getattr(event, "first", event)

    def fetched(self, binding, key, name=None):
        """(status, flags, metadata, body) of what was fetched for the event at hand, by its key or its name; None if nothing was."""
        if self.log.task_event is None and _thread.get_ident() != self.serving:
            return None
        found = brought(self.log.event())
        return found.get((binding, key, name)) if found else None

    def wrote(self, binding, key=None):
        """Forgets what was fetched of a key, or of all that a binding has."""
        if self.log.task_event is None and _thread.get_ident() != self.serving:
            return
        found = brought(self.log.event())
        for at in [at for at in found or () if at[0] == binding and (key is None or found[at][4] == key)]:
            del found[at]

    def call(self, kind, nanos, *request):
        return unpack(self.exchange(kind, nanos, pack(*request), request[-1]))

    async def call_async(self, kind, nanos, *request):
        return unpack(await self.exchange_async(kind, nanos, pack(*request), request[-1]))

    def exchange(self, kind, nanos, meta, body, owner=None, view=False):
        """Asks and waits; (status, flags, meta, body) of the answer, the body as a memoryview if that saves a copy and view is true."""
        cell = self.take()
        try:
            self.channel.ask(cell, kind, nanos, meta, body, False, owner)
        except BaseException:
            self.give(cell)  # it was not asked
            raise
        try:
            self.channel.wait_call(cell)
        except BaseException:
            _thread.start_new_thread(self.abandon, (cell,))
            raise
        return self.fetch(cell, view)

    async def exchange_async(self, kind, nanos, meta, body, owner=None, view=False):
        import asyncio

        loop = asyncio.get_running_loop()
        if loop is not self.loop:  # nobody there hears of answers: a thread waits
            return await loop.run_in_executor(None, lambda: self.exchange(kind, nanos, meta, body, owner, view))
        cell = await self.take_async(loop)
        try:
            self.channel.ask(cell, kind, nanos, meta, body, True, owner)
        except BaseException:
            self.give(cell)
            raise
        future = loop.create_future()
        self.futures[cell] = future, view
        return await future  # if it is cancelled, settle frees the cell

    def settle(self, cells):
        """Ends the calls of coroutines that were answered."""
        for cell in cells:
            future, view = self.futures.pop(cell)
            answer = None
            try:
                answer = self.channel.fetch(cell, view and not future.done())
            except BaseException as exc:
                if not future.done():
                    future.set_exception(exc)
            else:
                if not future.done():
                    future.set_result(answer)
            if answer is None or not answer[1] & HELD:
                self.give(cell)

    def fetch(self, cell, view):
        answer = None
        try:
            answer = self.channel.fetch(cell, view)
        finally:
            if answer is None or not answer[1] & HELD:
                self.give(cell)
        return answer

    def abandon(self, cell):
        self.channel.wait_call(cell)
        self.fetch(cell, False)

    def take(self):
        with self.lock:
            if self.free or self.regain():
                return self.free.pop()
            taken, ready = [], _thread.allocate_lock()
            ready.acquire()

            def offer(cell):
                taken.append(cell)
                ready.release()
                return True

            self.waiting.append(offer)
        ready.acquire()
        return taken[0]

    async def take_async(self, loop):
        with self.lock:
            if self.free or self.regain():
                return self.free.pop()
            future = loop.create_future()

            def arrive(cell):
                if future.done():
                    self.give(cell)
                else:
                    future.set_result(cell)

            def offer(cell):
                if future.cancelled():
                    return False
                loop.call_soon_threadsafe(arrive, cell)
                return True

            self.waiting.append(offer)
        try:
            return await future
        except BaseException:
            if future.done() and not future.cancelled():
                self.give(future.result())
            raise

    def regain(self):
        """Whether cells are free since the views of their answers have gone; at most half of all are held by views."""
        self.free += self.channel.regain()
        return self.free

    def give(self, cell):
        with self.lock:
            while self.waiting:
                if self.waiting.popleft()(cell):
                    return
            self.free.append(cell)


six_lengths = _struct.Struct("<6I").unpack_from


def brought(event):
    """What was fetched for an event: {(binding, key, None) and (binding, None, name): (status, flags, metadata, body, key)}."""
    found = getattr(event, "_brought", None)
    if type(found) is not bytes:
        return found
    at, end, all_of_it, view = 0, len(found), {}, memoryview(found)
    last = binding = None
    while at < end:
        n_binding, n_name, n_key, n_meta, n_body, status = six_lengths(found, at)
        p = at + 24
        q = p + n_binding
        if found[p:q] != last:
            last = found[p:q]
            binding = last.decode("utf-8", "surrogateescape")
        p = q + n_name
        name = found[q:p].decode("utf-8", "surrogateescape") if n_name else ""
        q = p + n_key
        key = found[p:q].decode("utf-8", "surrogateescape") if n_key else ""
        p = q + n_meta
        at = p + n_body
        answer = status, 0, found[q:p], view[p:at], key
        if key:
            all_of_it[binding, key, None] = answer
        if name:
            all_of_it[binding, None, name] = answer
    event._brought = all_of_it
    return all_of_it


def pack(name, method, path, content_type, headers, body):
    parts = [to_bytes(name), header_bytes(method), to_bytes(path), header_bytes(content_type)]
    pairs = [(header_bytes(k), header_bytes(v)) for k, v in headers]
    return _struct.pack("<6I", *map(len, parts), len(pairs), 0) + b"".join(parts) + pack_pairs(pairs)


def unpack(answer):
    """(status, whether it failed, content type, [(key, value)], body)"""
    status, flags, meta, body = answer
    if flags & FAILED:
        return status, True, "", [], body
    length, count, _ = _struct.unpack_from("<III", meta)
    content_type, at, headers = meta[12:12 + length].decode("latin-1"), 12 + length, []
    for _ in range(count):
        k, v = _struct.unpack_from("<II", meta, at)
        at += 8
        headers.append((meta[at:at + k].decode("latin-1"), meta[at + k:at + k + v].decode("latin-1")))
        at += k + v
    return status, False, content_type, headers, body
