package org.splitring.blkback;

/// What a program lends to the backends of vbds (`BackendHost.services`). Without it each backend
/// opens its image for itself, and has threads of its own.
///
/// @param images open as long as somebody holds them, whether a guest is there or not
/// @param options the same for all
public record VbdHost(DiskImages images, VbdBackendOptions options) {}
