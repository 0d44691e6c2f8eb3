"""Pictures of every kind are read alike, and whatever is no whole picture is refused."""

from __future__ import annotations

import io
import os
import resource
import struct
import time
import zipfile
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from data_loader.pictures.decode import MAX_PIXELS, ImageError, decode_image, jpeg_header, read_image, resize


def picture(height=60, width=50, seed=0):
    """A smooth picture without symmetry, which JPEG keeps nearly as it is."""
    noise = np.random.default_rng(seed).random((height, width, 3))
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), height / 12), None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def encoded(pixels, form="JPEG", mode=None, **options):
    image = Image.fromarray(pixels)
    file = io.BytesIO()
    (image.convert(mode) if mode else image).save(
        file, form, **({"quality": 95, "subsampling": 0} if form == "JPEG" else {}), **options
    )
    return file.getvalue()


def distance(a, b):
    assert a.shape == b.shape
    return np.abs(a.astype(int) - b.astype(int)).mean()


def png(width, height, bits=8, colour=2, data=b""):
    """A PNG with any header, whatever is in its data."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(data)), (b"IEND", b""))
    body = b"".join(struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


def jpeg_claiming(width, height):
    """A small JPEG whose header claims another size."""
    content = bytearray(encoded(picture()))
    place = content.index(b"\xff\xc0")
    content[place + 5 : place + 9] = struct.pack(">HH", height, width)
    return bytes(content)


# What is read -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "options", "allowed"),
    [
        ("JPEG", {}, 2),
        ("JPEG", {"progressive": True}, 2),
        ("PNG", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("BMP", {}, 0),
        ("TIFF", {}, 0),
    ],
)
def test_a_picture_comes_back_as_it_was_saved(form, options, allowed):
    decoded = decode_image(encoded(picture(), form, **options))
    assert decoded.dtype == np.uint8
    assert distance(decoded, picture()) <= allowed


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_grey_becomes_three_equal_channels(form):
    decoded = decode_image(encoded(picture(), form, mode="L"))
    assert decoded.shape == (60, 50, 3)
    assert distance(decoded[..., 0], cv2.cvtColor(picture(), cv2.COLOR_RGB2GRAY)) < 2
    assert (decoded[..., 0] == decoded[..., 1]).all() and (decoded[..., 0] == decoded[..., 2]).all()


def test_transparency_is_ignored():
    pixels = np.dstack([picture(), np.full((60, 50), 7, np.uint8)])
    assert distance(decode_image(encoded(pixels, "PNG")), picture()) == 0


def test_a_palette_is_looked_up():
    paletted = Image.fromarray(picture()).convert("P")
    file = io.BytesIO()
    paletted.save(file, "PNG")
    assert distance(decode_image(file.getvalue()), np.asarray(paletted.convert("RGB"))) == 0


def test_cmyk_is_not_inverted():
    assert distance(decode_image(encoded(picture(), mode="CMYK")), picture()) < 3


@pytest.mark.parametrize("channels", [1, 3])
def test_of_16_bits_the_upper_8_are_kept(channels):
    values = np.arange(60 * 50, dtype=np.uint16).reshape(60, 50) * 21
    pixels = np.dstack([values] * channels)
    decoded = decode_image(cv2.imencode(".png", pixels)[1].tobytes())
    assert distance(decoded, np.dstack([values >> 8] * 3)) == 0


@pytest.mark.parametrize("size", [None, (20, 25), (31, 17)])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_stands_upright_by_its_exif_tag(orientation, size):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(picture(200, 160), exif=exif)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))))
    assert distance(decode_image(content, size), resize(upright, size) if size else upright) < 3


def test_what_follows_a_picture_in_its_file_is_ignored():
    content = encoded(picture())
    assert distance(decode_image(content + b"\0" * 100), decode_image(content)) == 0
    assert distance(decode_image(content + b"maker's own data"), decode_image(content)) == 0


# Resizing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(112, 84), (56, 42), (28, 21), (100, 200), (480, 360)])
def test_decoding_at_a_reduced_size_is_close_to_decoding_all_and_resizing(size):
    content = encoded(picture(480, 360, seed=1))
    reduced = decode_image(content, size)
    assert reduced.shape == (*size, 3)
    assert distance(reduced, resize(decode_image(content), size)) < 1.5


def test_a_reduced_picture_is_never_smaller_than_asked_for():
    header = jpeg_header(encoded(picture(480, 360)))
    assert header.size == (480, 360)
    flat = decode_image(encoded(picture(479, 359)), (240, 180))  # no half of it would do: it is decoded whole
    assert distance(flat, resize(decode_image(encoded(picture(479, 359))), (240, 180))) == 0


def test_a_picture_of_the_right_size_is_not_resized():
    pixels = picture()
    assert resize(pixels, (60, 50)) is pixels


def test_fine_stripes_do_not_become_coarse_ones():
    stripes = np.zeros((120, 120, 3), np.uint8)
    stripes[:, ::2] = 255
    assert resize(stripes, (120, 41)).std() < 50


# What is refused ----------------------------------------------------------------------------------------------------


def malformed():
    """Name -> bytes of 200 files that are no whole picture."""
    files = {
        "empty": b"",
        "zeros": bytes(5000),
        "text": b"this is no picture\n" * 40,
        "html": b"<!DOCTYPE html><html><body>404 not found</body></html>",
        "noise": np.random.default_rng(0).bytes(5000),
        "pickle": b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00}.",
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n",
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"/>',
        "jpeg magic alone": b"\xff\xd8\xff",
        "jpeg without data": b"\xff\xd8\xff\xd9",
        "png magic alone": b"\x89PNG\r\n\x1a\n",
        "no width": jpeg_claiming(0, 60),
        "no height": jpeg_claiming(50, 0),
        "jpeg bomb": jpeg_claiming(60000, 60000),
        "png bomb": png(60000, 60000),
        "long png bomb": png(2**31 - 1, 1),
        "png without rows": png(50, 60),
        "png of 32 bits": png(5, 5, bits=32, data=bytes(200)),
        "float picture": encoded(np.zeros((5, 5), np.float32), "TIFF"),
    }
    with io.BytesIO() as archive:
        with zipfile.ZipFile(archive, "w") as packed:
            packed.writestr("picture.jpg", encoded(picture()))
        files["zip"] = archive.getvalue()
    whole = {
        "jpeg": encoded(picture()), "progressive": encoded(picture(), progressive=True), "grey": encoded(picture(), mode="L"),
        "cmyk": encoded(picture(), mode="CMYK"), "png": encoded(picture(), "PNG"), "webp": encoded(picture(), "WEBP"),
        "bmp": encoded(picture(), "BMP"), "tiff": encoded(picture(), "TIFF"), "gif": encoded(picture(), "GIF"),
    }  # fmt: skip
    for name, content in whole.items():
        files[f"{name} with a wrong start"] = b"\0\0\0\0" + content[4:]
        kept = np.linspace(2, len(content) - 3, 20).astype(int)
        files |= {f"{name} cut at {place}": content[:place] for place in kept}
    files |= {f"jpeg cut by {missing}": whole["jpeg"][:-missing] for missing in (1, 2)}
    files |= {f"png cut by {missing}": whole["png"][:-missing] for missing in (1, 4, 12)}
    files["jpeg cut and filled up with zeros"] = whole["jpeg"][:1200] + bytes(3000)
    files["jpeg cut within its EXIF thumbnail"] = with_thumbnail()[:-1000]
    files["png with a wrong bit"] = whole["png"][:400] + bytes([whole["png"][400] ^ 1]) + whole["png"][401:]
    return files


def with_thumbnail():
    """A JPEG that holds another whole one in its header, with an end mark of its own."""
    content, inner = encoded(picture(200, 160)), encoded(picture())
    block = b"Exif\0\0" + inner
    return content[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + content[2:]


def refuse(reason):
    raise ImageError(reason)


def test_a_jpeg_that_is_cut_off_is_decoded_as_far_as_it_goes():
    whole, told = encoded(picture()), []
    rest = decode_image(whole[: len(whole) * 2 // 3], damaged=told.append)
    assert rest.shape == picture().shape and told == ["is cut off"]
    np.testing.assert_array_equal(rest[:8], decode_image(whole)[:8])
    with pytest.raises(ImageError, match="is cut off"):
        decode_image(whole[: len(whole) * 2 // 3], damaged=refuse)
    with pytest.raises(ImageError, match="is cut off before its picture begins"):
        decode_image(whole[: whole.rindex(b"\xff\xda") + 20])


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 3)])
def test_12_bits_in_a_png_of_16_are_scaled_right(shape):
    values = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape) * 40
    wanted = np.broadcast_to((values.reshape(*shape[:2], -1) >> 4)[..., ::-1], (6, 5, 3))
    np.testing.assert_array_equal(decode_image(cv2.imencode(".png", values)[1].tobytes()), wanted)
    values[0, 0] = 4096
    assert decode_image(cv2.imencode(".png", values)[1].tobytes()).max() == 16


def test_more_than_200_malformed_files_are_all_found():
    files = malformed()
    accepted = []
    for name, content in files.items():
        for size in (None, (30, 25)):
            try:
                decode_image(content, size, damaged=refuse)
                accepted.append(name)
            except ImageError as error:
                assert str(error) and "\n" not in str(error)
    assert len(files) > 200
    assert accepted == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is an empty file"),
        (b"text", r"is no picture in a known format \(JPEG, PNG, WEBP, BMP, GIF, TIFF, JPEG2000, AVIF\)"),
        (encoded(picture(), "PNG")[:-500], "is cut off"),
        (jpeg_claiming(60000, 60000), "has 60000 x 60000 pixels; allowed: 50,000,000 in all"),
        (jpeg_claiming(0, 50), "has no pixels"),
        (png(8000, 8000), "has 8000 x 8000 pixels; allowed"),
        (png(60000, 60000), "has too many pixels; allowed: 50,000,000"),
        (png(50, 60), r"is damaged \(.+\)"),
        (encoded(np.zeros((5, 5), np.float32), "TIFF"), "has 32 bits a pixel; allowed: 8 or 16"),
    ],
)
def test_a_refusal_says_why(content, reason):
    with pytest.raises(ImageError, match=f"^{reason}"):
        decode_image(content)


@pytest.mark.parametrize("content", [jpeg_claiming(60000, 60000), png(60000, 60000), jpeg_claiming(65500, 1000)])
def test_a_bomb_is_refused_at_once_and_without_memory(content):
    decode_image(encoded(picture(), "PNG"))
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    with pytest.raises(ImageError, match="pixels; allowed"):
        decode_image(content)
    assert time.perf_counter() - start < 0.5
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < MAX_PIXELS


def test_a_file_that_is_not_there_is_an_image_error(tmp_path):
    with pytest.raises(ImageError, match=r"^is not there$"):
        read_image(tmp_path / "gone.jpg")


def test_a_folder_is_an_image_error(tmp_path):
    with pytest.raises(ImageError, match=r"^Is a directory$"):
        read_image(tmp_path)


def test_a_file_too_long_for_any_picture_is_not_read(tmp_path):
    path = tmp_path / "long.jpg"
    with path.open("wb") as file:
        file.truncate(10**10)
    with pytest.raises(ImageError, match="bytes, which no picture"):
        read_image(path)


# JPEG headers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("marker", [number for number in range(0xC0, 0xD0) if number not in (0xC4, 0xC8, 0xCC)])
def test_the_size_is_found_behind_every_start_of_frame(marker):
    content = encoded(picture())
    header = jpeg_header(content.replace(b"\xff\xc0", bytes((0xFF, marker)), 1))
    assert header.size == (60, 50)
    assert header.common == (marker in (0xC0, 0xC1, 0xC2))


def test_fill_bytes_between_segments_are_skipped():
    content = encoded(picture())
    assert jpeg_header(content.replace(b"\xff\xdb", b"\xff\xff\xff\xdb", 1)).size == (60, 50)


@pytest.mark.parametrize("cut", [0, 1, 2, 3, 10, 30, 100, 160])
def test_an_incomplete_header_is_none(cut):
    assert jpeg_header(encoded(picture())[:cut]) is None


def progressive(size, scans):
    """A progressive JPEG whose last scan is repeated until it has so many."""
    buffer = io.BytesIO()
    Image.new("RGB", size, (90, 120, 150)).save(buffer, "JPEG", progressive=True, quality=50)
    content = buffer.getvalue()
    last = content[content.rfind(b"\xff\xda") : content.rfind(b"\xff\xd9")]
    return content[:-2] + last * (scans - content.count(b"\xff\xda")) + b"\xff\xd9"


def test_a_jpeg_of_very_many_scans_is_refused_before_it_is_decoded():
    content, began = progressive((2000, 1500), 500), time.process_time()
    with pytest.raises(ImageError, match="has 500 scans of 2000 x 1500 pixels; allowed: 800,000,000 pixels in all"):
        decode_image(content)
    assert time.process_time() - began < 0.5


def test_a_progressive_jpeg_as_encoders_write_it_is_decoded():
    assert decode_image(progressive((640, 480), 0)).shape == (480, 640, 3)


def test_a_pipe_is_no_picture_and_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.jpg")
    with pytest.raises(ImageError, match="is no regular file"):
        read_image(tmp_path / "x.jpg")
