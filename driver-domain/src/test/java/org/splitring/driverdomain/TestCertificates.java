package org.splitring.driverdomain;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/// An authority, a server `localhost` and a client, made by the JDK's `keytool`: as PEM under the
/// names that libnbd and QEMU look for, and as what a Java client takes.
public final class TestCertificates {
    private static final char[] PASSWORD = "changeit".toCharArray();

    private final Path folder;
    private final Path store;
    private final KeyStore keys;

    /// @param folder for the files; it is made
    public TestCertificates(Path folder) throws Exception {
        this.folder = Files.createDirectories(folder);
        store = folder.resolve("keys.p12");
        keytool("ca", "-dname", "CN=authority", "-ext", "bc:c", "-ext", "ku:c=keyCertSign");
        String names = "san=dns:localhost,ip:127.0.0.1";
        keytool("server", "-dname", "CN=localhost", "-signer", "ca", "-ext", names);
        keytool("client", "-dname", "CN=client", "-signer", "ca");
        keys = KeyStore.getInstance("PKCS12");
        try (InputStream in = Files.newInputStream(store)) {
            keys.load(in, PASSWORD);
        }
        write("ca-cert.pem", "CERTIFICATE", keys.getCertificate("ca").getEncoded());
        for (String name : List.of("server", "client")) {
            byte[] certificate = keys.getCertificate(name).getEncoded();
            write(name + "-cert.pem", "CERTIFICATE", certificate);
            byte[] key = keys.getKey(name, PASSWORD).getEncoded();
            write(name + "-key.pem", "PRIVATE KEY", key);
        }
    }

    private void keytool(String alias, String... more) throws Exception {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "keytool").toString());
        command.addAll(
                List.of("-genkeypair", "-alias", alias, "-keyalg", "RSA", "-validity", "30"));
        command.addAll(List.of("-keystore", store.toString(), "-storetype", "PKCS12"));
        command.addAll(List.of("-storepass", new String(PASSWORD)));
        command.addAll(List.of(more));
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        if (process.waitFor() != 0) {
            throw new IOException(said);
        }
    }

    private void write(String name, String what, byte[] content) throws IOException {
        String lines = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(content);
        Files.writeString(
                folder.resolve(name),
                "-----BEGIN " + what + "-----\n" + lines + "\n-----END " + what + "-----\n");
    }

    /// `ca-cert.pem`, `server-cert.pem`, `server-key.pem`, `client-cert.pem`, `client-key.pem`.
    public Path file(String name) {
        return folder.resolve(name);
    }

    public Path folder() {
        return folder;
    }

    /// A client that believes the authority.
    ///
    /// @param alias whose certificate it has, `client`; or `ca`, for none
    public SSLContext client(String alias) throws GeneralSecurityException, IOException {
        return client(keys, alias);
    }

    /// A client that believes our authority and has a certificate of another.
    public SSLContext clientOf(TestCertificates others)
            throws GeneralSecurityException, IOException {
        return client(others.keys, "client");
    }

    private SSLContext client(KeyStore from, String alias)
            throws GeneralSecurityException, IOException {
        KeyStore trusted = KeyStore.getInstance("PKCS12");
        trusted.load(null, null);
        trusted.setCertificateEntry("ca", keys.getCertificate("ca"));
        TrustManagerFactory trust =
                TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(trusted);
        KeyStore own = KeyStore.getInstance("PKCS12");
        own.load(null, null);
        if (!alias.equals("ca")) {
            own.setKeyEntry(
                    alias, from.getKey(alias, PASSWORD), PASSWORD, from.getCertificateChain(alias));
        }
        KeyManagerFactory managers =
                KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        managers.init(own, PASSWORD);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(managers.getKeyManagers(), trust.getTrustManagers(), null);
        return context;
    }
}
