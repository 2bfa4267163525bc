import run.myelin.Context;
import run.myelin.Event;
import run.myelin.MyelinHandler;

public class Ok implements MyelinHandler {
    @Override
    public Object handle(Context context, Event event) {
        return "ok";
    }
}
