/// The store: a small tree of text that domains read, write and watch, as Xen's xenstore.
///
/// Start at [org.splitring.xenbus.store.Store], one connection with the rights of one domain. A
/// `StoreTree` keeps the tree inside the driver domain and gives connections to its own programs;
/// guests reach it over a stream socket with Xen's wire format.
@NullMarked
package org.splitring.xenbus.store;

import org.jspecify.annotations.NullMarked;
