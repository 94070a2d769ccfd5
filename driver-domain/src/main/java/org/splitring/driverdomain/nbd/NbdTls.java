package org.splitring.driverdomain.nbd;

import io.netty.buffer.ByteBufAllocator;
import io.netty.handler.ssl.ClientAuth;
import io.netty.handler.ssl.SslContext;
import io.netty.handler.ssl.SslContextBuilder;
import io.netty.handler.ssl.SslHandler;
import io.netty.handler.ssl.SslProvider;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.SSLException;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509ExtendedTrustManager;
import org.jspecify.annotations.Nullable;

/// TLS of an NBD server: who it is, and whom it lets in. TLS 1.2 and 1.3 of the JDK.
public final class NbdTls {
    /// What a handshake computes takes milliseconds, which the loop has no time for.
    private static final Executor COMPUTATIONS =
            task -> Thread.ofVirtual().name("tls handshake").start(task);

    /// How long a client is waited for to take the end of the connection.
    private static final long CLOSE_MILLIS = 1000;

    private final SslContext context;

    private NbdTls(SslContext context) {
        this.context = context;
    }

    /// Reads the files.
    ///
    /// @param certificate of the server in PEM, followed by those between it and its authority
    /// @param key of that certificate: PKCS#8 in PEM, not encrypted
    /// @param clientCa authorities in PEM: clients must show a certificate of one of them. Without
    ///     it every client is let in
    /// @throws IOException with the file in its message
    public static NbdTls load(Path certificate, Path key, @Nullable Path clientCa)
            throws IOException {
        // A client of TLS 1.2 could ask for handshake after handshake on one connection. The JDK
        // reads this once, when the first context is made.
        System.setProperty("jdk.tls.rejectClientInitiatedRenegotiation", "true");
        checkReadable("certificate", certificate);
        checkReadable("key", key);
        try {
            SslContextBuilder builder =
                    SslContextBuilder.forServer(certificate.toFile(), key.toFile())
                            .sslProvider(SslProvider.JDK)
                            .protocols("TLSv1.3", "TLSv1.2");
            if (clientCa != null) {
                checkReadable("client_ca", clientCa);
                builder.trustManager(new UnnamedAuthorities(trust(clientCa)));
                builder.clientAuth(ClientAuth.REQUIRE);
            }
            return new NbdTls(builder.build());
        } catch (IllegalArgumentException | SSLException e) {
            // Netty's own messages name the file.
            throw new IOException(e.getMessage(), e);
        }
    }

    /// What the JDK makes of authorities in PEM.
    private static X509ExtendedTrustManager trust(Path authorities) throws IOException {
        try (InputStream in = Files.newInputStream(authorities)) {
            KeyStore store = KeyStore.getInstance("PKCS12");
            store.load(null, null);
            int count = 0;
            for (Certificate authority :
                    CertificateFactory.getInstance("X.509").generateCertificates(in)) {
                store.setCertificateEntry("authority-" + count++, authority);
            }
            if (count == 0) {
                throw new CertificateException("no certificate");
            }
            TrustManagerFactory factory =
                    TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
            factory.init(store);
            for (TrustManager manager : factory.getTrustManagers()) {
                if (manager instanceof X509ExtendedTrustManager trust) {
                    return trust;
                }
            }
            throw new IllegalStateException("the JDK has no trust manager for X.509");
        } catch (GeneralSecurityException e) {
            throw new IOException(
                    "client_ca: " + authorities + " has no certificates in PEM: " + e.getMessage(),
                    e);
        }
    }

    private static void checkReadable(String key, Path file) throws IOException {
        if (!Files.isRegularFile(file) || !Files.isReadable(file)) {
            throw new IOException(key + ": " + file + " is not there or cannot be read");
        }
    }

    /// The server's end of one connection.
    ///
    /// @param handshakeNanos how long the client has
    SslHandler newHandler(ByteBufAllocator allocator, long handshakeNanos) {
        SslHandler handler = context.newHandler(allocator, COMPUTATIONS);
        handler.setHandshakeTimeout(handshakeNanos, TimeUnit.NANOSECONDS);
        handler.setCloseNotifyFlushTimeoutMillis(CLOSE_MILLIS);
        return handler;
    }
}
