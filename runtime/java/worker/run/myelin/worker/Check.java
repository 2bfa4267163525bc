package run.myelin.worker;

/** Looks for the handler without running it, for the build; says what is wrong and exits with 3. */
public final class Check {
    private Check() {}

    public static void main(String[] args) throws Exception {
        Options options = new Options(args);
        try {
            Class<?> c = new Loader(options.get("classpath"), options.get("own")).find(options.get("handler"));
            c.getDeclaredConstructor();
        } catch (Loader.Problem p) {
            fail(p.getMessage());
        } catch (NoSuchMethodException e) {
            fail("the handler's class has no constructor without parameters");
        } catch (LinkageError e) {
            fail(Body.describe(e));
        }
    }

    private static void fail(String why) {
        System.out.println(why);
        System.exit(3);
    }
}
