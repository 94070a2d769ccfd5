package org.splitring.xenbus.device;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.splitring.xenbus.BackendHooks;
import org.splitring.xenbus.FrontendHooks;

/// The smallest device: a number goes over and comes back with one added.
final class EchoDevice {
    static final String CLASS = "echo";
    static final RingShape SHAPE = RingShape.of(16, 16).withMaxPageOrder(1);

    private EchoDevice() {}

    static final class Backend implements BackendDriver {
        @Override
        public String deviceClass() {
            return CLASS;
        }

        @Override
        public Set<String> parameters() {
            return Set.of("mood");
        }

        @Override
        public BackendHooks create(BackendContext context) throws DeviceException {
            String mood = context.parameter("mood").orElse("good");
            if (mood.equals("bad")) {
                throw new DeviceException("mood \"bad\" is not to be had: leave it out");
            }
            if (mood.equals("broken")) {
                throw new IllegalStateException("a bug");
            }
            return new RingBackend(
                    context,
                    SHAPE,
                    request -> {
                        long value = request.bytes().get(ValueLayout.JAVA_LONG, 8);
                        int id = request.bytes().get(ValueLayout.JAVA_INT, 0);
                        Runnable answer =
                                () -> {
                                    request.response().set(ValueLayout.JAVA_INT, 0, id);
                                    request.response().set(ValueLayout.JAVA_LONG, 8, value + 1);
                                    request.answer();
                                };
                        if (value % 2 == 0) {
                            answer.run();
                        } else {
                            context.executor().execute(answer); // later, from another thread
                        }
                    },
                    (keys, folder) -> keys.write(folder + "/mood", mood));
        }
    }

    static final class Frontend implements FrontendDriver {
        @Override
        public String deviceClass() {
            return CLASS;
        }

        @Override
        public FrontendHooks create(FrontendContext context) {
            return new Echo(context).ring;
        }
    }

    record Ask(long value, CompletableFuture<Long> answer) {}

    static final class Echo implements RingAnswers<Ask> {
        final RingFrontend<Ask> ring;

        Echo(FrontendContext context) {
            ring = new RingFrontend<>(context, SHAPE, this, 1000, 1);
        }

        @Override
        public void write(Ask request, int id, MemorySegment slot) {
            slot.set(ValueLayout.JAVA_INT, 0, id);
            slot.set(ValueLayout.JAVA_LONG, 8, request.value());
        }

        @Override
        public long id(MemorySegment response) {
            return response.get(ValueLayout.JAVA_INT, 0);
        }

        @Override
        public void answered(Ask request, MemorySegment response) {
            request.answer().complete(response.get(ValueLayout.JAVA_LONG, 8));
        }

        @Override
        public void failed(Ask request, String reason) {
            request.answer().completeExceptionally(new DeviceException(reason));
        }
    }

    /// Sends a number; any thread.
    @SuppressWarnings("unchecked")
    static CompletableFuture<Long> ask(FrontendBus.Frontend frontend, long value) {
        CompletableFuture<Long> answer = new CompletableFuture<>();
        RingFrontend<Ask> ring = (RingFrontend<Ask>) frontend.hooks();
        frontend.context().loop().execute(() -> ring.submit(new Ask(value, answer)));
        return answer.orTimeout(10, TimeUnit.SECONDS);
    }
}
