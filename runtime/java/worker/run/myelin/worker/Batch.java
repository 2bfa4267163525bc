package run.myelin.worker;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import run.myelin.Response;

/** Finds what a handler gave to each event of a batch. */
final class Batch {
    private Batch() {}

    static List<Object> match(List<Request> events, Object value) {
        if (!(value instanceof Collection<?> given)) {
            throw new IllegalArgumentException("a handler that gets a batch gives a List of as many responses, here " + events.size() + ", and not "
                + (value == null ? "null" : "a " + value.getClass().getName()));
        }
        if (!given.isEmpty() && given.stream().allMatch(v -> v instanceof Response r && r.eventId() != null && !r.eventId().isEmpty())) {
            return matchIds(events, given);
        }
        if (given.size() != events.size()) throw new IllegalArgumentException("the handler gave " + given.size() + " responses to " + events.size() + " events");
        return new ArrayList<>(given);
    }

    private static List<Object> matchIds(List<Request> events, Collection<?> given) {
        Map<String, ArrayDeque<Integer>> places = new HashMap<>();
        for (int i = 0; i < events.size(); i++) places.computeIfAbsent(events.get(i).getID(), id -> new ArrayDeque<>()).add(i);
        List<Object> found = new ArrayList<>(Collections.nCopies(events.size(), new IllegalStateException("the handler gave no response to this event")));
        for (Object v : given) {
            String id = ((Response) v).eventId();
            Integer at = places.containsKey(id) ? places.get(id).poll() : null;
            if (at == null) throw new IllegalArgumentException("the handler gave a response to event " + Json.quote(id) + ", which is not in the batch or has one already");
            found.set(at, v);
        }
        return found;
    }

    /** The answer to one event. */
    static Answer entry(Object value, Request r) {
        try {
            if (value instanceof Throwable t) throw t;
            Answer a = Body.answer(value, r.records());
            if (a.parts != null) throw new IllegalArgumentException("an answer to an event of a batch cannot be a stream");
            return a;
        } catch (Throwable t) {
            return Body.failed(Body.cause(t), r.records());
        }
    }
}
