import io.nuclio.EventHandler;
import io.nuclio.Response;
import java.util.concurrent.CompletableFuture;
import run.myelin.Context;
import run.myelin.Event;
import run.myelin.MyelinHandler;

/** What benchmarks call. */
public class Bench {
    public static class Ok implements MyelinHandler {
        @Override
        public Object handle(Context context, Event event) {
            return "ok";
        }
    }

    public static class Later implements MyelinHandler {
        @Override
        public CompletableFuture<String> handle(Context context, Event event) {
            return CompletableFuture.completedFuture("ok");
        }
    }

    public static class Echo implements EventHandler {
        @Override
        public Response handleEvent(io.nuclio.Context context, io.nuclio.Event event) {
            return new Response().setBody(event.getBody());
        }
    }
}
