package org.splitring.testkit.contract;

/// A device that is as it should be passes.
class FillContractTest extends FillDevice.Contract {
    FillContractTest() {
        super(FillDevice.Fault.NONE);
    }
}
