package org.splitring.driverdomain.guest;

/// A program that runs in a guest's own JVM. A lab file names it:
///
/// ```
/// [domains.web]
/// class = "com.example.Web"
/// jar = "web.jar"
/// ```
///
/// The class is public, has a public constructor without parameters, and finds libraries in its
/// jar, besides those of this program. The process is the guest's: what the class does can harm
/// this guest, and no other and no backend.
public interface GuestMain {
    /// Runs in a thread of its own, when all devices of the lab file are connected. The guest ends
    /// when it returns, or with an error when it throws. When the guest is told to end the thread
    /// is interrupted, and has ten seconds to return; its devices are there until then.
    ///
    /// @param guest what this guest has
    void run(Guest guest) throws Exception;
}
