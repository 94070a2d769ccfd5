package org.splitring.driverdomain;

import static java.nio.file.StandardCopyOption.REPLACE_EXISTING;

import java.io.IOException;
import java.io.InputStream;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.Principal;
import java.security.PrivateKey;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import javax.net.ssl.KeyManager;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509ExtendedKeyManager;
import javax.net.ssl.X509KeyManager;
import org.jspecify.annotations.Nullable;

/// An authority, a server `localhost` and a client, made by the JDK's `keytool`: as PEM under the
/// names that libnbd and QEMU look for, and as what a Java client takes.
///
/// The keys are RSA's: keys of elliptic curves are stored by the JDK without their public half,
/// which GnuTLS does not read. The name of the authority is always the same, so that only its key
/// tells two of them apart.
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
        command.addAll(List.of("-J-XX:TieredStopAtLevel=1", "-J-XX:+UseSerialGC"));
        command.addAll(List.of("-genkeypair", "-alias", alias, "-validity", "30"));
        command.addAll(List.of("-keyalg", "RSA", "-keysize", "2048")); // found soon
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

    /// A client with a certificate, which notes the authorities that it is asked for one of.
    public SSLContext clientThatNotes(List<Principal> named)
            throws GeneralSecurityException, IOException {
        KeyManager[] managers = keyManagers(keys, "client");
        X509ExtendedKeyManager manager = (X509ExtendedKeyManager) managers[0];
        return context(new KeyManager[] {new NotingKeyManager(manager, named)});
    }

    private record NotingKeyManager(X509ExtendedKeyManager keys, List<Principal> named)
            implements X509KeyManager {
        @Override
        public String chooseClientAlias(
                String[] types, Principal @Nullable [] issuers, @Nullable Socket socket) {
            if (issuers != null) {
                named.addAll(List.of(issuers));
            }
            return "client";
        }

        @Override
        public X509Certificate @Nullable [] getCertificateChain(String alias) {
            return keys.getCertificateChain(alias);
        }

        @Override
        public @Nullable PrivateKey getPrivateKey(String alias) {
            return keys.getPrivateKey(alias);
        }

        @Override
        public String @Nullable [] getClientAliases(String type, Principal @Nullable [] issuers) {
            return keys.getClientAliases(type, issuers);
        }

        @Override
        public String @Nullable [] getServerAliases(String type, Principal @Nullable [] issuers) {
            return keys.getServerAliases(type, issuers);
        }

        @Override
        public @Nullable String chooseServerAlias(
                String type, Principal @Nullable [] issuers, @Nullable Socket socket) {
            return keys.chooseServerAlias(type, issuers, socket);
        }
    }

    /// A folder for clients of GnuTLS that believe our authority and show no certificate.
    public Path folderWithoutClient() throws IOException {
        Path without = Files.createDirectories(folder.resolve("without"));
        Files.copy(file("ca-cert.pem"), without.resolve("ca-cert.pem"), REPLACE_EXISTING);
        return without;
    }

    /// A folder for clients of GnuTLS that believe our authority, and show a certificate of
    /// another.
    public Path folderWithClientOf(TestCertificates others) throws IOException {
        Path strange = Files.createDirectories(folder.resolve("strange"));
        // QEMU does not start with a certificate of whom it does not believe itself.
        String both =
                Files.readString(file("ca-cert.pem"))
                        + Files.readString(others.file("ca-cert.pem"));
        Files.writeString(strange.resolve("ca-cert.pem"), both);
        for (String name : List.of("client-cert.pem", "client-key.pem")) {
            Files.copy(others.file(name), strange.resolve(name), REPLACE_EXISTING);
        }
        return strange;
    }

    private SSLContext client(KeyStore from, String alias)
            throws GeneralSecurityException, IOException {
        return context(keyManagers(from, alias));
    }

    private SSLContext context(KeyManager[] managers) throws GeneralSecurityException, IOException {
        KeyStore trusted = KeyStore.getInstance("PKCS12");
        trusted.load(null, null);
        trusted.setCertificateEntry("ca", keys.getCertificate("ca"));
        TrustManagerFactory trust =
                TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(trusted);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(managers, trust.getTrustManagers(), null);
        return context;
    }

    private static KeyManager[] keyManagers(KeyStore from, String alias)
            throws GeneralSecurityException, IOException {
        KeyStore own = KeyStore.getInstance("PKCS12");
        own.load(null, null);
        if (!alias.equals("ca")) {
            own.setKeyEntry(
                    alias, from.getKey(alias, PASSWORD), PASSWORD, from.getCertificateChain(alias));
        }
        KeyManagerFactory managers =
                KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        managers.init(own, PASSWORD);
        return managers.getKeyManagers();
    }
}
