package org.splitring.hypervisor;

/// State of a port (`EVTCHNSTAT_*` as far as domains see them).
public enum EventChannelStatus {
    CLOSED,
    UNBOUND,
    INTERDOMAIN
}
