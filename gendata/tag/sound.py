"""Audio as its header describes it. Ingest has decoded it before, and compared its length where it is stated."""

import io

from gendata import mpeg
from gendata.apart import Apart, CrashedError, Limits

_LIMITS = Limits(60)
"""It takes a millisecond, of a long MP3 some more."""


def header(data: bytes) -> tuple[int, int, float] | None:
    """Samples a second, channels and seconds of an audio file; None if it cannot be read."""
    import soundfile

    try:
        found = soundfile.info(io.BytesIO(data))
    except soundfile.LibsndfileError:
        return None
    guessed = found.format == "MP3" and not mpeg.states_length(data)
    return found.samplerate, found.channels, (mpeg.samples(data) if guessed else found.frames) / found.samplerate


_apart = Apart(header)


def facts(data: bytes) -> tuple[int, int, float] | tuple[None, None, None]:
    """As ``header``, in a process of its own: libsndfile writes remarks about an MP3 to stderr."""
    try:
        found = _apart(data, limits=_LIMITS)
    except CrashedError:
        found = None
    return (None, None, None) if found is None else (found[0], found[1], found[2])
