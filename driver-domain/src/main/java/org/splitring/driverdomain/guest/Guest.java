package org.splitring.driverdomain.guest;

import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.splitring.blkfront.VbdFrontend;

/// A guest, for the class that runs in it. Any thread.
///
/// Devices come and go while it runs (`network-attach`, `block-detach`): each call looks at what is
/// there now. What a vif or a disk was asked for before it went ends with an error.
public interface Guest {
    /// The name of the domain.
    String name();

    /// `args` of the lab file.
    List<String> arguments();

    /// The numbers of the vifs that are there, from 0 on.
    Set<Integer> vifs();

    /// An interface.
    ///
    /// @param device its number
    Optional<GuestVif> vif(int device);

    /// The names of the disks that are there: `xvda`.
    Set<String> disks();

    /// A disk. It is used on its own loop ([VbdFrontend#loop]): `disk.loop().execute(...)`.
    ///
    /// @param name as in the lab file
    Optional<VbdFrontend> disk(String name);
}
