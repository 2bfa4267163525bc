package run.myelin;

import java.util.List;

/** A function that takes many events in one call, where a trigger gathers them (batch.mode). */
public interface BatchHandler extends MyelinHandler {
    /**
     * Answers a batch: with a List of as many answers as there are events, in their order, each as {@link MyelinHandler#handle} may give, or an
     * Exception, which fails its event alone; or a CompletionStage of that. If each is a {@link Response} with an
     * event's id, they are matched by it. What the method throws is the outcome of all events.
     */
    Object handleBatch(Context context, List<Event> events) throws Exception;

    /** Answers an event that came alone. */
    @Override
    default Object handle(Context context, Event event) throws Exception {
        Object all = handleBatch(context, List.of(event));
        return all instanceof List<?> answers && answers.size() == 1 ? answers.get(0) : all;
    }
}
