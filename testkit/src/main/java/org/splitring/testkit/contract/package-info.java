/// The contract of a device: a suite of tests that its author inherits.
///
/// Extend [org.splitring.testkit.contract.DeviceContract], say which drivers are meant and what a
/// piece of their work is, and every test runs on the local and on the attached platform.
@NullMarked
package org.splitring.testkit.contract;

import org.jspecify.annotations.NullMarked;
