package run.myelin.worker;

import java.util.HashMap;
import java.util.Map;

/** The worker's arguments, each as name=value. */
final class Options {
    private final Map<String, String> values = new HashMap<>();

    Options(String[] args) {
        for (String a : args) {
            int i = a.indexOf('=');
            if (i > 0) values.put(a.substring(0, i), a.substring(i + 1));
        }
    }

    String get(String name) {
        return values.getOrDefault(name, "");
    }

    int number(String name, int otherwise) {
        String v = get(name);
        return v.isEmpty() ? otherwise : Integer.parseInt(v);
    }
}
