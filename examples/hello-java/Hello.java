import run.myelin.Context;
import run.myelin.Event;
import run.myelin.MyelinHandler;

/** Greets whoever is named in the body. */
public class Hello implements MyelinHandler {
    @Override
    public Object handle(Context context, Event event) {
        String name = event.text().isBlank() ? "stranger" : event.text().strip();
        context.getLogger().infoWith("greeting", "name", name);
        return "Hello, " + name;
    }
}
