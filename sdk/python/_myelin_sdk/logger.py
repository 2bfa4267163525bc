"""A structured logger. Where its records go is the host's business."""

import sys

DEBUG, INFO, WARNING, ERROR = -4, 0, 4, 8
_NAMES = {DEBUG: "debug", INFO: "info", WARNING: "warning", ERROR: "error"}


def _to_stderr(level, message, attributes):
    more = "".join(" %s=%r" % pair for pair in attributes.items())
    sys.stderr.write("%s: %s%s\n" % (_NAMES.get(level, level), message, more))


class Logger:
    """sink(level, message, attributes) takes each record."""

    def __init__(self, sink=None, bound=None, name=None):
        self._sink = sink or _to_stderr
        self._bound = bound or {}
        self.name = name

    def debug(self, message, *args, **kwargs):
        self._emit(DEBUG, message, args, {})

    def info(self, message, *args, **kwargs):
        self._emit(INFO, message, args, {})

    def warn(self, message, *args, **kwargs):
        self._emit(WARNING, message, args, {})

    warning = warn

    def error(self, message, *args, **kwargs):
        self._emit(ERROR, message, args, {})

    def exception(self, message, *args, **kwargs):
        import traceback

        self._emit(ERROR, message, args, {"exception": traceback.format_exc()})

    def debug_with(self, message, *args, **kwargs):
        self._emit(DEBUG, message, args, kwargs)

    def info_with(self, message, *args, **kwargs):
        self._emit(INFO, message, args, kwargs)

    def warn_with(self, message, *args, **kwargs):
        self._emit(WARNING, message, args, kwargs)

    warning_with = warn_with

    def error_with(self, message, *args, **kwargs):
        self._emit(ERROR, message, args, kwargs)

    def bind(self, **kwargs):
        """A logger that adds these attributes to each of its records."""
        return Logger(self._sink, {**self._bound, **kwargs}, self.name)

    def get_child(self, name):
        return Logger(self._sink, {**self._bound, "logger": name}, name)

    def _emit(self, level, message, args, attributes):
        if args:
            try:
                message = message % args
            except (TypeError, ValueError):
                message = "%s %r" % (message, args)
        self._sink(level, str(message), {**self._bound, **attributes} if self._bound else attributes)
