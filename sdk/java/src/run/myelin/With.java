package run.myelin;

import java.math.BigDecimal;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;

/** What else there is to say to a binding. What a call has no use for, it leaves alone. */
public final class With {
    private final Map<String, String> options = new LinkedHashMap<>();
    private Duration timeout;

    private With() {}

    /** Nothing yet. */
    public static With options() {
        return new With();
    }

    /** Sets the time after which the call is given up. */
    public With timeout(Duration timeout) {
        if (timeout.isZero() || timeout.isNegative()) throw new IllegalArgumentException("timeout must be above 0, not " + timeout);
        this.timeout = timeout;
        return this;
    }

    /** Sets the time after which a value goes. */
    public With ttl(Duration ttl) {
        return option("Ttl", BigDecimal.valueOf(ttl.toMillis(), 3).stripTrailingZeros().toPlainString());
    }

    /** Writes only if that is the version now. */
    public With version(String version) {
        return option("If-Version", version);
    }

    /** Writes only if there is nothing yet. */
    public With absent() {
        return option("If-Version", "");
    }

    /** Sets how many are listed at most. */
    public With limit(int limit) {
        return option("Limit", Integer.toString(limit));
    }

    /** Lists what comes behind a name. */
    public With after(String name) {
        return option("After", name);
    }

    /** Sets the content type of an object. */
    public With type(String contentType) {
        return option("Content-Type", contentType);
    }

    /** Reads from the first to the last of these bytes only. */
    public With range(long first, long last) {
        return option("Range", first + "-" + last);
    }

    /** Sets the key of a message. */
    public With key(String key) {
        return option("Key", key);
    }

    /** Gives a message a header. */
    public With header(String name, String value) {
        return option("H-" + name, value);
    }

    private With option(String name, String value) {
        options.put(name, value);
        return this;
    }

    public Map<String, String> values() {
        return options;
    }

    /** The time after which the call is given up; null: the processor decides. */
    public Duration timeout() {
        return timeout;
    }
}
