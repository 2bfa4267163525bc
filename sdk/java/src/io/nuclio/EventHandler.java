package io.nuclio;

/** A function. The class has a public constructor without parameters; each worker makes one object of it. */
public interface EventHandler {
    /** Answers one event. What it throws is the event's outcome: 500, with the message. */
    Response handleEvent(Context context, Event event);
}
