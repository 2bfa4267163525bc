package io.nuclio;

import java.util.Date;
import java.util.Map;

/** What a function is called with. */
public interface Event {
    String getID();

    TriggerInfo getTriggerInfo();

    String getContentType();

    byte[] getBody();

    /** A header's value, whatever the case of its name; null if there is none. */
    Object getHeader(String key);

    String getHeaderString(String key);

    byte[] getHeaderBytes(String key);

    /** A header's value as a number; 0 if there is none. */
    long getHeaderLong(String key);

    Map<String, Object> getHeaders();

    /** A field's value: of the query, or of a record. Null if there is none. */
    Object getField(String key);

    String getFieldString(String key);

    byte[] getFieldBytes(String key);

    /** A field's value as a number; 0 if there is none. */
    long getFieldLong(String key);

    Map<String, Object> getFields();

    Date getTimestamp();

    /** The path without the query. */
    String getPath();

    /** Path and query as the caller wrote them. */
    String getURL();

    String getMethod();

    /** The shard that the event lies in; -1 if its source has none. */
    long getShardID();

    long getTotalNumShards();

    String getType();

    String getTypeVersion();

    String getVersion();
}
