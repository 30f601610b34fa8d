"""Recordings of a tone, in the formats that are read."""

import io

import numpy as np
import soundfile

FORMATS = {
    "a.wav": ("WAV", "PCM_16", "audio/wav"),
    "a.flac": ("FLAC", "PCM_16", "audio/flac"),
    "a.ogg": ("OGG", "VORBIS", "audio/ogg"),
    "a.opus": ("OGG", "OPUS", "audio/ogg"),
    "a.mp3": ("MP3", "MPEG_LAYER_III", "audio/mpeg"),
}
"""By name: format and encoding of libsndfile, and the media type."""


def tone(frames=4000, rate=16_000, channels=1, pitch=440.0):
    """Samples (frames, channels)."""
    times = np.arange(frames)[:, None] / rate
    return 0.5 * np.sin(2 * np.pi * pitch * times * (1 + np.arange(channels)))


def sound(name="a.wav", encoding=None, *, frames=4000, rate=16_000, channels=1, pitch=440.0, title=None):
    """The bytes of a recording in the format of one of FORMATS."""
    out = io.BytesIO()
    format_, usual, _ = FORMATS[name]
    with soundfile.SoundFile(out, "w", rate, channels, encoding or usual, format=format_) as file:
        if title is not None:
            file.title = title
        file.write(tone(frames, rate, channels, pitch))
    return out.getvalue()
