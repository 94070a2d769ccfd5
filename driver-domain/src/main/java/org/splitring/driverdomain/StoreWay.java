package org.splitring.driverdomain;

/// How a guest process reaches the store; both lead to the same one.
enum StoreWay {
    /// The connection that comes with the attachment.
    SOCKET,

    /// The page with two rings, as a guest of Xen's has it.
    PAGE
}
