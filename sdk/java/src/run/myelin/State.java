package run.myelin;

/** What the function remembers by key. What a handler writes counts once, though its event runs again. */
public interface State {
    /** What is remembered under a key; null if nothing is. */
    byte[] get(String key, With... with);

    void put(String key, Object value, With... with);

    /** Forgets a key, which need not be there. */
    void delete(String key, With... with);
}
