package org.splitring.blkback;

import java.util.Optional;
import org.splitring.wire.BlkifLayout;
import org.splitring.xenbus.store.StoreAccess;
import org.splitring.xenbus.store.StoreException;

/// What a frontend has written about its ring, read once and checked: later changes of the nodes
/// have no effect.
///
/// @param layout from `protocol`; x86_64 when there is none
/// @param ringGrefs one for each page of the ring: 1, 2, 4, 8 or 16
/// @param eventChannel its port
@SuppressWarnings("ArrayRecordComponent") // compared by nobody, and read on one path
record FrontendNodes(BlkifLayout layout, int[] ringGrefs, int eventChannel) {
    /// The nodes are not usable. The message is for the log and the error node: no line of it is
    /// longer than a guest's value cut to 64 characters.
    static final class UnusableException extends Exception {
        private static final long serialVersionUID = 1L;

        UnusableException(String message) {
            super(message);
        }
    }

    private static final int SHOWN_LENGTH = 64;

    /// Reads the nodes.
    ///
    /// @param folder of the frontend
    /// @param maxRingPageOrder what we have offered
    static FrontendNodes read(StoreAccess store, String folder, int maxRingPageOrder)
            throws StoreException, UnusableException {
        Optional<String> queues = store.read(folder + "/multi-queue-num-queues");
        if (queues.isPresent() && number("multi-queue-num-queues", queues.get()) != 1) {
            throw new UnusableException(
                    "multi-queue-num-queues is " + shown(queues.get()) + ", 1 was offered");
        }
        String protocol = store.read(folder + "/protocol").orElse(BlkifLayout.X86_64.protocol());
        BlkifLayout layout =
                BlkifLayout.ofProtocol(withoutEnd(protocol))
                        .orElseThrow(
                                () -> new UnusableException("unknown protocol " + shown(protocol)));
        int order = ringPageOrder(store, folder, maxRingPageOrder);
        int[] grefs = new int[1 << order];
        for (int page = 0; page < grefs.length; page++) {
            grefs[page] = ringRef(store, folder, page, grefs.length);
        }
        long port =
                number(
                        "event-channel",
                        store.read(folder + "/event-channel")
                                .orElseThrow(
                                        () -> new UnusableException("event-channel is missing")));
        if (port > Integer.MAX_VALUE) {
            throw new UnusableException("event-channel is out of range: " + port);
        }
        return new FrontendNodes(layout, grefs, (int) port);
    }

    private static int ringPageOrder(StoreAccess store, String folder, int maxOrder)
            throws StoreException, UnusableException {
        Optional<String> orderText = store.read(folder + "/ring-page-order");
        Optional<String> pagesText = store.read(folder + "/num-ring-pages");
        long order = 0;
        if (orderText.isPresent()) {
            order = number("ring-page-order", orderText.get());
            if (order > maxOrder) { // before anything is shifted by it
                throw new UnusableException(
                        "ring-page-order is " + order + ", at most " + maxOrder + " was offered");
            }
        }
        if (pagesText.isPresent()) {
            long pages = number("num-ring-pages", pagesText.get());
            if (pages == 0 || pages > 1L << maxOrder || Long.bitCount(pages) != 1) {
                throw new UnusableException(
                        "num-ring-pages is "
                                + pages
                                + ", not a power of two up to "
                                + (1 << maxOrder));
            }
            if (orderText.isPresent() && pages != 1L << order) {
                throw new UnusableException(
                        "num-ring-pages " + pages + " and ring-page-order " + order + " disagree");
            }
            order = Long.numberOfTrailingZeros(pages);
        }
        return (int) order;
    }

    private static int ringRef(StoreAccess store, String folder, int page, int pages)
            throws StoreException, UnusableException {
        String name = "ring-ref" + page;
        Optional<String> text = Optional.empty();
        if (pages == 1) {
            text = store.read(folder + "/ring-ref"); // the name where there is only one
        }
        if (text.isEmpty()) {
            text = store.read(folder + "/" + name);
        }
        String found =
                text.orElseThrow(
                        () ->
                                new UnusableException(
                                        (pages == 1 ? "ring-ref" : name) + " is missing"));
        return (int) number(name, found); // a u32; the grant table checks the rest
    }

    /// An unsigned 32-bit number in decimal, and nothing else: no sign, no blank, no further
    /// characters. One NUL at the end is let pass, since C programs send theirs along.
    static long number(String name, String text) throws UnusableException {
        String digits = withoutEnd(text);
        boolean isNumber = !digits.isEmpty() && digits.length() <= 10;
        for (int i = 0; isNumber && i < digits.length(); i++) {
            isNumber = digits.charAt(i) >= '0' && digits.charAt(i) <= '9';
        }
        long value = isNumber ? Long.parseLong(digits) : -1;
        if (value < 0 || value > 0xFFFF_FFFFL) {
            throw new UnusableException(name + " is not a u32: " + shown(text));
        }
        return value;
    }

    private static String withoutEnd(String text) {
        return text.endsWith("\0") ? text.substring(0, text.length() - 1) : text;
    }

    /// A guest's text for a log line: printable and short.
    static String shown(String text) {
        StringBuilder line = new StringBuilder("\"");
        for (int i = 0; i < Math.min(text.length(), SHOWN_LENGTH); i++) {
            char c = text.charAt(i);
            line.append(c >= ' ' && c < 127 && c != '"' ? c : '.');
        }
        return line.append(text.length() > SHOWN_LENGTH ? "...\"" : "\"").toString();
    }
}
