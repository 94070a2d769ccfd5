package org.splitring.driverdomain;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.driverdomain.lab.LabException;
import org.splitring.driverdomain.lab.LabFile;

/// Java classes in guests: `class`, `jar` and `args` of a domain.
@Timeout(180)
class GuestClassIT {
    /// Says its argument into the network again and again; a listener writes what it hears to its
    /// disk, and ends.
    private static final String CLASSES =
            """
            package org.example;
            import io.netty.buffer.*;
            import io.netty.channel.*;
            import io.netty.util.ReferenceCountUtil;
            import java.util.concurrent.*;
            import org.splitring.blkfront.*;
            import org.splitring.driverdomain.guest.*;

            public final class Talker implements GuestMain {
                @Override
                public void run(Guest guest) throws Exception {
                    Channel channel = guest.vif(0).orElseThrow().channel();
                    byte[] text = guest.arguments().getFirst().getBytes("US-ASCII");
                    while (true) {
                        ByteBuf frame = Unpooled.directBuffer(60);
                        for (int i = 0; i < 6; i++) {
                            frame.writeByte(0xFF);
                        }
                        for (String part : guest.vif(0).orElseThrow().mac().split(":")) {
                            frame.writeByte(Integer.parseInt(part, 16));
                        }
                        frame.writeShort(0x88B5).writeBytes(text).writeZero(60 - 14 - text.length);
                        channel.writeAndFlush(frame);
                        Thread.sleep(50); // ends when the guest is told to end
                    }
                }

                public static final class Listener implements GuestMain {
                    @Override
                    public void run(Guest guest) throws Exception {
                        CompletableFuture<byte[]> heard = new CompletableFuture<>();
                        guest.vif(0).orElseThrow().channel().pipeline().addLast(
                                new ChannelInboundHandlerAdapter() {
                                    @Override
                                    public void channelRead(ChannelHandlerContext at, Object frame) {
                                        ByteBuf bytes = (ByteBuf) frame;
                                        if (bytes.getUnsignedShort(12) == 0x88B5) {
                                            byte[] text = new byte[bytes.readableBytes() - 14];
                                            bytes.getBytes(14, text);
                                            heard.complete(text);
                                        }
                                        ReferenceCountUtil.release(frame);
                                    }
                                });
                        byte[] text = heard.get();
                        VbdFrontend disk = guest.disk(guest.arguments().get(0)).orElseThrow();
                        CompletableFuture<Integer> done = new CompletableFuture<>();
                        disk.loop().execute(() -> {
                            GuestBuffer buffer = disk.acquire(512);
                            buffer.bytes().put(0, text);
                            disk.write(0, buffer, 512, status ->
                                    disk.flush(flushed -> {
                                        disk.release(buffer);
                                        done.complete(status | flushed);
                                    }));
                        });
                        System.out.println("written: " + done.get());
                    }
                }

                public static final class Broken implements GuestMain {
                    @Override
                    public void run(Guest guest) {
                        throw new IllegalStateException("on purpose, disks " + guest.disks());
                    }
                }
            }
            """;

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path dir;

    @SuppressWarnings("NullAway.Init")
    private LabUnderTest lab;

    @BeforeEach
    void makeJar() throws Exception {
        lab = new LabUnderTest(dir);
        Path sources = Files.createDirectories(dir.resolve("sources"));
        Files.writeString(sources.resolve("Talker.java"), CLASSES);
        Path classes = Files.createDirectories(dir.resolve("classes"));
        TestJars.compile(sources, classes);
        TestJars.jar(dir.resolve("talk.jar"), classes, file -> true);
        lab.image("heard.img", 16);
    }

    @AfterEach
    void down() throws Exception {
        lab.cleanUp();
    }

    private LabUnderTest.Ended up(String text) throws Exception {
        Files.writeString(lab.lab(), text);
        String run = "--run-dir=" + lab.run();
        return lab.splitring("up", lab.lab().toString(), run, "--detach");
    }

    private String list() {
        return lab.command(0, "list");
    }

    private void awaitStopped(String domain) {
        await().atMost(LabUnderTest.PATIENCE)
                .until(() -> list().matches("(?s).*" + domain + " [^\n]*stopped.*"));
    }

    private String log(String domain) throws Exception {
        return Files.readString(RunDirectory.guestLog(lab.run(), domain));
    }

    @Test
    void classesHaveInterfacesAndDisks() throws Exception {
        LabUnderTest.Ended up =
                up(
                        """
                        [domains.talker]
                        class = "org.example.Talker"
                        jar = "talk.jar"
                        args = ["heard over the ring"]
                        vif = ["bridge=lan"]
                        [domains.listener]
                        class = "org.example.Talker$Listener"
                        jar = "talk.jar"
                        args = ["xvda"]
                        vif = ["bridge=lan"]
                        disk = ["heard.img,raw,xvda,rw"]
                        [networks.lan]
                        """);
        assertEquals(0, up.code(), up.output());
        byte[] wanted = "heard over the ring".getBytes(StandardCharsets.US_ASCII);
        byte[] read = new byte[wanted.length];
        await().atMost(LabUnderTest.PATIENCE)
                .until(
                        () -> {
                            try (var image =
                                    new RandomAccessFile(dir.resolve("heard.img").toFile(), "r")) {
                                image.readFully(read);
                            }
                            return Arrays.equals(wanted, read);
                        });
        awaitStopped("listener"); // the other talks on, until it is told to end
        assertFalse(list().matches("(?s).*talker [^\n]*stopped.*"), list());
        assertEquals("stopped talker\n", lab.command(0, "stop", "talker"));
        awaitStopped("talker");
        assertFalse(log("talker").contains("does not end"), "the class was not interrupted");
    }

    @Test
    void aClassThatThrowsIsInTheLogAndItsGuestEnds() throws Exception {
        LabUnderTest.Ended up =
                up(
                        """
                        [domains.odd]
                        class = "org.example.Talker$Broken"
                        jar = "talk.jar"
                        disk = ["heard.img,raw,xvda,rw"]
                        """);
        assertEquals(0, up.code(), up.output());
        await().atMost(LabUnderTest.PATIENCE)
                .until(() -> log("odd").contains("on purpose, disks [xvda]"));
        awaitStopped("odd");
    }

    @Test
    void whatCannotRunIsNamedBeforeAnythingIsMade() throws Exception {
        Files.writeString(dir.resolve("none.jar"), "this is no jar");
        String[][] wrong = {
            {"jar = \"talk.jar\"", "there is no class"},
            {"class = \"org.example.Talker\"", "there is no jar"},
            {"class = \"org.example.Talker\"\njar = \"gone.jar\"", "gone.jar is not a file"},
            {"class = \"org.example.Talker\"\njar = \"none.jar\"", "is not a jar"},
            {"class = \"org.example.Other\"\njar = \"talk.jar\"", "has no org/example/Other.class"},
            {"class = \"../../x\"\njar = \"talk.jar\"", "is not the name of a class"},
            {"guest = \"external\"\nclass = \"a.B\"\njar = \"talk.jar\"", "external guest"},
        };
        for (String[] each : wrong) {
            Files.writeString(lab.lab(), "[domains.web]\n" + each[0] + "\n");
            String said =
                    String.valueOf(
                            assertThrows(LabException.class, () -> LabFile.read(lab.lab()))
                                    .getMessage());
            assertEquals(1, said.lines().count(), said);
            assertTrue(said.contains(each[1]), said);
            assertTrue(said.contains("lab.toml:"), said);
        }
        // Only a class that is loaded shows what it is.
        LabUnderTest.Ended up =
                up("[domains.web]\nclass = \"org.example.Talker$1\"\njar = \"talk.jar\"\n");
        assertEquals(1, up.code(), up.output());
    }
}
