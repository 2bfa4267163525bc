package run.myelin;

import java.util.List;
import java.util.Map;

/**
 * What SQL is run on: a table by itself, or a transaction. A ? stands for a parameter, which may be null, a text, number, boolean, byte[]
 * or Instant.
 */
public interface Statements {
    /** The rows, each with its values by column. */
    List<Map<String, Object>> query(String sql, Object... params);

    /** Runs a statement and returns how many rows it changed. */
    long exec(String sql, Object... params);

    /** Inserts many rows at once and returns how many. */
    long insert(String table, List<String> columns, List<? extends List<?>> rows);
}
