import io.nuclio.Context;
import io.nuclio.Event;
import io.nuclio.EventHandler;
import io.nuclio.Response;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/** The functions of the runtimes' suite, as they are written for Nuclio. */
public class Nuclios {
    public static class Echo implements EventHandler {
        @Override
        public Response handleEvent(Context context, Event event) {
            return new Response().setBody(event.getBody());
        }
    }

    public static class Keep implements EventHandler {
        private Event kept;

        @Override
        public Response handleEvent(Context context, Event event) {
            Event before = kept;
            kept = event;
            return new Response().setBody(before == null ? new byte[0] : before.getBody());
        }
    }

    public static class Fail implements EventHandler {
        @Override
        public Response handleEvent(Context context, Event event) {
            throw new RuntimeException("deliberate failure");
        }
    }

    public static class Panic implements EventHandler {
        @Override
        public Response handleEvent(Context context, Event event) {
            throw new NullPointerException("deliberate panic");
        }
    }

    public static class Exit implements EventHandler {
        @Override
        public Response handleEvent(Context context, Event event) {
            Runtime.getRuntime().halt(3);
            return null;
        }
    }

    public static class Hang implements EventHandler {
        @Override
        public Response handleEvent(Context context, Event event) {
            for (; event.getBody().length > 0; ) { }
            return new Response().setBody("ok");
        }
    }

    public static class Big implements EventHandler {
        @Override
        public Response handleEvent(Context context, Event event) {
            byte[] b = new byte[Integer.parseInt(new String(event.getBody()))];
            Arrays.fill(b, (byte) 'x');
            return new Response().setBody(b);
        }
    }

    public static class Headers implements EventHandler {
        @Override
        public Response handleEvent(Context context, Event event) {
            Map<String, Object> headers = new HashMap<>();
            headers.put("X-Reply", event.getHeader("X-Ask"));
            return new Response().setHeaders(headers);
        }
    }

    public static class Status implements EventHandler {
        @Override
        public Response handleEvent(Context context, Event event) {
            return new Response().setStatusCode(418).setContentType("text/plain").setBody("teapot");
        }
    }

    public static class UserData implements EventHandler {
        private final String word = "ready";

        @Override
        public Response handleEvent(Context context, Event event) {
            return new Response().setBody(word);
        }
    }

    public static class BadInit implements EventHandler {
        public BadInit() {
            throw new IllegalStateException("deliberate init failure");
        }

        @Override
        public Response handleEvent(Context context, Event event) {
            return new Response();
        }
    }

    public static class Logs implements EventHandler {
        @Override
        public Response handleEvent(Context context, Event event) {
            context.getLogger().debug("a debug line");
            context.getLogger().infoWith("an info line", "answer", 42);
            return new Response();
        }
    }

    public static class Empty implements EventHandler {
        @Override
        public Response handleEvent(Context context, Event event) {
            return null;
        }
    }
}
