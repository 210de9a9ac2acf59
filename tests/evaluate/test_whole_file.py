"""A file is there whole, or as it was."""

from pathlib import Path

import pytest

from auricle.evaluate.whole_file import write_whole


def test_text_and_bytes_take_the_place_of_what_was_there(tmp_path: Path):
    for content, expected in (("é\n", b"\xc3\xa9\n"), (b"\xff\r\n", b"\xff\r\n"), ("", b"")):
        write_whole(tmp_path / "x.json", content)
        assert (tmp_path / "x.json").read_bytes() == expected
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_what_cannot_be_written_leaves_the_old_and_no_scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "x.json"
    write_whole(path, "old")
    write_bytes = Path.write_bytes

    def full(self: Path, content: bytes) -> int:
        write_bytes(self, content[:1])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="No space left"):
            write_whole(path, "new")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "\ud83d")
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "gone" / "x.json", "new")
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["x.json"]
    path.unlink()
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        write_whole(path, "new")
    assert [one.name for one in tmp_path.iterdir()] == ["x.json"]
