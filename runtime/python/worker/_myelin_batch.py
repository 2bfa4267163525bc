"""Batches: one call of the handler with a list of events."""

import _struct

from _myelin_answers import Awaited, is_source
from _myelin_wire import to_bytes


class Records:
    """Stands for the events of a batch in the log, which is that of the whole call."""

    id = ""

    def __init__(self, events):
        self.first = events[0]
        self._events, self._found = events, None
        self.levels = [event._log_level for event in events]
        asked = [level for level in self.levels if level is not None]
        self._wanted_logs = (min(asked), []) if asked else None

    @property
    def _brought(self):
        """What was fetched for the events; of what has one name, the first one's."""
        if self._found is None:
            from _myelin_calls import brought

            self._found = {}
            for event in reversed(self._events):
                self._found.update(brought(event) or ())
        return self._found

    def of(self, i):
        """What the caller of event i wants of them."""
        if self._wanted_logs is None or self.levels[i] is None:
            return ()
        return [r for r in self._wanted_logs[1] if _struct.unpack_from("<i", r, 8)[0] >= self.levels[i]]


def match(events, result):
    """The answer to each event, out of what the handler returned."""
    if not isinstance(result, list):
        raise TypeError("a handler that gets a batch returns a list of as many responses, here %d, and not %s"
                        % (len(events), type(result).__name__))
    ids = [getattr(entry, "event_id", None) for entry in result]
    if result and all(ids):
        return match_ids(events, result, ids)
    if len(result) != len(events):
        raise ValueError("the handler returned %d responses to %d events" % (len(result), len(events)))
    return result


def match_ids(events, result, ids):
    places = {}
    for i, event in enumerate(events):
        places.setdefault(event.id, []).append(i)
    found = [LookupError("the handler returned no response to this event")] * len(events)
    for entry, event_id in zip(result, ids):
        if not places.get(event_id):
            raise ValueError("the handler returned a response to event %r, which is not in the batch or has one already"
                             % (event_id,))
        found[places[event_id].pop(0)] = entry
    return found


def convert(answers, value, records):
    """One answer of a batch as (status, flags, metadata, body)."""
    if type(value) is str and not records:
        return 200, 0, b"", to_bytes(value)
    if isinstance(value, BaseException):
        return answers.failed(type(value), value, value.__traceback__, records)
    source = getattr(value, "body", value)
    if not is_source(source):
        return answers.convert(value, records)
    try:
        return gathered(answers, value, Awaited(answers.run, source) if hasattr(source, "__anext__") else source, records)
    except BaseException as exc:
        return answers.failed(type(exc), exc, exc.__traceback__, records)


def gathered(answers, value, parts, records):
    status, content_type, headers, _ = answers.plain(value)
    body = b"".join([to_bytes(part) if isinstance(part, str) else part for part in parts])
    return status, 0, answers.meta(content_type, headers, records), body


async def convert_async(answers, value, records):
    try:
        if hasattr(value, "__await__"):
            value = await value
        source = getattr(value, "body", value)
        if hasattr(source, "__anext__"):
            return gathered(answers, value, [part async for part in source], records)
    except BaseException as exc:
        return answers.failed(type(exc), exc, exc.__traceback__, records)
    return convert(answers, value, records)


def failed(answers, events, records, exc):
    """The same failure for every event."""
    status, flags, meta, body = answers.failed(type(exc), exc, exc.__traceback__)
    wanted = [records.of(i) for i in range(len(events))]
    return [(status, flags, answers.meta("text/plain", (), w) if w else meta, body) for w in wanted]


SIMPLE = frozenset((str, bytes, type(None)))


def is_simple(events, result):
    """Whether these are answers that can all stay as they are."""
    return type(result) is list and len(result) == len(events) and SIMPLE.issuperset(map(type, result))


def quick(answers, value, records, i):
    """As convert, but text, bytes and None may stay as they are."""
    if records._wanted_logs is None:
        return value if type(value) in SIMPLE else convert(answers, value, ())
    return convert(answers, value, records.of(i))


def maker(handler, context, answers, log):
    """The function that runs a plain handler on a batch and returns all answers: tuples, or what is one's body,
    None for an empty one."""

    def together(events):
        records = log.batch = Records(events)
        try:
            result = handler(context, events)
            if hasattr(result, "__await__"):
                result = answers.run(result)
            if records._wanted_logs is None and is_simple(events, result):
                return list(result)  # the list itself is the function's
            found = match(events, result)
            return [quick(answers, value, records, i) for i, value in enumerate(found)]
        except BaseException as exc:
            return failed(answers, events, records, exc)
        finally:
            log.batch = None

    return together


async def serve(channel, handler, context, answers, log, events):
    """Runs an asynchronous handler on a batch and answers."""
    records = Records(events)
    log.task_event.set(records)
    try:
        result = handler(context, list(events))
        if hasattr(result, "__await__"):
            result = await result
        found = match(events, result)
        tuples = [await convert_async(answers, value, records.of(i)) for i, value in enumerate(found)]
    except BaseException as exc:
        tuples = failed(answers, events, records, exc)
    for event, answer in zip(events, tuples):
        channel.respond(event, *answer)
