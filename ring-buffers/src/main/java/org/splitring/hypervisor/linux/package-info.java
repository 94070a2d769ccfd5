/// Native calls, one small class per concern; everything above sees Java types.
///
/// `Fd` has what can be done with any descriptor, `Memfd` and `Mapping` make shared memory,
/// `EventFd` and `Pipe` are doorbells, `UnixSocket` passes messages with descriptors,
/// `DatagramSocket` sends and receives several datagrams in a call, `VectoredFile` reads and writes
/// files from and to scattered memory, `TapDevice` does so with frames, `NetworkNamespace` is where
/// its interface lives. Descriptors are plain `int`; whoever makes one closes it. A descriptor that
/// several threads use is counted while in use (`SharedFd`), so that its number cannot become
/// another file's under somebody's hands. Errors are negative `errno` values on hot paths and
/// `LinuxException` elsewhere. For 64-bit Linux on x86-64 and aarch64.
@NullMarked
package org.splitring.hypervisor.linux;

import org.jspecify.annotations.NullMarked;
