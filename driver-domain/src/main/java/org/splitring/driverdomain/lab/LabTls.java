package org.splitring.driverdomain.lab;

import java.nio.file.Path;
import java.util.Optional;

/// What the exports of a lab on TCP ports show and ask for: files in PEM, with absolute paths.
///
/// @param certificate of the server
/// @param key of that certificate
/// @param clientCa whose certificates clients must show; without it they need none
public record LabTls(Path certificate, Path key, Optional<Path> clientCa) {}
