package io.nuclio;

/**
 * The function's log. The plain methods format as {@link String#format} does if they are given arguments; the
 * others take names and values in turn: {@code infoWith("served", "size", 9)}.
 */
public interface Logger {
    void error(String format, Object... args);

    void warn(String format, Object... args);

    void info(String format, Object... args);

    void debug(String format, Object... args);

    void errorWith(String message, Object... vars);

    void warnWith(String message, Object... vars);

    void infoWith(String message, Object... vars);

    void debugWith(String message, Object... vars);
}
