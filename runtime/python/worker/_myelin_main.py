"""The worker of Python functions: loads the handler and serves the channel.

Imports are few, and late where they can be: each one is paid at every start.
"""

import os
import sys
from time import monotonic_ns, time_ns

import _signal
import _struct
import _thread

import _myelin_batch
from _myelin_answers import Answers, is_source
from _myelin_log import Log, Output
from _myelin_wire import ERROR, FAIL, HELLO, INFO, READY, WARNING, Control, pack_record


# What an event says of itself as a CloudEvent, and in which headers.
CLOUD = {"type": ("ce-type", "ce-eventtype"), "type_version": ("ce-eventtypeversion",), "version": ("ce-specversion", "ce-cloudeventsversion")}


class Helper:
    """What events ask for that is easier said in Python."""

    def __init__(self, control, decode, trigger_type):
        self.read_file = control.read_file
        self.drop_file = control.drop_file
        self.send_file = control.send_file
        self.send_call = control.send_call
        self.read_call = control.read_call
        self.decode = decode
        self.trigger = trigger_type
        self.epoch = None

    def timestamp(self, nanos):
        import datetime

        if self.epoch is None:
            self.epoch = datetime.datetime(1970, 1, 1)
        return self.epoch + datetime.timedelta(microseconds=nanos // 1000)

    def cloud(self, headers, what):
        names = CLOUD[what]
        for key, value in headers.items():
            if key.lower() in names:
                return value
        return ""

    def body(self, raw, is_json):
        if is_json:
            import json

            try:
                return json.loads(raw)
            except (ValueError, RecursionError):
                pass
        if self.decode:
            try:
                return raw.decode("utf-8")
            except UnicodeDecodeError:
                pass
        return raw


def want_logs(event):
    level = event._log_level
    if level is not None:
        event._wanted_logs = (level, [])
        return event._wanted_logs[1]
    return []


def serve_plain(channel, handler, context, answers, log):
    """Serves a plain handler; the native channel does the common case by itself."""

    def logged(event):
        records = want_logs(event)
        try:
            result = handler(context, event)
        except BaseException as exc:
            return answers.failed(type(exc), exc, exc.__traceback__, records)
        return answers.convert(result, records)

    together = _myelin_batch.maker(handler, context, answers, log)
    channel.run(handler, context, answers.convert, answers.failed, logged, together)


def serve_async(channel, handler, context, answers, log, wake, calls, leave):
    """Serves an asynchronous handler: every event is a task of one loop."""
    import asyncio
    import contextvars

    log.task_event = contextvars.ContextVar("event", default=None)
    if answers.loop is None:
        answers.loop = asyncio.new_event_loop()
    loop = answers.loop
    asyncio.set_event_loop(loop)
    done = loop.create_future()
    tasks = set()
    streams = {}  # the task of each event whose answer is being streamed
    waiting = []

    def room():
        future = loop.create_future()
        waiting.append(future)
        return future

    async def serve(event):
        log.task_event.set(event)
        if not channel.begin(event):
            return
        if isinstance(event, list):
            await answered(_myelin_batch.serve(channel, handler, context, answers, log, event))
            return
        records = want_logs(event)
        try:
            result = handler(context, event)
            if hasattr(result, "__await__"):
                result = await result
            source = result if hasattr(result, "__anext__") else getattr(result, "body", result)
            if is_source(source):
                status, content_type, headers, source = answers.plain(result)
                streams[event] = asyncio.current_task()
                try:
                    answer = await answers.stream_async(event, status, content_type, headers, source, records, room)
                finally:
                    streams.pop(event, None)
            else:
                answer = answers.convert(result, records)
        except BaseException as exc:
            answer = answers.failed(type(exc), exc, exc.__traceback__, records)
        await answered(respond(event, answer))

    def hang_up():
        """Cancels the streams that nobody reads any more. The processor rings from arm on."""
        for event in [event for event in streams if event.cancelled]:
            streams.pop(event).cancel()

    async def respond(event, answer):
        channel.respond(event, *answer)

    async def answered(last):
        try:
            await last
        except BaseException:  # without an answer the caller would wait for ever
            import traceback

            traceback.print_exc()
            os._exit(70)

    def drain():
        while True:
            calls.settle(channel.answered())
            event = channel.take()
            if event is not None:
                task = loop.create_task(serve(event))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            elif channel.stopped:
                if not done.done():
                    done.set_result(None)
                if not channel.arm(True):
                    return hang_up()
            elif not channel.arm(False):
                return hang_up()

    def woken():
        os.read(wake, 8)
        drain()
        for future in waiting:
            if not future.done():
                future.set_result(None)
        waiting.clear()

    def drained():
        result = context.platform._on_signal("drain")
        if hasattr(result, "__await__"):
            task = asyncio.ensure_future(result)
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    def leaving():
        if not leave.begun:
            leave.begun = True
            task = loop.create_task(leave.run_async())
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def main():
        calls.loop = loop
        loop.add_reader(wake, woken)
        loop.add_signal_handler(_signal.SIGUSR2, drained)
        if leave.hooks:
            loop.add_signal_handler(_signal.SIGURG, leaving)
        loop.call_soon(drain)
        await done
        while tasks:  # their calls are still answered
            await asyncio.wait(list(tasks))
        loop.remove_reader(wake)

    loop.run_until_complete(main())


def find_handler(spec, source):
    """The module and the function of a handler: "module:function", "file.py:function", "module" or nothing."""
    import importlib

    module, _, name = spec.partition(":")
    if not module:
        files = sorted(f[:-3] for f in os.listdir(source) if f.endswith(".py") and not f.startswith("_"))
        if "main" in files or not files:
            module = "main"
        elif len(files) == 1:
            module = files[0]
        else:
            raise LookupError("no handler is given, and there are several files: %s" % ", ".join(files))
    if module.endswith(".py"):
        module = module[:-3]
    module, name = module.strip("/").replace("/", "."), name or "handler"
    loaded = importlib.import_module(module)
    target = loaded
    for part in name.split("."):
        if not hasattr(target, part):
            raise LookupError("module %r has no function %r" % (module, name))
        target = getattr(target, part)
    if not callable(target):
        raise TypeError("%s:%s is no function but %s" % (module, name, type(target).__name__))
    return loaded, target


def is_async(handler):
    """Whether calling handler gives something to await, found without importing asyncio."""
    while hasattr(handler, "func"):
        handler = handler.func
    for target in (handler, getattr(handler, "__call__", None)):
        code = getattr(getattr(target, "__func__", target), "__code__", None)
        if code is not None and code.co_flags & 0x280:  # coroutines and asynchronous generators
            return True
    return False


def set_paths(options):
    """The function's own files first, then its dependencies, Python's own, and the SDK last."""
    here = os.path.dirname(__file__)
    sys.path[:] = [p for p in sys.path if p not in (here, "")]
    sys.path[:0] = [p for p in (options["source"], options["site"]) if p]
    if options["site"]:
        import site

        known = set(sys.path)
        site.addsitedir(options["site"], known)  # runs its .pth files
    sys.path.append(options["sdk"])


def open_channel(native, hello, fds, second, helper, event_methods, spin, call_spin):
    size, = _struct.unpack_from("<Q", hello, 8)
    module = native
    if native is None:
        import _myelin_pure as module

    class Event(module.Event, event_methods):
        pass

    mapping, wake, bell = fds
    channel = module.Channel(mapping, size, wake, bell, helper, Event, int(not helper.decode), spin, second, call_spin)
    os.close(mapping)
    return channel, wake


def load(options, channel, log):
    """Loads the function and runs its init hook."""
    from _myelin_sdk import Context, Logger, Platform, TriggerInfo

    trigger = TriggerInfo(options["trigger_kind"], options["trigger_name"])
    from _myelin_calls import Calls

    platform = Platform("local", options["namespace"])
    platform._calls = Calls(channel, log)
    context = Context(Logger(log), platform, int(options["worker"]), trigger)
    context._bound = (options.get("bindings", ""), platform._calls)
    answers = Answers(log, channel)
    set_paths(options)
    module, handler = find_handler(options["handler"], options["source"])
    hook = getattr(module, "init_context", None)
    if hook is not None:
        try:
            result = hook(context)
            if hasattr(result, "__await__"):
                answers.run(result)
        except BaseException as exc:
            raise RuntimeError("init_context failed: %s: %s" % (type(exc).__name__, exc)) from exc
    return handler, context, answers


def main():
    options = dict(arg.split("=", 1) for arg in sys.argv[1:])
    sys.argv = [options["handler"] or "handler"]
    control = Control(3)
    native = None
    if options["native"] == "1":
        try:
            import _myelin as native
        except ImportError as exc:
            control.log("", pack_record(time_ns(), WARNING, "native worker cannot be loaded: %s" % exc, {}))
    sys.path.insert(0, options["sdk"])
    from _myelin_sdk import EventMethods, TriggerInfo

    del sys.path[0]
    import _myelin_calls  # noqa: F401  all that a start needs is there when the greeting comes
    import importlib  # noqa: F401

    # The processor may wait with it until there is something to do: nothing of the function runs before.
    hello, fds = control.receive()
    if not hello:
        return 0  # the processor has gone
    if hello[0] != HELLO or _struct.unpack_from("<H", hello, 2)[0] != 1 or len(fds) != 3:
        control.say(FAIL, "the worker does not know this version of the channel")
        return 1
    second = control.second_bell(hello)
    log = Log(control, int(options["level"]))
    helper = Helper(control, os.environ.get("NUCLIO_PYTHON_DECODE_EVENT_STRINGS", "").lower() in ("1", "true", "yes"),
                    TriggerInfo)
    channel, wake = open_channel(native, hello, fds, second, helper, EventMethods, int(options["spin"]), int(options["call_spin"]))
    if native is not None:
        native.watch(3)
    else:
        import _myelin_pure

        _myelin_pure.watch(3)
    log.channel = channel
    stdout, stderr = sys.stdout, sys.stderr
    sys.stdout = sys.__stdout__ = Output(log, INFO, 1, "<stdout>")
    sys.stderr = sys.__stderr__ = Output(log, ERROR, 2, "<stderr>")
    begun = monotonic_ns()
    try:
        handler, context, answers = load(options, channel, log)
    except BaseException as exc:
        import traceback

        log(ERROR, "function cannot be loaded", {"traceback": traceback.format_exc()})
        control.say(FAIL, describe(exc))
        return 1
    asynchronous = is_async(handler)
    drain_on_signal(context.platform)
    leave = Leave(context._drain_hooks)
    control.say(READY, "Python %s %s" % (sys.version.split()[0], "native" if native else "pure"),
                (25 if asynchronous else 24) | (6 if native else 0) | (32 if leave.hooks else 0) | (64 if native and second >= 0 else 0),
                min((monotonic_ns() - begun) // 100000, 65535))
    try:
        if asynchronous:
            serve_async(channel, handler, context, answers, log, wake, context.platform._calls, leave)
        else:
            serve_plain(channel, handler, context, answers, log)
        leave.wait(channel.left)
        for name in ("drain", "termination"):
            result = context.platform._on_signal(name)
            if hasattr(result, "__await__"):
                answers.run(result)
    finally:
        sys.stdout.end()
        sys.stderr.end()
        sys.stdout = sys.__stdout__ = stdout
        sys.stderr = sys.__stderr__ = stderr
    return 0


class Leave:
    """What the function does when its processor has begun to drain, which SIGURG says."""

    def __init__(self, hooks):
        self.hooks = hooks
        self.begun = False
        self.over = _thread.allocate_lock()
        if hooks:
            _signal.signal(_signal.SIGURG, self.start)

    def start(self, *_):
        if not self.begun and self.over.acquire(False):  # else the worker is at its end
            self.begun = True
            _thread.start_new_thread(self.run, ())

    def run(self):
        try:
            for hook in self.hooks:
                try:
                    result = hook()
                    if hasattr(result, "__await__"):
                        import asyncio

                        asyncio.run(awaited(result))
                except BaseException:
                    self.failed()
        finally:
            self.over.release()

    async def run_async(self):
        for hook in self.hooks:
            try:
                result = hook()
                if hasattr(result, "__await__"):
                    await result
            except BaseException:
                self.failed()

    def failed(self):
        import traceback

        sys.stderr.write("drain hook failed\n" + traceback.format_exc())
        sys.stderr.flush()

    def wait(self, asked):
        """Returns when hooks that were begun have ended; the processor waits no longer than it may.

        If they were asked for and the signal has not come yet, they begin here."""
        if asked and self.hooks:
            self.start()
        self.over.acquire()


async def awaited(result):
    return await result


def drain_on_signal(platform):
    """SIGUSR2 is the processor's word that what was left open should be settled now. A plain handler may be at any
    place just then, also within a call: so its callback has a thread of its own. An event loop has its own way."""
    def drain():
        try:
            platform._on_signal("drain")
        except Exception:
            import traceback

            traceback.print_exc()

    _signal.signal(_signal.SIGUSR2, lambda *_: _thread.start_new_thread(drain, ()))


def describe(exc):
    if isinstance(exc, SyntaxError):
        return "%s: %s (%s, line %s)" % (type(exc).__name__, exc.msg, exc.filename, exc.lineno)
    if isinstance(exc, RuntimeError) and exc.__cause__ is not None:
        return str(exc)
    return "function cannot be loaded: %s: %s" % (type(exc).__name__, exc)


if __name__ == "__main__":
    sys.exit(main())
