package io.nuclio;

/** Where an event came from. */
public interface TriggerInfo {
    /** The trigger's class: "sync" or "async". */
    String getClassName();

    /** The trigger's kind, such as "http" or "cron". */
    String getKindName();
}
