"""tinygrad's profile as a Chrome trace."""

from tinygrad import Device
from tinygrad.device import Compiled
from tinygrad.helpers import PROFILE, cpu_events


def profile(on):
    PROFILE.value = int(on)


def clear():
    cpu_events.clear()
    # What a device said of its clock has to stay.
    Compiled.profile_events[:] = [e for e in Compiled.profile_events if hasattr(e, "tdiff")]


def name_of(event):
    return str(getattr(event.name, "display_name", event.name))


def complete(event, start, end):
    return {
        "ph": "X",
        "name": name_of(event),
        "pid": 0,
        "tid": event.device,
        "ts": float(start),
        "dur": float(end - start),
    }


def spans(events):
    """(event, start, end) in microseconds, on each device's own clock."""
    for event in events:
        if hasattr(event, "ents"):  # a graph: many kernels with one list of time stamps
            for entry in event.ents:
                yield entry, event.sigs[entry.st_id], event.sigs[entry.en_id]
        elif getattr(event, "en", None) is not None:
            yield event, event.st, event.en


def take(devices):
    """What was recorded since clear()."""
    for device in devices:
        Device[device].synchronize()
        if hasattr(Device[device], "_at_profile_finalize"):
            Device[device]._at_profile_finalize()
    events = cpu_events + Compiled.profile_events
    clocks = {event.device: event.tdiff for event in events if hasattr(event, "tdiff")}
    found = []
    for event, start, end in spans(events):
        shift = clocks.get(event.device, 0)
        found.append(complete(event, start + shift, end + shift))
    return {"traceEvents": found}
