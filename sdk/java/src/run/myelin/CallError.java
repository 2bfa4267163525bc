package run.myelin;

/** Another function gave no answer. The status says why, as HTTP would: 404 there is none, 504 not in time, 502 or 503 it is down. */
public class CallError extends RuntimeException {
    private static final long serialVersionUID = 1;
    private final String function;
    private final int status;

    public CallError(String message, String function, int status) {
        super(message);
        this.function = function;
        this.status = status;
    }

    public String function() {
        return function;
    }

    public int status() {
        return status;
    }
}
