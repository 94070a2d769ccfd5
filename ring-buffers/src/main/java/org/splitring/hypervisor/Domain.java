package org.splitring.hypervisor;

/// One domain as its own software sees it: its number and its event channels.
public interface Domain {
    DomId id();

    EventChannels eventChannels();
}
