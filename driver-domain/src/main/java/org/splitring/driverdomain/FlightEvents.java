package org.splitring.driverdomain;

import io.micrometer.core.instrument.Measurement;
import io.micrometer.core.instrument.Meter;
import io.micrometer.core.instrument.MeterRegistry;
import jdk.jfr.Category;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.FlightRecorder;
import jdk.jfr.FlightRecorderListener;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.Period;
import jdk.jfr.StackTrace;

/// What a lab writes into a flight recording, when there is one: the states of devices as they
/// change, and what each device has counted, once a second. Without a recording it costs nothing.
final class FlightEvents implements AutoCloseable {
    private final MeterRegistry meters;
    private final Runnable counting = this::count;
    private final FlightRecorderListener whenUsed = new WhenUsed();
    private volatile boolean isUsed;

    /// A backend's half of a device has come into a state.
    @Name("splitring.DeviceState")
    @Label("Device State")
    @Category("Splitring")
    @Description("A backend's half of a device has come into a state of xenbus")
    @StackTrace(false)
    static final class DeviceState extends Event {
        @Label("Class")
        String type = "";

        @Label("Guest")
        int guest;

        @Label("Device")
        int device;

        @Label("State")
        String state = "";
    }

    /// What a device has counted so far.
    @Name("splitring.DeviceMeter")
    @Label("Device Meter")
    @Category("Splitring")
    @Description("A meter of a device, by the names of docs/metrics.md")
    @Period("1 s")
    @StackTrace(false)
    static final class DeviceMeter extends Event {
        @Label("Meter")
        String meter = "";

        @Label("Guest")
        String guest = "";

        @Label("Device")
        String device = "";

        @Label("Value")
        double value;
    }

    /// @param meters of devices
    FlightEvents(MeterRegistry meters) {
        this.meters = meters;
        FlightRecorder.addListener(whenUsed);
    }

    /// Readies the flight recorder's part when somebody makes a recording: it takes a tenth of the
    /// time in which a driver domain starts, and most never have one.
    private final class WhenUsed implements FlightRecorderListener {
        @Override
        public void recorderInitialized(FlightRecorder recorder) {
            isUsed = true;
            FlightRecorder.addPeriodicEvent(DeviceMeter.class, counting);
        }
    }

    private void count() {
        for (Meter meter : meters.getMeters()) {
            Meter.Id id = meter.getId();
            String guest = id.getTag("guest");
            String device = id.getTag("device");
            if (guest == null || device == null || id.getTag("le") != null) {
                continue;
            }
            for (Measurement measurement : meter.measure()) {
                DeviceMeter event = new DeviceMeter();
                event.meter = id.getName();
                event.guest = guest;
                event.device = device;
                event.value = measurement.getValue();
                event.commit();
                break; // the first of a timer is its count
            }
        }
    }

    /// A device's state has changed.
    static void state(String type, int guest, int device, String state) {
        DeviceState event = new DeviceState();
        if (event.isEnabled()) {
            event.type = type;
            event.guest = guest;
            event.device = device;
            event.state = state;
            event.commit();
        }
    }

    @Override
    public void close() {
        FlightRecorder.removeListener(whenUsed);
        if (isUsed) {
            FlightRecorder.removePeriodicEvent(counting);
        }
    }
}
