package org.splitring.driverdomain.nbd;

/// What a client and the server have settled before the transmission phase.
///
/// @param structured whether READ is answered in chunks, which can tell where an error is
/// @param allocation whether BLOCK_STATUS may be asked
/// @param encrypted whether what is sent and received goes through TLS
record NbdTerms(boolean structured, boolean allocation, boolean encrypted) {}
