"""Archives made by the standard library, for tests."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile

import pyarrow as pa

PACKERS = {
    ".tar": bytes,
    ".tar.gz": lambda data: gzip.compress(data, mtime=0),
    ".tar.bz2": bz2.compress,
    ".tar.xz": lzma.compress,
    ".tar.zst": lambda data: pa.compress(data, "zstd", asbytes=True),
}

FORMS = (".zip", *PACKERS)


def zipped(members, compression=zipfile.ZIP_DEFLATED):
    """Pairs of name, or ZipInfo, and content, as a zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(members, suffix=".tar", form=tarfile.PAX_FORMAT):
    """Pairs of name, or TarInfo, and content, as a tar, packed as the suffix says."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form, errors="surrogateescape") as archive:
        for name, content in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            if info.isreg():
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return PACKERS[suffix](buffer.getvalue())


def packed(members, suffix):
    """Pairs of name and content as an archive of this kind."""
    return zipped(members) if suffix == ".zip" else tarred(members, suffix)
