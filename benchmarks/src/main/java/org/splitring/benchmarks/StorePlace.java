package org.splitring.benchmarks;

import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import org.splitring.wire.XsdSockmsgLayout;

/// A folder with nine nodes that requests go to, and the payloads of those requests.
///
/// @param path of the folder
/// @param owner domain to which the nodes belong
/// @param changed a write to the node that the measuring client watches
/// @param watched that watch, and its event
@SuppressWarnings("ArrayRecordComponent") // never compared, never written
record StorePlace(
        String path,
        int owner,
        byte[] domain,
        byte[] read,
        byte[] write,
        byte[] directory,
        byte[] changed,
        byte[] watched) {
    /// Nodes that the guest of the folder watches: nobody writes them.
    static final List<String> WATCHED_BY_GUEST = List.of("n0", "n1", "n2");

    private static final int NODES = 9;
    private static final String VALUE = "a value of 24 characters";

    static StorePlace of(String path, int owner) {
        return new StorePlace(
                path,
                owner,
                StoreClient.strings(Integer.toString(owner)),
                StoreClient.strings(path + "/n5"),
                value(path + "/n5"),
                StoreClient.strings(path),
                value(path + "/n8"),
                StoreClient.strings(path + "/n8", "token"));
    }

    private static byte[] value(String path) {
        byte[] strings = StoreClient.strings(path, VALUE);
        return Arrays.copyOf(strings, strings.length - 1); // a value has no NUL
    }

    /// Makes the folder and its nodes.
    void make(StoreClient control) throws IOException {
        control.call(XsdSockmsgLayout.MKDIR, directory);
        control.call(XsdSockmsgLayout.SET_PERMS, StoreClient.strings(path, "n" + owner));
        for (int node = 0; node < NODES; node++) {
            control.call(XsdSockmsgLayout.WRITE, value(path + "/n" + node));
        }
    }

    /// Watches as domain 0, and takes the first event.
    void watch(StoreClient watcher) throws IOException {
        watcher.send(XsdSockmsgLayout.WATCH, watched);
        int first = watcher.receive();
        int second = watcher.receive();
        if (first == XsdSockmsgLayout.ERROR || second == XsdSockmsgLayout.ERROR) {
            throw new IOException("cannot watch " + path);
        }
    }
}
