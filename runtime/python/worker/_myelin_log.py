"""Where logger and print go."""

from time import time_ns

import _thread

from _myelin_wire import pack_record


class Log:
    """Where logger and print go: the control socket and, if the caller asked, the response."""

    def __init__(self, control, level):
        self.control = control
        self.level = level
        self.channel = None
        self.batch = None  # what stands for the events of the batch that runs
        self.task_event = None  # a context variable where several events run at once

    def event(self):
        if self.task_event is not None:
            return self.task_event.get(None)
        if self.batch is not None:
            return self.batch
        return self.channel.current if self.channel is not None else None

    def single(self):
        """The event that runs; None if it is a batch."""
        event = self.event()
        return event if hasattr(event, "get_header") else None

    def __call__(self, level, message, attributes):
        event = self.event()
        wanted = getattr(event, "_wanted_logs", None)
        if level < self.level and (wanted is None or level < wanted[0]):
            return
        record = pack_record(time_ns(), level, message, attributes)
        if wanted is not None and level >= wanted[0]:
            wanted[1].append(record)
        if level >= self.level:
            try:
                self.control.log(event.id if event is not None else "", record)
            except OSError:
                pass  # the processor has gone, and this process follows


class Output:
    """sys.stdout and sys.stderr: each line becomes a log record."""

    encoding = "utf-8"
    errors = "backslashreplace"
    newlines = None
    line_buffering = True
    closed = False
    MAX_LINE = 16 << 10

    def __init__(self, log, level, fd, name):
        self.log, self.level, self.fd, self.name = log, level, fd, name
        self.line = ""
        self.lock = _thread.RLock()
        self.buffer = OutputBytes(self)
        self.mode = "w"

    def write(self, text):
        if not isinstance(text, str):
            raise TypeError("write() argument must be str, not %s" % type(text).__name__)
        with self.lock:
            *lines, rest = (self.line + text).split("\n")
            self.line = ""
            for line in lines:
                self.emit(line)
            if len(rest) > self.MAX_LINE:
                self.emit(rest)
            else:
                self.line = rest
        return len(text)

    def emit(self, line):
        line = line.rstrip("\r")
        if not line:
            return
        if len(line) > self.MAX_LINE:
            line = "%s ... (%d characters cut)" % (line[: self.MAX_LINE], len(line) - self.MAX_LINE)
        if not line.isprintable():
            line = "".join(c if c == "\t" or c.isprintable() else c.encode("unicode_escape").decode() for c in line)
        self.log(self.level, line, {})

    def writelines(self, lines):
        for line in lines:
            self.write(line)

    def flush(self):
        pass

    def end(self):
        line, self.line = self.line, ""
        self.emit(line)

    def fileno(self):
        return self.fd

    def isatty(self):
        return False

    def readable(self):
        return False

    def writable(self):
        return True

    def seekable(self):
        return False

    def reconfigure(self, **kwargs):
        pass

    def close(self):
        pass


class OutputBytes:
    """sys.stdout.buffer: bytes that are no text are shown as escapes."""

    def __init__(self, text):
        self.text = text
        self.raw = self

    def write(self, data):
        self.text.write(bytes(data).decode("utf-8", "backslashreplace"))
        return len(data)

    def flush(self):
        pass

    def fileno(self):
        return self.text.fd
