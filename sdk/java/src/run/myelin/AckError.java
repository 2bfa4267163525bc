package run.myelin;

/** An event was not settled. The status says why: 404 there is no such trigger, 409 it is not open, 410 its shard has moved. */
public class AckError extends RuntimeException {
    private static final long serialVersionUID = 1;
    private final int status;

    public AckError(String message, int status) {
        super(message);
        this.status = status;
    }

    public int status() {
        return status;
    }
}
