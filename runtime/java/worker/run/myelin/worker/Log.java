package run.myelin.worker;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Where the logger and the standard streams go: the control socket and, if the caller of the event asked, its response. */
final class Log {
    private final Control control;
    private final int lowest;
    private final ThreadLocal<Request> current = new ThreadLocal<>(); // the event whose handler runs in a thread
    private Lines out, err;

    Log(Control control, int lowest) {
        this.control = control;
        this.lowest = lowest;
    }

    /** From now on this thread runs the handler of r; null: of none. */
    void running(Request r) {
        if (r == null && out != null) {
            out.finish();
            err.finish();
        }
        current.set(r);
    }

    void write(Request r, int level, String message, List<String> pairs) {
        byte[] record = null;
        if (r != null && r.together().stream().anyMatch(e -> e.wantsLogs(level))) {
            record = Heads.record(System.currentTimeMillis(), level, message, pairs);
            for (Request e : r.together()) if (e.wantsLogs(level)) e.addRecord(record);
        }
        if (level < lowest) return;
        if (record == null) record = Heads.record(System.currentTimeMillis(), level, message, pairs);
        try {
            control.log(r == null || r.batch != null ? "" : r.getID(), record);
        } catch (IOException gone) {
            return; // the processor has gone, and this process follows
        }
    }

    void write(Request r, String message, Throwable t) {
        write(r, Heads.ERROR, message, List.of("stack", stack(t)));
    }

    private static String stack(Throwable t) {
        try {
            StringWriter text = new StringWriter();
            t.printStackTrace(new PrintWriter(text));
            return text.toString();
        } catch (Throwable own) {
            return Body.describe(t);
        }
    }

    /** Sends what the function prints to the log, a line at a time. */
    void capture() {
        out = new Lines(Heads.INFO);
        err = new Lines(Heads.ERROR);
        System.setOut(new PrintStream(out, true, UTF_8));
        System.setErr(new PrintStream(err, true, UTF_8));
    }

    private final class Lines extends OutputStream {
        private static final int LONGEST = 16 << 10;

        private final int level;
        private byte[] line = new byte[256];
        private volatile int length;

        Lines(int level) {
            this.level = level;
        }

        @Override
        public void write(int b) {
            write(new byte[] {(byte) b}, 0, 1);
        }

        @Override
        public synchronized void write(byte[] from, int at, int n) {
            for (int i = at; i < at + n; i++) {
                if (from[i] == '\n') {
                    send();
                } else if (length < LONGEST) {
                    if (length == line.length) line = Arrays.copyOf(line, 2 * length);
                    line[length++] = from[i];
                } else {
                    send();
                    line[length++] = from[i];
                }
            }
        }

        /** Sends a line that has no end. */
        void finish() {
            if (length == 0) return;
            synchronized (this) {
                if (length > 0) send();
            }
        }

        private void send() {
            String text = Bytes.text(Arrays.copyOf(line, length));
            length = 0;
            Log.this.write(current.get(), level, text, List.of());
        }
    }

    /** The logger of an event, or of none. */
    io.nuclio.Logger logger(Request r) {
        return new Logger(r);
    }

    private final class Logger implements io.nuclio.Logger {
        private final Request request;

        Logger(Request request) {
            this.request = request;
        }

        private void plain(int level, String format, Object[] args) {
            String text = format;
            if (args != null && args.length > 0) {
                try {
                    text = String.format(format, args);
                } catch (RuntimeException e) { // a mistake in the format fails no event
                    text = format + " " + Arrays.toString(args);
                }
            }
            write(request, level, String.valueOf(text), List.of());
        }

        private void with(int level, String message, Object[] vars) {
            List<String> pairs = new ArrayList<>();
            int n = vars == null ? 0 : vars.length;
            for (int i = 0; i < n; i += 2) {
                pairs.add(String.valueOf(vars[i]));
                pairs.add(i + 1 < n ? show(vars[i + 1]) : "");
            }
            write(request, level, String.valueOf(message), pairs);
        }

        private String show(Object v) {
            return v instanceof Throwable t ? stack(t) : v instanceof Object[] a ? Arrays.deepToString(a) : String.valueOf(v);
        }

        @Override
        public void error(String format, Object... args) {
            plain(Heads.ERROR, format, args);
        }

        @Override
        public void warn(String format, Object... args) {
            plain(Heads.WARN, format, args);
        }

        @Override
        public void info(String format, Object... args) {
            plain(Heads.INFO, format, args);
        }

        @Override
        public void debug(String format, Object... args) {
            plain(Heads.DEBUG, format, args);
        }

        @Override
        public void errorWith(String message, Object... vars) {
            with(Heads.ERROR, message, vars);
        }

        @Override
        public void warnWith(String message, Object... vars) {
            with(Heads.WARN, message, vars);
        }

        @Override
        public void infoWith(String message, Object... vars) {
            with(Heads.INFO, message, vars);
        }

        @Override
        public void debugWith(String message, Object... vars) {
            with(Heads.DEBUG, message, vars);
        }
    }
}
