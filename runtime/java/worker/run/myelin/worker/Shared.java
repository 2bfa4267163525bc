package run.myelin.worker;

import java.util.Map;
import java.util.concurrent.CompletableFuture;
import run.myelin.Answer;
import run.myelin.Binding;
import run.myelin.Call;
import run.myelin.Offset;
import run.myelin.Platform;

/** What the contexts of all events of a worker share. */
final class Shared {
    final Log log;
    final int workerId;
    final String function, triggerKind, triggerName;
    final Calls calls;
    final String bindings; // which there are
    final Leaving leaving;
    volatile Object userData;

    Shared(Log log, Calls calls, Options options) {
        this.log = log;
        this.calls = calls;
        leaving = new Leaving(log);
        workerId = options.number("worker", 0);
        bindings = options.get("bindings");
        function = options.get("function");
        triggerKind = options.get("trigger_kind");
        triggerName = options.get("trigger_name");
    }

    /** The context of an event, or of none. */
    run.myelin.Context context(Request r) {
        return new Context(this, r);
    }

    private record Context(Shared shared, Request request) implements run.myelin.Context, Platform {
        @Override
        public io.nuclio.Logger getLogger() {
            return shared.log.logger(request);
        }

        @Override
        @SuppressWarnings("unchecked")
        public <T> T getUserData() {
            return (T) shared.userData;
        }

        @Override
        public void setUserData(Object data) {
            shared.userData = data;
        }

        @Override
        public Platform getPlatform() {
            return this;
        }

        @Override
        public Answer callFunction(String name, Call call) {
            return shared.calls.call(name, call, request);
        }

        @Override
        public CompletableFuture<Answer> callFunctionAsync(String name, Call call) {
            return shared.calls.callLater(name, call, request);
        }

        @Override
        public void ack(Offset offset) {
            shared.calls.settle("ack", offset, "");
        }

        @Override
        public void nack(Offset offset, String error) {
            shared.calls.settle("nack", offset, error);
        }

        @Override
        public void reject(Offset offset, String error) {
            shared.calls.settle("reject", offset, error);
        }

        @Override
        @SuppressWarnings("unchecked")
        public <T extends Binding> T binding(String name) {
            Map<String, Binding> all = bindings();
            Binding b = all.get(name);
            if (b == null) throw Bindings.unknown(name, all);
            return (T) b;
        }

        @Override
        public Map<String, Binding> bindings() {
            return Bindings.of(shared.bindings, shared.calls, request);
        }

        @Override
        public run.myelin.State state() {
            return Bindings.state(shared.bindings, shared.calls, request);
        }

        @Override
        public void onDrain(Runnable hook) {
            shared.leaving.add(hook);
        }

        @Override
        public int getWorkerId() {
            return shared.workerId;
        }

        @Override
        public String getFunctionName() {
            return shared.function;
        }

        @Override
        public String getTriggerKind() {
            return shared.triggerKind;
        }

        @Override
        public String getTriggerName() {
            return shared.triggerName;
        }
    }
}
