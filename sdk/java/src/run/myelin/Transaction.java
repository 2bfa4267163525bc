package run.myelin;

/** An open transaction. What was not committed is rolled back by close, and by the end of the event. */
public interface Transaction extends Statements, AutoCloseable {
    void commit();

    @Override
    void close();
}
