package org.splitring.blkback.image;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.splitring.blkback.DiskException;

class NbdSourceTest {
    @ParameterizedTest
    @CsvSource({
        "nbd://example.com/disk, example.com:10809, disk, nbd://example.com/disk",
        "nbd://example.com:10810/disk, example.com:10810, disk, nbd://example.com:10810/disk",
        "nbd://example.com, example.com:10809, '', nbd://example.com/",
        "nbd://example.com//disk, example.com:10809, /disk, nbd://example.com//disk",
        "nbd://10.0.0.1/a%20b, 10.0.0.1:10809, a b, nbd://10.0.0.1/a%20b",
        "nbd://[::1]:9/%C3%A4, [::1]:9, ä, nbd://[::1]:9/%C3%A4",
        "nbd://[fe80::1]/x, [fe80::1]:10809, x, nbd://[fe80::1]/x",
        "nbd:localhost:10809, localhost:10809, '', nbd://localhost/",
        "nbd:h:1:exportname=a:b, h:1, a:b, nbd://h:1/a%3Ab",
        "nbd:[::1]:10809:exportname=x, [::1]:10809, x, nbd://[::1]/x",
        "nbd:unix:/run/s, /run/s, '', nbd+unix:///?socket=/run/s",
        "nbd:unix:/run/a b:exportname=x, /run/a b, x, nbd+unix:///x?socket=/run/a%20b",
        "nbd+unix:///x?socket=/run/s, /run/s, x, nbd+unix:///x?socket=/run/s",
        "nbd+unix:///?socket=/run/%2C, '/run/,', '', nbd+unix:///?socket=/run/%2C",
        "aio:nbd:h:1, h:1, '', nbd://h:1/",
        "raw:nbd:h:1, h:1, '', nbd://h:1/",
    })
    void namesOfEachKind(String text, String server, String export, String name) throws Exception {
        NbdSource source = assertInstanceOf(NbdSource.class, DiskSource.parse(text));
        assertEquals(server, source.server().toString());
        assertEquals(export, source.export());
        assertEquals(30, source.reconnectSeconds());
        assertEquals(name, source.name());
        assertEquals(name, source.toString());
        assertEquals(source, DiskSource.parse(source.toString()), "reads what it wrote");
    }

    @Test
    void howLongToWaitForAServerIsPartOfTheTextAndNotOfTheName() throws Exception {
        NbdSource tcp = NbdSource.parse("nbd://h/x?x-reconnect=5");
        assertEquals(5, tcp.reconnectSeconds());
        assertEquals("nbd://h/x", tcp.name());
        assertEquals("nbd://h/x?x-reconnect=5", tcp.toString());
        NbdSource unix = NbdSource.parse("nbd+unix:///x?x-reconnect=3600&socket=/s");
        assertEquals("nbd+unix:///x?socket=/s&x-reconnect=3600", unix.toString());
        assertEquals(unix, NbdSource.parse(unix.toString()));
    }

    @Test
    void aRelativeSocketIsOneInAFolder() throws Exception {
        NbdSource source = NbdSource.parse("nbd:unix:run/../s:exportname=x", Path.of("/lab"));
        assertEquals("nbd+unix:///x?socket=/lab/s", source.toString());
        assertEquals(source, NbdSource.parse("nbd+unix:///x?socket=run/../s", Path.of("/lab")));
    }

    @ParameterizedTest
    @CsvSource({
        "nbds://h/x, TLS is not supported",
        "nbds+unix:///x?socket=/s, TLS is not supported",
        "nbd+vsock://2/x, neither nbd: nor nbd+unix:",
        "nbd:h, not of the form nbd:HOST:PORT",
        "nbd:h:1:x, not of the form nbd:HOST:PORT",
        "nbd:h:x, port is not between",
        "nbd:h:0, port is not between",
        "nbd:h:65536, port is not between",
        "nbd:h:-1, port is not between",
        "nbd://h:99999999999/x, port is not between",
        "nbd://h:/x, port is not between",
        "nbd::1, no name or address",
        "nbd:a/b:1, no name or address",
        "nbd://u@h/x, user names",
        "nbd:///x, the host is missing",
        "nbd://h/x?socket=/s, a socket belongs to",
        "nbd://h/x?tls-type=psk, \"tls-type\" is none of its keys",
        "nbd://h/x?x-reconnect=0, x-reconnect is not between 1 and 3600",
        "nbd://h/x?x-reconnect=3601, x-reconnect is not",
        "nbd://h/x?x-reconnect=-5, x-reconnect is not",
        "nbd://h/x#y, no URI of an export",
        "nbd://h/%zz, no URI",
        "nbd://h/%ff, not UTF-8",
        "nbd://h/a%00b, a zero in it",
        "nbd+unix:///x, path of the socket is missing",
        "nbd+unix://h/x?socket=/s, has no host",
        "nbd+unix:x, no URI of an export",
        "nbd+unix:///x?socket=s, from the root on",
        "nbd:unix:s, from the root on",
        "nbd+unix:///x?socket=/a%00b, is no path",
    })
    void whatIsNoNameIsRefusedInOneLine(String text, String words) {
        DiskException e = assertThrows(DiskException.class, () -> DiskSource.parse(text));
        String message = String.valueOf(e.getMessage());
        assertTrue(message.startsWith("\"" + text + "\": "), message);
        assertTrue(message.contains(words), message);
    }

    @Test
    void lengthsAreBounded() {
        for (String text :
                new String[] {
                    "nbd:unix:/" + "x".repeat(107),
                    "nbd://" + "h".repeat(256) + "/x",
                    "nbd://h/" + "x".repeat(4097)
                }) {
            assertThrows(DiskException.class, () -> DiskSource.parse(text), text);
        }
        assertFalse(NbdSource.isOne("/nbd:x"));
        assertFalse(NbdSource.isOne("nbdkit.img"));
    }
}
