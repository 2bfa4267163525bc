package run.myelin.worker;

import java.io.File;
import java.io.IOException;
import java.lang.reflect.Constructor;
import java.lang.reflect.InvocationTargetException;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.jar.JarFile;
import java.util.stream.Stream;

/** Finds and loads the handler's class: "Name", "a.package.Name", "anything:Name", or the only one there is. */
final class Loader {
    /** Says what is wrong with a function that cannot be loaded. */
    static final class Problem extends Exception {
        private static final long serialVersionUID = 1;

        Problem(String message, Throwable cause) {
            super(message, cause);
        }
    }

    private static final int MOST = 5000; // classes that are looked at

    private final List<Path> own; // directories and jars of the function itself
    final URLClassLoader loader;

    Loader(String classPath, String own) throws MalformedURLException {
        List<URL> urls = new ArrayList<>();
        for (Path p : paths(classPath)) urls.add(p.toUri().toURL());
        loader = new URLClassLoader("function", urls.toArray(URL[]::new), Loader.class.getClassLoader());
        this.own = paths(own);
    }

    private static List<Path> paths(String list) {
        return Stream.of(list.split(File.pathSeparator)).filter(s -> !s.isEmpty()).map(Path::of).toList();
    }

    /** Finds the class that spec.handler means. */
    Class<?> find(String spec) throws Problem {
        String name = spec.substring(spec.lastIndexOf(':') + 1).trim();
        if (name.endsWith(".java") || name.endsWith(".class")) name = name.substring(0, name.lastIndexOf('.'));
        if (name.isEmpty()) return only();
        Class<?> c = load(name);
        if (c == null && name.indexOf('.') < 0) {
            String end = "." + name;
            List<String> same = names().stream().filter(n -> n.endsWith(end)).toList();
            if (same.size() == 1) c = load(same.get(0));
        }
        if (c == null) throw new Problem("there is no class " + name + found(), null);
        if (!Function.fits(c)) throw new Problem("class " + c.getName() + " implements neither io.nuclio.EventHandler nor run.myelin.MyelinHandler" + found(), null);
        return c;
    }

    private String found() throws Problem {
        List<String> all = handlers();
        return all.isEmpty() ? "" : " (handlers: " + String.join(", ", all) + ")";
    }

    private Class<?> only() throws Problem {
        List<String> all = handlers();
        if (all.size() == 1) return load(all.get(0));
        if (all.isEmpty()) throw new Problem("no class implements io.nuclio.EventHandler or run.myelin.MyelinHandler", null);
        throw new Problem("spec.handler names no class, and there are several: " + String.join(", ", all), null);
    }

    private List<String> handlers() throws Problem {
        List<String> all = new ArrayList<>();
        for (String n : names()) {
            try {
                if (Function.fits(Class.forName(n, false, loader))) all.add(n);
            } catch (ClassNotFoundException | LinkageError e) {
                continue; // a class of something that is not there
            }
        }
        return all;
    }

    private Class<?> load(String name) throws Problem {
        try {
            return Class.forName(name, false, loader);
        } catch (ClassNotFoundException e) {
            return null;
        } catch (LinkageError e) {
            throw e.getMessage() != null && e.getMessage().contains("wrong name") ? new Problem("there is no class " + name + " (is the case right?)", e)
                : new Problem("class " + name + " cannot be loaded: " + e, e);
        }
    }

    /** The names of the function's own classes, nested and anonymous ones aside. */
    private List<String> names() throws Problem {
        List<String> names = new ArrayList<>();
        try {
            for (Path listed : own) {
                Path p = Files.exists(listed) ? listed.toRealPath() : listed;
                if (Files.isDirectory(p)) {
                    try (Stream<Path> files = Files.walk(p)) {
                        files.limit(MOST).forEach(f -> add(names, p.relativize(f).toString()));
                    }
                } else if (Files.exists(p)) {
                    try (JarFile jar = new JarFile(p.toFile())) {
                        jar.stream().limit(MOST).forEach(e -> add(names, e.getName()));
                    }
                }
            }
        } catch (IOException e) {
            throw new Problem("the function's classes cannot be read: " + e.getMessage(), e);
        }
        names.sort(null);
        return names;
    }

    private static void add(List<String> names, String file) {
        if (file.endsWith(".class") && file.indexOf('$') < 0 && !file.startsWith("META-INF/") && !file.endsWith("-info.class")) {
            names.add(file.substring(0, file.length() - 6).replace('/', '.'));
        }
    }

    /** Makes the function's object. */
    static Function make(Class<?> c) throws Problem {
        try {
            Constructor<?> made = c.getDeclaredConstructor();
            made.setAccessible(true);
            return Function.of(made.newInstance());
        } catch (NoSuchMethodException e) {
            throw new Problem("class " + c.getName() + " has no constructor without parameters", e);
        } catch (InvocationTargetException e) {
            throw new Problem("the constructor of " + c.getName() + " failed: " + Body.describe(e.getCause()), e.getCause());
        } catch (ExceptionInInitializerError e) {
            throw new Problem("class " + c.getName() + " cannot be initialised: " + Body.describe(e.getCause()), e.getCause());
        } catch (ReflectiveOperationException | LinkageError e) {
            throw new Problem("class " + c.getName() + " cannot be used: " + Body.describe(e), e);
        }
    }
}
