"""What a run's folder says when it is damaged, cannot be written, or a library is missing."""

import sys
from pathlib import Path

import pytest

from auricle.conversation import Sampling
from auricle.errors import UserError
from auricle.evaluate.datasets.debian_speech import read as read_debian_speech
from auricle.evaluate.identity import FileHashes
from auricle.evaluate.judged_file import judge_folder
from auricle.evaluate.report import ReportSettings, write_report
from auricle.evaluate.run_folder import RunFolder, begin
from auricle.evaluate.run_info import RunInfo
from auricle.evaluate.sample import Sample
from auricle.evaluate.score import score
from auricle.evaluate.scores_file import write_scores

INFO = RunInfo("tiny", "0" * 64, "native", "float32", "raw", Sampling(), None, (), "here", "2026-11-22T20:00:00+00:00")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    path = tmp_path / "run"
    path.mkdir()
    begin(path, INFO, [Sample("0", "made", "clean", "asr", Path("0.wav"), "?", "so", "en")], ["a"])
    return path


def test_a_damaged_folder_names_the_file(run: Path) -> None:
    (run / "keys.json").write_text('["a", "b"]')
    with pytest.raises(
        UserError, match=r"is damaged: its keys\.json is not of its 1 samples; start its `auricle eval run` again"
    ):
        RunFolder(run)
    (run / "keys.json").write_text("[")
    with pytest.raises(UserError, match=r"keys.json is damaged: .*; start its `auricle eval run` again, or"):
        RunFolder(run)
    (run / "keys.json").unlink()
    (run / "keys.json").mkdir()
    with pytest.raises(UserError, match=r"cannot read .*keys.json: .*; start its `auricle eval run` again"):
        RunFolder(run)


def test_what_cannot_be_written_says_where_and_what_to_do(run: Path) -> None:
    (run / "keys.json").unlink()
    (run / "keys.json").mkdir()
    with pytest.raises(UserError, match=r"cannot write .*keys.json: .*; the answers so far are kept: make room"):
        begin(run, INFO, [], [])
    (run / "scored.jsonl").mkdir()
    with pytest.raises(UserError, match=r"cannot write scores into .*: .*; make room, or mend its rights"):
        write_scores(run, score([]), "x")
    (run / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*hashes: .*; set XDG_CACHE_HOME to a folder"):
        FileHashes(run / "file" / "hashes")


def test_a_judgement_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.mkdir()
    chat = Sample("0", "airbench", "speech_QA", "chat", Path("0.wav"), "?", "so", details=(("meta_info", "A tone."),))
    begin(path, INFO, [chat], [None]).fail({("speech_QA", "0"): "no such file"})
    (path / "judged.json").mkdir()
    with pytest.raises(UserError, match=r"cannot write .*judged.json: .*; make room and judge again"):
        judge_folder(path, Refusing(), name="judge")


class Refusing:
    """An engine that never answers."""

    defaults = Sampling()
    batch_size = 1

    def generate(self, requests, sampling):
        raise UserError("busy")
        yield

    def stream(self, request, sampling):
        raise UserError("busy")

    def score(self, request, continuations):
        raise UserError("busy")


def test_a_report_says_which_extra_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from auricle.evaluate.sample import Answered

    said = Answered(Sample("0", "made", "clean", "asr", Path("0.wav"), "?", "so", "en"), "so")
    scores = score([said])
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(UserError, match=r"reports need jinja2: install it with pip install 'auricle\[eval\]'"):
        write_report(tmp_path, INFO, scores, {}, ReportSettings(players_mb=0))


def test_debian_speech_says_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"lacks .*, of which debian-speech is made; run `auricle data download"):
        read_debian_speech(tmp_path)


def test_whisper_says_that_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    import ctranslate2

    from auricle.evaluate import whisper

    monkeypatch.setattr(ctranslate2, "get_cuda_device_count", lambda: 0)
    with pytest.raises(UserError, match="faster-whisper finds no GPU; leave --device out, or say cpu"):
        whisper._arithmetic("cuda", "auto")
