"""Synthesise the demo widget's notification sound: two soft bell notes, about 100 KB.

    python scripts/make_chime.py edgeproxy/emulator/widget/v2.1.0/chime.wav

The result is committed; this says where it came from.
"""

import math
import sys
import wave
from array import array
from pathlib import Path

RATE = 22_050
SECONDS = 2.3
# (start in seconds, frequency in Hz): E5, then A5, a rising fourth
NOTES = ((0.0, 659.26), (0.22, 880.0))
# (multiple of the fundamental, loudness, decay per second): a bell's overtones die sooner
PARTIALS = ((1.0, 0.6, 3.0), (2.0, 0.25, 5.0), (2.76, 0.1, 8.0))
PEAK = 9_000


def sample(at: float) -> float:
    """Return the loudness, about -1 to 1, `at` seconds into the sound."""
    total = 0.0
    for start, frequency in NOTES:
        age = at - start
        if age < 0:
            continue
        attack = min(1.0, age / 0.008)  # a ramp, so that the note does not click
        for multiple, loudness, decay in PARTIALS:
            wobble = math.sin(2 * math.pi * frequency * multiple * age)
            total += attack * loudness * math.exp(-decay * age) * wobble
    return total


def main(path: Path) -> None:
    """Write the sound to a file, 16 bits mono."""
    count = round(RATE * SECONDS)
    samples = array("h", (round(PEAK * sample(i / RATE)) for i in range(count)))
    if sys.byteorder == "big":
        samples.byteswap()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
