package org.splitring.benchmarks.stress;

import org.splitring.blkfront.VbdFrontend;

/// A disk of a guest, and what is known of its content.
///
/// @param number which of all disks, from 0 on
/// @param name for messages: `guest 1, xvda (/path/to/image)`
/// @param pacer of the disk's loop
record StressDisk(
        int number, int guest, String name, VbdFrontend disk, PlaceTable places, LoopPacer pacer) {}
