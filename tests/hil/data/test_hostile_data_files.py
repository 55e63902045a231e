"""Data files written to break their reader: programs in pickles, bombs in archives, sizes that lie."""

import contextlib
import gzip
import io
import pickle
import pickletools
import resource
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from hil.data import DataError, imagenet32, packed, restricted
from hil.data.idx import read as read_idx
from hil.data.restricted import read

PIXELS = np.arange(12 * 3072, dtype=np.uint64).astype(np.uint8).reshape(12, 3072)


@pytest.fixture(autouse=True)
def little_memory():
    """512 MiB more than there are now: a reader that believes a size meets its end here."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 29), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def array_pickle(dtype=b"u1", state=(3, "|", None, None, None, -1, -1, 0), shape=(4,), raw=b"abcd", kind="ndarray"):
    """What numpy writes for an array, with parts of it replaced."""

    class Written:
        def __reduce__(self):
            return _reconstruct, (np.ndarray, (0,), b"b"), (1, shape, Kind(), False, raw)

    class Kind:
        def __reduce__(self):
            return np.dtype, (dtype, False, True), state

    return pickle.dumps({b"data": Written()}, 2)


_reconstruct = np.array([1]).__reduce__()[0]
ADDRESSES = struct.pack("<4Q", 0x4141414141414141, 8, 16, 1 << 60)
A = b"cnumpy.core.multiarray\n_reconstruct\n"
D = b"cnumpy\ndtype\n"


def deep_tuple(depth):
    """A key whose hash takes 2^depth steps."""
    body = b"\x80\x02}(K\x01K\x02\x86q\x00"
    for n in range(depth):
        body += b"h" + bytes([n]) + b"h" + bytes([n]) + b"\x86q" + bytes([n + 1])
    return body + b"K\x01u."


PROGRAMS = {
    "object dtype over raw bytes": array_pickle(b"O", (3, "|", None, None, None, -1, -1, 63), (4,), ADDRESSES),
    "object dtype by another name": array_pickle(b"object", (3, "|", None, None, None, -1, -1, 63), (4,), ADDRESSES),
    "fields with objects": array_pickle(b"V8", (3, "|", None, ("a",), {"a": ("O", 0)}, 8, 1, 16), (4,), ADDRESSES),
    "fields of a numeric type": array_pickle(b"u1", (3, "|", None, ("a",), {}, 8, 1, 16), (4,)),
    "subarray": array_pickle(b"V8", (3, "|", ("O", (8,)), None, None, 8, 1, 16), (4,)),
    "void": array_pickle(b"V1"),
    "text": array_pickle(b"S1"),
    "dates": array_pickle(b"M8[ns]", (4, "<", None, None, None, -1, -1, 0, ({}, (b"ns", 1, 1, 1))), (1,), b"12345678"),
    "shape larger than its bytes": array_pickle(shape=(1 << 40,)),
    "negative shape": array_pickle(shape=(-1, -4)),
    "shape of text": array_pickle(shape=("4",)),
    "shape of booleans": array_pickle(shape=(True, 4)),
    "shape that is no tuple": array_pickle(shape=4),
    "many dimensions": array_pickle(shape=(1,) * 40 + (4,)),
    "raw is a list": array_pickle(raw=[1, 2, 3, 4]),
    "raw is a number": array_pickle(raw=1 << 40),
    "state of another length": array_pickle(state=(3,)),
    "state that is no tuple": array_pickle(state=7),
    "byte order of another kind": array_pickle(state=(3, "O", None, None, None, -1, -1, 0)),
    "array of an array": A + b"(" + A + b"cnumpy\nndarray\n(K\x00tS'b'\ntRtR.",
    "ndarray called": b"cnumpy\nndarray\n(K\x04tR.",
    "ndarray made new": b"\x80\x02cnumpy\nndarray\nK\x04\x85\x81.",
    "state for a function": b"\x80\x02" + A + b"}U\x08__name__K\x01sb.",
    "attributes of a function": b"\x80\x02" + A + b"N}U\x0c__defaults__)s\x86b.",
    "an instance": b"(i__main__\nX\n.",
    "an object": b"(cnumpy\ndtype\no.",
    "an extension": b"\x80\x02\x82\x01.",
    "a persistent id": b"\x80\x02K\x01Q.",
    "an out-of-band buffer": b"\x80\x05\x97.",
    "a set": b"\x80\x04\x8f.",
    "a frozen set of deep tuples": b"\x80\x04(K\x01\x91.",
    "a key that is a deep tuple": deep_tuple(60),
    "a key that is a list": b"\x80\x02}(]K\x01u.",
    "eval": b"cbuiltins\neval\n(S'1'\ntR.",
    "by attribute": b"\x80\x04\x8c\x05numpy\x8c\x0cndarray.data\x93.",
    "numpy's loader": b"cnumpy\nload\n(S'/etc/passwd'\ntR.",
    "bytes of 2^62": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b".",
    "a bytearray of 2^33": b"\x80\x05\x96" + struct.pack("<Q", 1 << 33) + b".",
    "a frame of 2^62": b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b"N.",
    "a number of 2^31 bytes": b"\x80\x02\x8b\xff\xff\xff\x7f.",
    "a number of many digits": b"I" + b"9" * 100_000 + b"\n.",
    "a hundred thousand marks": b"(" * 100_000 + b".",
    "more instructions than arrays have": b"\x80\x02" + b"]0" * 2_000_000 + b"}.",
    "nothing": b"",
    "no stop": b"\x80\x02}",
    "protocol 99": b"\x80\x63}.",
    "a list": pickle.dumps([1]),
    "nested lists": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
}


@pytest.mark.parametrize("case", PROGRAMS)
def test_a_hostile_pickle_is_one_refusal(case, tmp_path):
    path = tmp_path / "batch"
    path.write_bytes(PROGRAMS[case])
    before = sorted(vars(restricted._empty_array).items())
    with pytest.raises(DataError, match="batch: ") as refused:
        read(path)
    assert len(str(refused.value)) < 400
    assert sorted(vars(restricted._empty_array).items()) == before


def test_a_memo_of_2_31_entries_takes_no_memory(tmp_path):
    (tmp_path / "batch").write_bytes(b"\x80\x02}r\xff\xff\xff\x7f.")
    assert read(tmp_path / "batch") == {}


def test_billions_of_references_are_not_unfolded(tmp_path):
    laughs = [7] * 10
    for _ in range(30):
        laughs = [laughs] * 10
    (tmp_path / "val_data").write_bytes(pickle.dumps({"data": PIXELS, "labels": laughs}, 4))
    with pytest.raises(DataError, match="a label is a list; whole numbers are expected"):
        imagenet32.read(tmp_path / "val_data")


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("module", ["numpy.core", "numpy._core"])
def test_arrays_of_every_protocol_and_numpy_are_read(protocol, module, tmp_path):
    content = {
        b"data": PIXELS,
        b"fortran": np.asfortranarray(PIXELS[:, :5]),
        b"turned": PIXELS.astype(">i4")[:2],
        b"labels": [np.int64(3), 1, np.uint8(4)],
        b"mean": np.ones(3, np.float64),
        b"empty": np.zeros((0, 4), np.float32),
    }
    written = pickle.dumps(content, protocol)
    if protocol < 4:
        written = written.replace(b"numpy._core", b"numpy.core").replace(b"numpy.core", module.encode())
    (tmp_path / "batch").write_bytes(written)
    found = read(tmp_path / "batch")
    for key in ("data", "fortran", "turned", "mean", "empty"):
        expected = content[key.encode()]
        assert found[key].dtype == expected.dtype and np.array_equal(found[key], expected), key
    assert found["labels"] == [3, 1, 4]
    assert found["data"].flags.writeable


def test_every_instruction_in_front_of_an_array_is_an_array_or_a_refusal(tmp_path):
    """The pickle of an array, with every instruction there is put at places of it."""
    written = pickle.dumps({b"data": PIXELS[:1, :4]}, 2)
    places = [position for _, _, position in pickletools.genops(written)][1::3]
    for code in pickletools.opcodes:
        for place in places:
            (tmp_path / "batch").write_bytes(written[:place] + code.code.encode("latin1") + written[place:])
            with contextlib.suppress(DataError):
                read(tmp_path / "batch")


def npz(path, name, body, kind=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", kind) as archive:
        archive.writestr(name, body)


def npy(shape, dtype="'|u1'", body=b"", version=(1, 0), extra=""):
    header = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}{extra}}}".encode()
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H", len(header)) + header + body


ARCHIVES = {
    "shape larger than its bytes": npy("(1099511627776,)"),
    "a bomb": npy("(200000000,)", body=bytes(200_000_000)),
    "objects": npy("(4,)", "'|O'", ADDRESSES),
    "objects as fields": npy("(4,)", "[('a', '|O')]", ADDRESSES),
    "text": npy("(4,)", "'|S1'", b"abcd"),
    "negative shape": npy("(-4,)", body=b"abcd"),
    "huge shape": npy(f"({10**400},)"),
    "shape of text": npy("('4',)", body=b"abcd"),
    "no tuple": npy("4", body=b"abcd"),
    "deep header": npy("(" * 4000),
    "code in the header": npy("(__import__('os').getpid(),)"),
    "unknown version": npy("(4,)", version=(9, 9)),
    "cut off": npy("(4000,)", body=b"abcd"),
    "no npy": b"hello",
    "empty": b"",
}


@pytest.mark.parametrize("case", ARCHIVES)
def test_a_hostile_npz_is_one_refusal(case, tmp_path, monkeypatch):
    monkeypatch.setattr(packed.read_npz, "__defaults__", (1 << 26,))
    path = tmp_path / "val_data.npz"
    npz(path, "data.npy", ARCHIVES[case])
    with pytest.raises(DataError, match=r"val_data\.npz: "):
        imagenet32.read(path)


@pytest.mark.parametrize("size", [1 << 30, 1 << 40, (1 << 63) - 1])
def test_a_size_in_an_archives_list_that_lies_is_one_refusal(size, tmp_path):
    path = tmp_path / "val_data.npz"
    npz(path, "data.npy", npy("(4,)", body=b"abcd"))
    raw = bytearray(path.read_bytes())
    at = raw.rindex(b"PK\x01\x02")
    raw[at + 24 : at + 28] = struct.pack("<I", min(size, 0xFFFFFFFE))
    path.write_bytes(raw)
    with pytest.raises(DataError):
        imagenet32.read(path)


@pytest.mark.parametrize("damage", ["no zip", "cut", "encrypted", "unknown method", "bad crc", "bad deflate"])
def test_a_damaged_npz_is_one_refusal(damage, tmp_path):
    path = tmp_path / "val_data.npz"
    np.savez_compressed(path, data=PIXELS, labels=np.ones(12, int))
    raw = bytearray(path.read_bytes())
    first, listed = raw.index(b"PK\x03\x04"), raw.index(b"PK\x01\x02")
    match damage:
        case "no zip":
            raw = bytearray(b"hello")
        case "cut":
            raw = raw[: len(raw) // 2]
        case "encrypted":
            raw[first + 6] |= 1
            raw[listed + 8] |= 1
        case "unknown method":
            raw[first + 8] = raw[listed + 10] = 77
        case "bad crc":
            raw[first + 14] ^= 1
            raw[listed + 16] ^= 1
        case "bad deflate":
            raw[first + 60 : first + 90] = b"\xff" * 30
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"val_data\.npz: "):
        imagenet32.read(path)


def test_a_gzip_file_is_unpacked_as_far_as_its_header_says(tmp_path):
    bomb = io.BytesIO()
    with gzip.GzipFile(fileobj=bomb, mode="wb") as file:
        file.write(struct.pack(">HBBI", 0, 8, 1, 5))
        for _ in range(64):
            file.write(bytes(1 << 20))
    (tmp_path / "labels.gz").write_bytes(bomb.getvalue())
    tracemalloc.start()
    with pytest.raises(DataError, match="the file has 6 or more"):
        read_idx(tmp_path / "labels.gz", 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


@pytest.mark.parametrize("shape", [(1 << 31,), (1 << 16, 1 << 16, 1 << 16), (0xFFFFFFFF,) * 3])
def test_an_idx_header_that_asks_for_more_than_there_is_takes_no_memory(shape, tmp_path):
    header = struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)
    for name, content in (("x", header), ("x.gz", gzip.compress(header))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match="its header asks for"):
            read_idx(tmp_path / name, len(shape))
