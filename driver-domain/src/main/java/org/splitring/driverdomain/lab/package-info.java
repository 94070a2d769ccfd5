/// The lab file: which guests there are, and with which disks.
///
/// [LabFile] reads the TOML and checks everything that can be checked without touching anything:
/// keys, types, values, files, devices that collide. What comes out is a [Lab], which the rest of
/// the program believes. Whatever is wrong is a [LabException] with one line that names file, line
/// and key.
@NullMarked
package org.splitring.driverdomain.lab;

import org.jspecify.annotations.NullMarked;
