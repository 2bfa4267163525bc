"""What a worker knows about itself, handed to the handler with each event."""

from .logger import Logger
from .platform import Platform
from .response import Response


class TriggerInfo:
    __slots__ = ("kind", "name", "class_")

    def __init__(self, kind="", name="", class_=""):
        self.kind = kind
        self.name = name
        self.class_ = class_

    def __repr__(self):
        return "TriggerInfo(kind=%r, name=%r)" % (self.kind, self.name)


class _UserData:
    """Empty: for whatever the function keeps between events."""


class Context:
    def __init__(self, logger=None, platform=None, worker_id=None, trigger=None):
        self.logger = logger or Logger()
        self.platform = platform or Platform()
        self.user_data = _UserData()
        self.Response = Response
        self.worker_id = worker_id
        self.trigger = trigger or TriggerInfo()
        self.trigger_name = self.trigger.name
        self.trigger_kind = self.trigger.kind
        self._drain_hooks = []
        self._bound = ("", None)  # which bindings there are, and what they call by
        self._bindings = None
        self._state = None

    @property
    def bindings(self):
        """The function's data bindings by name."""
        if self._bindings is None:
            from .bindings import Bindings

            self._bindings = Bindings(*self._bound)
        return self._bindings

    @bindings.setter
    def bindings(self, own):
        self._bindings = own

    @property
    def state(self):
        """What the function remembers from event to event, if spec.state names a binding."""
        if self._state is None:
            from .bindings import state

            self._state = state(*self._bound)
        return self._state

    @state.setter
    def state(self, own):
        self._state = own

    @property
    def data_binding(self):
        """The same, as Nuclio names it."""
        return self.bindings

    def on_drain(self, callback):
        """callback() is called once when the processor begins to drain: a new version takes its place, or it stops.

        Call this in init_context. Events that the processor took still run, and may at the same time; no new ones
        come. The processor waits for the callback, but no longer than its drain deadline. An exception is logged. In an
        asynchronous handler's loop, where it may be async; else in a thread of its own. Returns callback, so that it
        can decorate.
        """
        self._drain_hooks.append(callback)
        return callback
