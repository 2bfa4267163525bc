import run.myelin.Context;
import run.myelin.Event;
import run.myelin.MyelinHandler;

/** Counts a visit, whose key is the user; over HTTP it tells the count of the user in the path. */
public class Counter implements MyelinHandler {
    @Override
    public Object handle(Context context, Event event) {
        boolean asked = event.getTriggerInfo().getKindName().equals("http");
        String user = asked ? event.getPath().replace("/", "") : new String(event.getKey());
        byte[] found = context.state().get(user);
        long count = found == null ? 0 : Long.parseLong(new String(found));
        if (asked) return String.valueOf(count);
        context.state().put(user, String.valueOf(count + 1));
        return null;
    }
}
