import mmap
import os
import zlib

import myelin

ledger = None
PART = 700


def init_context(context):
    global ledger
    with open(os.environ["LEDGER"], "r+b") as f:
        ledger = mmap.mmap(f.fileno(), 0)


def work(event):
    """Notes in a file that outlives this process that the event runs, then answers as its path says."""
    ledger[int(event.id)] += 1
    path = event.path
    if path == "/echo":
        return event.body
    if path == "/view":
        return event.body_view
    if path == "/raise":
        raise ValueError(event.id)
    if path == "/die":
        os._exit(3)
    return "%s %d" % (event.id, zlib.crc32(event.body))


def parts(event):
    body = event.body
    size = max(PART, len(body) // 20)
    for at in range(0, len(body), size):
        yield body[at:at + size]


def called(event):
    return myelin.Event(body=event.body, method="POST", path="/called", content_type="text/x-soak")


def one(context, event):
    if event.path == "/call":
        ledger[int(event.id)] += 1
        return context.platform.call_function("echo", called(event)).body
    if event.path == "/stream":
        ledger[int(event.id)] += 1
        return parts(event)
    return work(event)


def guarded(of, *args):
    try:
        return of(*args)
    except ValueError as exc:  # fails its event alone
        return exc


def handler(context, event):
    if isinstance(event, list):
        return [guarded(one, context, e) for e in event]
    return one(context, event)


async def later(context, event):
    if event.path == "/call":
        ledger[int(event.id)] += 1
        return (await context.platform.call_function_async("echo", called(event))).body
    return one(context, event)


async def asynchronous(context, event):
    if isinstance(event, list):
        out = []
        for e in event:
            try:
                out.append(await later(context, e))
            except ValueError as exc:
                out.append(exc)
        return out
    return await later(context, event)
