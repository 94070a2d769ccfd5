/// How a new kind of device is plugged in.
///
/// A kind of device (a *class*, such as `vbd`) is a [org.splitring.xenbus.device.BackendDriver] and
/// a [org.splitring.xenbus.device.FrontendDriver], found by [java.util.ServiceLoader] on the class
/// path or in a folder of jars: [org.splitring.xenbus.device.DeviceClasses]. The two buses watch
/// the store and make an instance of a driver for each device that a toolstack has written there;
/// states, deadlines and errors are the business of the machines of `org.splitring.xenbus`. A
/// device
/// with one ring of requests is a [org.splitring.xenbus.device.RingBackend] and a
/// [org.splitring.xenbus.device.RingFrontend], and writes only what one request means.
///
/// Start reading at the drivers, then their contexts.
@NullMarked
package org.splitring.xenbus.device;

import org.jspecify.annotations.NullMarked;
