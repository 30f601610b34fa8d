"""What runs in the decoder's own process: libsndfile over all of a file, in blocks. See ``audio``."""

import io
from typing import Any

from gendata.mpeg import states_length

_FORMATS = {"audio/wav": {"WAV", "WAVEX"}, "audio/flac": {"FLAC"}, "audio/ogg": {"OGG"}, "audio/mpeg": {"MP3"}}
"""What libsndfile calls the media types."""

_BLOCK = 1 << 16
"""Samples, over all channels, that are decoded at a time."""

_USUAL_RATE = 192_000
"""Samples a second, over all channels, that a limit in seconds is meant for: 96 kHz in stereo. Audio with more of them
takes more time, and so may last less long."""


class _RefusedError(Exception):
    """Reason and detail of a reject."""


def decode(data: bytes, media_type: str, max_seconds: int) -> dict[str, Any]:
    """What is worth noting about audio that can be decoded in full: ``encoding``, and ``embedded`` title, artist etc.

    Of any other the ``reason`` and ``detail`` of its reject.
    """
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(data)) as sound:
            if sound.format not in _FORMATS[media_type]:
                raise _RefusedError("corrupt-audio", f"{media_type} by its first bytes, but {sound.format} inside")
            _decode(sound, max_seconds, stated=media_type != "audio/mpeg" or states_length(data))
            embedded = dict(sorted(sound.copy_metadata().items()))
            return {"encoding": sound.subtype} | ({"embedded": embedded} if embedded else {})
    except _RefusedError as error:
        reason, detail = error.args
    except soundfile.LibsndfileError as error:
        said = error.error_string
        nothing = "does not exist" in said  # of an MP3 without a frame
        reason, detail = "corrupt-audio", f"libsndfile: {'there is no sound in it' if nothing else said}"
    return {"reason": reason, "detail": detail}


def _decode(sound: Any, max_seconds: int, *, stated: bool) -> None:
    """All of it, block by block; of an MP3 that does not say its length as much as libsndfile guesses there is."""
    import numpy as np

    most = int(max_seconds * min(sound.samplerate, _USUAL_RATE / sound.channels))
    if sound.frames <= most or not stated:  # else it need not be tried
        block = np.empty((max(1, _BLOCK // sound.channels), sound.channels), np.float32)
        frames = 0
        while (read := len(sound.read(out=block))) and frames <= most:
            frames += read
        if frames <= most:
            _check(frames, sound.frames if stated else frames)
            return
    raise _RefusedError(
        "too-long",
        f"more than {most / sound.samplerate:g} s, at {sound.samplerate} Hz with {sound.channels} channels; "
        f"ingest.max_audio_seconds is {max_seconds}",
    )


def _check(decoded: int, stated: int) -> None:
    if decoded != stated:
        raise _RefusedError("corrupt-audio", f"{decoded} frames could be decoded of {stated}")
    if not decoded:
        raise _RefusedError("empty", "no samples")
