package org.splitring.hypervisor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.slf4j.Logger;

class RateLimitedLogTest {
    private final List<String> lines = new ArrayList<>();
    private final AtomicLong now = new AtomicLong();

    @Test
    void h129_linesAGuestCausesAreRareAndSayHowManyWereLeftOut() {
        Logger logger =
                (Logger)
                        Proxy.newProxyInstance(
                                Logger.class.getClassLoader(),
                                new Class<?>[] {Logger.class},
                                (proxy, method, arguments) -> {
                                    lines.add(method.getName() + Arrays.deepToString(arguments));
                                    return null;
                                });
        RateLimitedLog log = new RateLimitedLog(logger, now::get);
        for (int i = 0; i < 100_000; i++) {
            log.warn("domain 7", "bad request");
            now.addAndGet(1_000_000); // 100 seconds in all
        }
        assertEquals(20, lines.size());
        assertTrue(lines.get(0).contains("domain 7, bad request"), lines.get(0));
        assertTrue(lines.get(1).contains("4999"), lines.get(1));
    }
}
