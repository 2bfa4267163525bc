package run.myelin;

import java.util.List;
import java.util.Map;

/** Objects of a store by name. */
public interface Objects extends Binding {
    /** The content of an object; null if there is none. */
    byte[] get(String name, With... with);

    /** The same with its version and content type. */
    Stored entry(String name, With... with);

    /** The content that the spec's prefetch has as a name; null if there is none, or the event has written since. */
    byte[] fetched(String name, With... with);

    /** Writes an object and returns its version. */
    String put(String name, Object content, With... with);

    void delete(String name, With... with);

    /** What there is of the objects whose names begin with a prefix. */
    List<Map<String, Object>> list(String prefix, With... with);

    /** What there is of an object but its content; null if there is none. */
    Map<String, Object> stat(String name, With... with);
}
