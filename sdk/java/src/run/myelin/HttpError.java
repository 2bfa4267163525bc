package run.myelin;

/** A failure with a status of its own, whose message is all that the caller sees. */
public class HttpError extends RuntimeException {
    private static final long serialVersionUID = 1;
    private final int status;

    public HttpError(int status, String message) {
        this(status, message, null);
    }

    public HttpError(int status, String message, Throwable cause) {
        super(message, cause);
        if (status < 400 || status > 599) throw new IllegalArgumentException("the status of an error is from 400 to 599, not " + status);
        this.status = status;
    }

    public int status() {
        return status;
    }
}
