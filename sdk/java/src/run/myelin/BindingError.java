package run.myelin;

import java.util.List;

/**
 * A data binding did not do what it was asked. The status says why, as HTTP would: 400 wrong use, 404 there is no such binding, 409 the
 * condition did not hold, 410 the event was answered first, 413 too large, 429 all connections are in use, 501 not of this class or kind,
 * 503 the service is away, 504 not in time; then it may have been done all the same.
 */
public class BindingError extends RuntimeException {
    private static final long serialVersionUID = 1;
    private final String binding;
    private final int status;
    private final List<Integer> unpublished;

    public BindingError(String message, String binding, int status) {
        this(message, binding, status, List.of());
    }

    public BindingError(String message, String binding, int status, List<Integer> unpublished) {
        super(message);
        this.unpublished = List.copyOf(unpublished);
        this.binding = binding;
        this.status = status;
    }

    public String binding() {
        return binding;
    }

    public int status() {
        return status;
    }

    /** The places of the messages of a publishAll that the service does not have; it may have the others. */
    public List<Integer> unpublished() {
        return unpublished;
    }
}
