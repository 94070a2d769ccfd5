package org.splitring.benchmarks;

import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import org.splitring.wire.XsdSockmsgLayout;

/// What is measured of a store: the requests of one operation, by a client of domain 0.
enum StoreOperation {
    READ("read") {
        @Override
        void once(StoreClient client, StoreClient watcher, StorePlace place) throws IOException {
            client.call(XsdSockmsgLayout.READ, place.read());
        }
    },
    WRITE("write") {
        @Override
        void once(StoreClient client, StoreClient watcher, StorePlace place) throws IOException {
            client.call(XsdSockmsgLayout.WRITE, place.write());
        }
    },
    DIRECTORY("directory") {
        @Override
        void once(StoreClient client, StoreClient watcher, StorePlace place) throws IOException {
            client.call(XsdSockmsgLayout.DIRECTORY, place.directory());
        }
    },
    EMPTY_TRANSACTION("transaction-empty") {
        @Override
        void once(StoreClient client, StoreClient watcher, StorePlace place) throws IOException {
            client.begin();
            client.commit();
        }
    },
    /// Again when it was in somebody's way, as every client has to do it.
    READ_MODIFY_WRITE("transaction-rmw") {
        @Override
        void once(StoreClient client, StoreClient watcher, StorePlace place) throws IOException {
            do {
                client.begin();
                client.call(XsdSockmsgLayout.READ, place.read());
                client.call(XsdSockmsgLayout.WRITE, place.write());
            } while (!client.commit());
        }
    },
    /// From the write to its event at another connection.
    WATCH("watch") {
        @Override
        void once(StoreClient client, StoreClient watcher, StorePlace place) throws IOException {
            client.call(XsdSockmsgLayout.WRITE, place.changed());
            if (watcher.receive() != XsdSockmsgLayout.WATCH_EVENT
                    || !Arrays.equals(watcher.payload(), place.watched())) {
                throw new IOException("no event of " + place.path());
            }
        }
    },
    /// A guest with nine nodes goes; who measures makes it again.
    RELEASE("release") {
        @Override
        void once(StoreClient client, StoreClient watcher, StorePlace place) throws IOException {
            client.call(XsdSockmsgLayout.RELEASE, place.domain());
        }
    };

    private final String text;

    StoreOperation(String text) {
        this.text = text;
    }

    abstract void once(StoreClient client, StoreClient watcher, StorePlace place)
            throws IOException;

    static StoreOperation of(String text) {
        for (StoreOperation test : values()) {
            if (test.text.equals(text)) {
                return test;
            }
        }
        throw new IllegalArgumentException("test " + text);
    }

    /// All that one client can do any number of times.
    static List<StoreOperation> repeatable() {
        return List.of(READ, WRITE, DIRECTORY, EMPTY_TRANSACTION, READ_MODIFY_WRITE, WATCH);
    }

    @Override
    public String toString() {
        return text;
    }
}
