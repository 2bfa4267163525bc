package run.myelin;

import java.util.List;

/** Where messages are published. */
public interface Topics extends Binding {
    /** Returns when the message is accepted. Without a traceparent of its own it belongs to the event's trace. */
    void publish(String topic, Object message, With... with);

    /**
     * Publishes many with one call. If some are not published, the {@link BindingError} has their places; one that is wrong in itself
     * keeps all from being sent.
     */
    void publishAll(List<Message> messages, With... with);
}
