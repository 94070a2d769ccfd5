package org.splitring.driverdomain.nbd;

import java.net.Socket;
import java.security.cert.CertificateException;
import java.security.cert.X509Certificate;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.X509ExtendedTrustManager;

/// Believes whom another believes, and does not say whom that is: the request for a client's
/// certificate then has no list of authorities.
///
/// With a list, GnuTLS of libnbd and QEMU also looks for the kind of the client's key among the
/// signatures that the server takes, where it counts `rsa_pss_rsae_*` as keys of RSA-PSS. The JDK
/// has no `rsa_pkcs1_*` in that list for TLS 1.3, as they cannot sign there. So GnuTLS finds no
/// certificate with an RSA key to show. Without a list it shows the one it has. What is lost: a
/// client with several certificates has to be told which to show.
final class UnnamedAuthorities extends X509ExtendedTrustManager {
    private final X509ExtendedTrustManager trust;

    UnnamedAuthorities(X509ExtendedTrustManager trust) {
        this.trust = trust;
    }

    @Override
    public X509Certificate[] getAcceptedIssuers() {
        return new X509Certificate[0];
    }

    @Override
    public void checkClientTrusted(X509Certificate[] chain, String authType, SSLEngine engine)
            throws CertificateException {
        trust.checkClientTrusted(chain, authType, engine);
    }

    @Override
    public void checkClientTrusted(X509Certificate[] chain, String authType, Socket socket)
            throws CertificateException {
        trust.checkClientTrusted(chain, authType, socket);
    }

    @Override
    public void checkClientTrusted(X509Certificate[] chain, String authType)
            throws CertificateException {
        trust.checkClientTrusted(chain, authType);
    }

    @Override
    public void checkServerTrusted(X509Certificate[] chain, String authType, SSLEngine engine)
            throws CertificateException {
        trust.checkServerTrusted(chain, authType, engine);
    }

    @Override
    public void checkServerTrusted(X509Certificate[] chain, String authType, Socket socket)
            throws CertificateException {
        trust.checkServerTrusted(chain, authType, socket);
    }

    @Override
    public void checkServerTrusted(X509Certificate[] chain, String authType)
            throws CertificateException {
        trust.checkServerTrusted(chain, authType);
    }
}
