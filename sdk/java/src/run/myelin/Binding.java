package run.myelin;

/** A data binding: a service that the processor is connected to. It is a {@link Kv}, {@link Objects}, {@link Table} or {@link Topics}. */
public interface Binding {
    String name();
}
