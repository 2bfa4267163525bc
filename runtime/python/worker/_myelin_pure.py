"""The channel without native code: slower, and the same to the function.

Python cannot issue the memory fence that the sleep flag needs, so this worker
does not use it: it says that it is not native, and both sides ring for every
entry. Publishing an entry relies on stores that stay in order, as on x86.
"""

import mmap
import os
import threading
from time import monotonic_ns

import _struct

from _myelin_wire import to_bytes

FD, ERROR, LOG_ASKED, SHARDS, MORE, GOES_ON, CALL = 1, 2, 4, 8, 8, 16, 64
BATCHED = 2
PARTS, END_ROOM = 4, 1024  # of a stream
META_FIXED = 88
ONE = b"\1\0\0\0\0\0\0\0"
METHOD, PATH, URL, CONTENT_TYPE, ID, KEY, TOPIC, KIND, NAME, CLASS = range(10)


def watch(fd):
    """Ends the process when the peer of fd has gone."""
    import select

    def wait():
        poll = select.poll()
        poll.register(fd, 0)
        while not poll.poll():
            pass
        os._exit(0)

    threading.Thread(target=wait, name="myelin-watch", daemon=True).start()


def text(raw):
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


class lazy:
    """An attribute that is made when it is first asked for."""

    def __init__(self, make):
        self.make = make
        self.name = make.__name__

    def __get__(self, event, owner):
        if event is None:
            return self
        value = event.__dict__[self.name] = self.make(event)
        return value


def string_attribute(name, index):
    def make(event):
        return text(event._string(index))

    make.__name__ = name
    return lazy(make)


def cloud_attribute(name):
    def make(event):
        return event._helper.cloud(event.headers, name)

    make.__name__ = name
    return lazy(make)


class Event:
    """An event over a private copy of its metadata and body."""

    def __init__(self, helper, plain, slot, gen, flags, raw, meta_len):
        self._helper, self._plain, self._slot, self._gen, self._flags = helper, plain, slot, gen, flags
        self._raw, self._meta_len = raw, meta_len
        self._lengths = _struct.unpack_from("<10I", raw, 48)
        self._start = self._sent = self._seen = 0

    def _string(self, index):
        at = META_FIXED + sum(self._lengths[:index])
        return self._raw[at:at + self._lengths[index]]

    def _pairs(self, count_at, at):
        count, length = _struct.unpack_from("<II", self._raw, count_at)
        pairs = {}
        for _ in range(count):
            k, v = _struct.unpack_from("<II", self._raw, at)
            at += 8
            pairs.setdefault(text(self._raw[at:at + k]), text(self._raw[at + k:at + k + v]))
            at += k + v
        return pairs

    method = string_attribute("method", METHOD)
    path = string_attribute("path", PATH)
    url = string_attribute("url", URL)
    content_type = string_attribute("content_type", CONTENT_TYPE)
    id = string_attribute("id", ID)
    topic = string_attribute("topic", TOPIC)
    type, type_version, version = cloud_attribute("type"), cloud_attribute("type_version"), cloud_attribute("version")
    last_in_batch = False

    @lazy
    def key(self):
        return self._string(KEY)

    @lazy
    def trigger(self):
        return self._helper.trigger(text(self._string(KIND)), text(self._string(NAME)), text(self._string(CLASS)))

    @lazy
    def body(self):
        raw = self._raw[self._meta_len:]
        is_json = self._string(CONTENT_TYPE) == b"application/json"
        return raw if self._plain and not is_json else self._helper.body(raw, is_json)

    @property
    def body_view(self):
        return memoryview(self._raw)[self._meta_len:]

    @lazy
    def size(self):
        return len(self._raw) - self._meta_len

    @lazy
    def headers(self):
        return self._pairs(28, META_FIXED + sum(self._lengths))

    @lazy
    def fields(self):
        length, = _struct.unpack_from("<I", self._raw, 32)
        return self._pairs(36, META_FIXED + sum(self._lengths) + length)

    @lazy
    def timestamp(self):
        return self._helper.timestamp(_struct.unpack_from("<q", self._raw, 0)[0])

    @lazy
    def offset(self):
        return _struct.unpack_from("<q", self._raw, 8)[0]

    @lazy
    def shard_id(self):
        return _struct.unpack_from("<i", self._raw, 16)[0] if self._flags & SHARDS else -1

    @lazy
    def num_shards(self):
        return _struct.unpack_from("<i", self._raw, 20)[0] if self._flags & SHARDS else 0

    @lazy
    def _brought(self):
        headers, n = _struct.unpack_from("<I", self._raw, 32)[0], _struct.unpack_from("<I", self._raw, 44)[0]
        at = META_FIXED + sum(self._lengths) + headers + _struct.unpack_from("<I", self._raw, 40)[0]
        return self._raw[at:at + n] if n else None

    @property
    def cancelled(self):
        words, at = self._unwanted
        return words[at] == self._gen

    @property
    def _log_level(self):
        return _struct.unpack_from("<i", self._raw, 24)[0] if self._flags & LOG_ASKED else None


class Channel:
    """The same methods as the native one."""

    def __init__(self, mapping, size, wake, bell, helper, event_type, plain, spin, second, call_spin):  # it never spins, and has no use for a second bell
        if os.uname().machine not in ("x86_64", "i686", "AMD64"):
            raise RuntimeError("on %s a Python function needs the native worker: install a C compiler and Python's headers"
                               % os.uname().machine)
        self.mem = mmap.mmap(mapping, size)
        self.words = memoryview(self.mem).cast("I")
        if self.mem[:8] != b"MYLSHM1\0" or _struct.unpack_from("<H", self.mem, 8)[0] != 1:
            raise RuntimeError("unknown version of the shared-memory channel")
        (self.nslots, self.slot_size, self.requests, self.responses, self.resp_entries, self.slots, _,
         self.resp_off) = _struct.unpack_from("<8I", self.mem, 24)
        self.arena, self.arena_len, self.max_body = _struct.unpack_from("<QQQ", self.mem, 72)
        self.stripe = self.arena_len // self.nslots  # each slot has its own part of the arena
        features, = _struct.unpack_from("<I", self.mem, 12)
        self.cells, self.cell_size, self.cells_at = _struct.unpack_from("<III", self.mem, 96) if features & 1 else (0, 0, 0)
        self.asked = [0] * self.cells  # the generation of each cell's last call
        self.watched = set()
        self.putting = threading.Lock()
        self.moved = threading.Condition()  # guards what follows
        self.waiters = []
        self.reader = False  # somebody reads the eventfd
        self.looped = None  # the thread of the event loop that does, for good
        self.wake, self.bell = wake, bell
        self.helper, self.event_type, self.plain = helper, event_type, plain
        self.req_pos = self.resp_pos = self.begun = 0
        self.current = None

    @property
    def stopped(self):
        return self.words[0x280 // 4] != 0

    @property
    def left(self):
        """Whether the stop is one of a drain, of which the signal may be on its way still."""
        return self.words[0x280 // 4] & 1 != 0

    def take(self):
        """The next event, the list of events of a batch, or None."""
        kind, event = self.take_one()
        if kind != BATCHED:
            return event
        events = [event]
        while events[-1]._flags & GOES_ON:  # all of a batch is there
            kind, event = self.take_one()
            if kind != BATCHED:
                raise RuntimeError("a batch has no end")
            events.append(event)
        event.last_in_batch = True
        return events

    def take_one(self):
        at = self.requests + self.req_pos % self.nslots * 64
        if self.words[at // 4] != (self.req_pos + 1) & 0xFFFFFFFF:
            return 0, None
        self.req_pos += 1
        kind, flags, slot, gen, meta_off, body_off, meta_len, body_len = _struct.unpack_from("<HHIIQQII", self.mem, at + 4)
        if flags & FD:
            raw = self.helper.read_file(slot, gen)
        else:
            raw = self.mem[meta_off:meta_off + meta_len] + self.mem[body_off:body_off + body_len]
        event = self.event_type(self.helper, self.plain, slot, gen, flags, raw, meta_len)
        event._unwanted = self.words, (self.slots + slot * self.slot_size) // 4 + 2
        return kind, event

    def arm(self, ending):
        """The processor rings for whatever comes from now on, so there is nothing to say but who reads the eventfd."""
        with self.moved:
            self.looped, self.reader = threading.get_ident(), True
            self.tell()
        return not ending and self.pending() or any(self.is_answered(cell) for cell in self.watched)

    def pending(self):
        at = self.requests + self.req_pos % self.nslots * 64
        return self.stopped or self.words[at // 4] == (self.req_pos + 1) & 0xFFFFFFFF

    def tell(self):
        """Tells those whose wait is over, and whether there were any. The caller holds moved."""
        over = [w for w in self.waiters if not w[1] and w[0]()]
        for waiter in over:
            waiter[1] = True
        if over:
            self.moved.notify_all()
        return bool(over)

    def wait_for(self, ready):
        """Waits; of several threads one reads the eventfd and tells the others."""
        if ready():
            return
        me, loop, read = [ready, False], self.looped == threading.get_ident(), False
        with self.moved:
            self.waiters.append(me)
            try:
                while not ready():
                    if self.reader and not loop:
                        self.moved.wait()
                        continue
                    self.reader = True
                    if not self.tell():
                        self.moved.release()
                        try:
                            os.read(self.wake, 8)
                            read = True
                        finally:
                            self.moved.acquire()
                            self.reader = self.looped is not None
                        if self.looped is not None and not loop:  # a loop began meanwhile, and this was rung for it
                            os.write(self.wake, ONE)
                    self.reader = self.looped is not None
                    self.tell()
            finally:
                self.waiters.remove(me)
                self.moved.notify_all()  # another may have to read
        if loop and read:  # what was rung for the loop, it shall still hear
            os.write(self.wake, ONE)

    def ask(self, cell, kind, nanos, meta, body, watched, event):
        total = len(meta) + len(body)
        if total > self.max_body:
            raise ValueError("call of %d bytes is above the limit of %d" % (total, self.max_body))
        gen = self.asked[cell] = self.asked[cell] % 0xFFFFFFFF + 1
        flags, off = CALL, self.cells_at + cell * self.cell_size + 64
        end = off + len(meta)
        if total > self.cell_size - 64:
            self.helper.send_call(cell, gen, meta, body)
            flags, off, end = CALL | FD, 0, len(meta)
        else:
            self.mem[off:end] = meta
            self.mem[end:end + len(body)] = body
        if watched:
            self.watched.add(cell)
        owner = (event._slot + 1, event._gen) if isinstance(event, Event) else (0, 0)
        self.put(kind, flags, cell, gen, off, end, len(meta), len(body), nanos, owner)

    def is_answered(self, cell):
        return self.words[(self.cells_at + cell * self.cell_size) // 4] == self.asked[cell]

    def answered(self):
        cells = [cell for cell in self.watched if self.is_answered(cell)]
        self.watched.difference_update(cells)
        with self.moved:
            self.tell()
        return cells

    def wait_call(self, cell):
        self.wait_for(lambda: self.is_answered(cell))

    def kept(self, counter):
        return self.words[0x400 // 4 + counter]

    def regain(self):
        return []  # nothing is held

    def fetch(self, cell, view):
        at, gen = self.cells_at + cell * self.cell_size, self.asked[cell]
        status, flags, meta_off, body_off, meta_len, body_len = _struct.unpack_from("<HH4xQQII", self.mem, at + 8)
        if flags & FD:
            answer = self.helper.read_call(cell, gen, meta_len, body_len, status, flags, view)
        else:
            answer = status, flags, self.mem[meta_off:meta_off + meta_len], self.mem[body_off:body_off + body_len]
        self.words[at // 4 + 1] = gen
        return answer

    def begin(self, event):
        events = event if isinstance(event, list) else (event,)
        now = monotonic_ns()
        for event in events:
            event._start = now
        self.begun += len(events)
        self.words[0x204 // 4] = self.begun & 0xFFFFFFFF
        return True  # without a compare-and-swap there are no claims: nothing is called back

    def part(self, event, status, meta, data):
        line = self.slots + event._slot * self.slot_size
        taken = event._seen = self.words[line // 4 + 1]
        if self.words[line // 4 + 2] == event._gen:
            return False
        if event._sent - taken >= PARTS:
            return None
        size = self.stripe // PARTS
        off = self.arena + event._slot * self.stripe + event._sent % PARTS * size
        data = data[:max(size - len(meta), 0)]
        end = off + len(meta)
        if len(meta) > size:
            raise MemoryError("no room for the headers of a stream")
        self.mem[off:end] = meta
        self.mem[end:end + len(data)] = data
        event._sent += 1
        self.put(status, MORE, event._slot, event._gen, off, end, len(meta), len(data), 0)
        return len(data)

    def wait(self, event):
        line = (self.slots + event._slot * self.slot_size) // 4
        self.wait_for(lambda: self.words[line + 1] != event._seen or self.words[line + 2] == event._gen)

    def respond(self, event, status, flags, meta, body):
        slot, gen, total = event._slot, event._gen, len(meta) + len(body)
        took = monotonic_ns() - event._start if event._start else 0
        if event._sent:  # parts may still be unread: their memory is left alone
            body = body[:END_ROOM]
            off = self.slots + (slot + 1) * self.slot_size - END_ROOM
            self.mem[off:off + len(body)] = body
            self.put(status, flags, slot, gen, off, off, 0, len(body), took)
            return
        if total > self.max_body:
            status, flags, meta = 500, ERROR, b""
            body = b"response of %d bytes is above the limit of %d" % (total, self.max_body)
            total = len(body)
        if total <= self.slot_size - self.resp_off:
            off = self.slots + slot * self.slot_size + self.resp_off
        elif total <= self.stripe:
            off = self.arena + slot * self.stripe
        else:
            self.helper.send_file(slot, gen, meta, body)
            off, flags = 0, flags | FD
        end = off + len(meta)
        if not flags & FD:
            self.mem[off:end] = meta
            self.mem[end:end + len(body)] = body
        self.put(status, flags, slot, gen, off, end, len(meta), len(body), took)

    def put(self, status, flags, slot, gen, off, end, meta_len, body_len, took, owner=None):
        with self.putting:
            at = self.responses + self.resp_pos % self.resp_entries * 64
            if owner is not None:
                _struct.pack_into("<II", self.mem, at + 52, *owner)
            _struct.pack_into("<HHIIQQIIQ", self.mem, at + 4, status, flags, slot, gen, off, end, meta_len, body_len, took)
            self.resp_pos += 1
            self.words[at // 4] = self.resp_pos & 0xFFFFFFFF
        os.write(self.bell, ONE)

    def run(self, handler, context, convert, failed, logged, together):
        while True:
            event = self.take()
            if event is None:
                if self.stopped:
                    return
                self.wait_for(self.pending)
                continue
            if isinstance(event, list):
                self.begin(event)
                for one, answer in zip(event, together(list(event))):
                    if not isinstance(answer, tuple):
                        answer = 200, 0, b"", to_bytes(answer) if isinstance(answer, str) else answer or b""
                    self.respond(one, *answer)
                continue
            self.current = event
            self.begin(event)
            if event._flags & LOG_ASKED:
                answer = logged(event)
            else:
                try:
                    result = handler(context, event)
                except BaseException as exc:
                    answer = failed(type(exc), exc, exc.__traceback__)
                else:
                    answer = convert(result)
            self.current = None
            self.respond(event, *answer)
