package org.splitring.benchmarks;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/// One store with so many clients, or so many guests, as a program to start.
///
/// @param library for the store in C
record StoreContender(
        String subject, String library, int clients, int guests, List<StoreOperation> tests)
        implements Contender {
    StoreContender {
        tests = List.copyOf(tests);
    }

    @Override
    public String variant(String test) {
        return situation() + "/" + test;
    }

    private String situation() {
        return guests > 0 ? "guests-" + guests : "clients-" + clients;
    }

    List<Figure> run(double seconds) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(JavaProgram.command(StoreWorker.class));
        command.addAll(List.of(subject, library));
        command.addAll(List.of(Integer.toString(clients), Integer.toString(guests)));
        command.add(String.format(Locale.ROOT, "%.3f", seconds));
        List<String> names = tests.stream().map(StoreOperation::toString).toList();
        command.addAll(names);
        return new FigureProgram(toString(), command, Map.of(), names)
                .run(120 + (long) (10 * seconds * (tests.size() + 16)));
    }

    @Override
    public String toString() {
        return subject + " " + situation();
    }
}
