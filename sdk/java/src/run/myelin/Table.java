package run.myelin;

import java.util.List;
import java.util.Map;

/** Tables of a database. */
public interface Table extends Binding, Statements {
    /** Begins a transaction, for try-with-resources. */
    Transaction begin(With... with);

    /** The rows that the spec's prefetch has as a name; null if there are none, or the event has written since. */
    List<Map<String, Object>> fetched(String name, With... with);

    /** The same table, each of whose calls has the timeout of with. */
    Table with(With with);
}
