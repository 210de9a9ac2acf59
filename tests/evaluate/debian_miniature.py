"""Real .deb packages of a few recordings, made without dpkg: an ar archive around tar.xz, as deb(5) has it."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from local_server import Served, Server

from auricle.evaluate.datasets.debian_packages import DebianPackage
from auricle.evaluate.datasets.debian_pins import PACKAGES
from auricle.evaluate.datasets.debian_recordings import LIBRIVOX
from auricle.evaluate.datasets.debian_sounds import SOUND_LABELS

Files = dict[str, bytes]


def ar(members: dict[str, bytes]) -> bytes:
    parts = [b"!<arch>\n"]
    for name, data in members.items():
        parts.append(f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode())
        parts.append(data + b"\n" * (len(data) % 2))
    return b"".join(parts)


def tar_xz(files: Files) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()


def deb(files: Files) -> bytes:
    control = tar_xz({"control": b"Package: miniature\n"})
    odd = {"_odd": b"1"}  # members begin at even bytes, whatever their lengths; deb(5) lets names of its own stand here
    return ar({"debian-binary": b"2.0\n", "control.tar.xz": control, **odd, "data.tar.xz": tar_xz(files)})


def pinned(package: DebianPackage, data: bytes) -> DebianPackage:
    """The same package as if these were its bytes."""
    return replace(package, num_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


PROMPTS = {  # id -> language -> what the list says; agent-pass, vm-intro, ship and dog are test ids, hello is not
    "agent-pass": {"en": "Enter your password", "es": "Su contrasena", "fr": "Mot de passe.", "it": "La password."},
    "vm-intro": {"en": "Please leave a message.", "ru": "Оставьте сообщение."},
    "hello": {"en": "Hello.", "es": "Hola.", "fr": "Bonjour.", "it": "Ciao.", "ru": "Привет."},
    "ship": {"fr": "Un bateau."},  # English does not have it
    "dog": {"en": "[tone]", "es": "Perro [", "ru": "Собака."},  # a stage direction, and one that nobody can read
}
STAMPS = {  # path -> texts and the languages that are spoken
    "animals/cat": ("A cat.", {"fr": "Un chat.", "ru": "Кошка.", "de": "Eine Katze."}, ("fr", "ru", "de")),
    "animals/bee": ("A bee.", {"fr": "Une abeille."}, ("fr",)),  # not a test stem
    "food/apple": ("Greater than.", {"fr": "Plus grand que."}, ("fr",)),  # English that was trained on
}
COPIES = {  # of the spider's recordings: in another folder, and one that says it is something else
    "seasonal/spider": {"fr": "Une araignée."},
    "symbols/ship": {"ru": "Корабль."},
}


class Sounds:
    """Recordings that differ, one tone each, in whatever form a package has them."""

    def __init__(self, sine: Callable[..., np.ndarray], encode: Callable[..., bytes]) -> None:
        self._sine, self._encode, self._hz = sine, encode, 200.0

    def make(
        self, container: str, codec: str, rate: int = 16_000, duration_s: float = 0.4, num_channels: int = 1
    ) -> bytes:
        self._hz += 20.0
        tone = self._sine(duration_s, hz=self._hz, rate=rate)
        return self._encode(np.stack([tone] * num_channels), container=container, codec=codec, rate=rate)

    def g722(self) -> bytes:
        return self.make("g722", "g722")

    def ogg(self, duration_s: float = 0.4) -> bytes:
        return self.make("ogg", "vorbis", 44_100, duration_s, num_channels=2)


def _prompts(language: str, sounds: Sounds) -> tuple[Files, Files]:
    said = {identity: texts[language] for identity, texts in PROMPTS.items() if language in texts}
    listed = ";comment\n" + "".join(f"{identity}: {text}\n" for identity, text in said.items())
    name = f"core-sounds-{language}"
    encoding = {f"usr/share/doc/asterisk-{name}/{name}.txt.gz": gzip.compress(listed.encode())}
    voice = f"usr/share/asterisk/sounds/{language}_XX_f_Voice"
    return encoding, {f"{voice}/{identity}.g722": sounds.g722() for identity in [*said, "beep"]}


def _librivox(sounds: Sounds) -> Files:
    folder = "usr/share/pocketsphinx/test/data/librivox"
    words = "".join(f"<s> {text.lower().replace(',', '').rstrip('.')} </s> (a-{n})\n" for n, text in LIBRIVOX.items())
    wavs = {f"{folder}/sense-{number}.wav": sounds.make("wav", "pcm_s16le") for number in LIBRIVOX}
    return {f"{folder}/transcription": words.encode(), f"{folder}/fileids": b"", **wavs}


def _stamps(sounds: Sounds) -> Files:
    stamps = "usr/share/tuxpaint/stamps"
    letter = f"{stamps}/symbols/alphabets/dog"  # what it says is not written
    files: Files = {f"{stamps}/animals/cat.png": b"a picture", f"{letter}_fr.ogg": sounds.ogg()}
    files[f"{letter}.txt"] = _texts("The letter D.", {"fr": "La lettre D."})
    for path, (english, texts, spoken) in STAMPS.items():
        files[f"{stamps}/{path}.txt"] = _texts(english, texts)
        files |= {f"{stamps}/{path}_desc_{language}.ogg": sounds.ogg() for language in spoken}
    files[f"{stamps}/insects/spider.txt"] = _texts("A spider.", {"fr": "Une araignée.", "ru": "Паук."})
    for language in ("fr", "ru"):
        files[f"{stamps}/insects/spider_desc_{language}.ogg"] = recording = sounds.ogg()
        for path, texts in COPIES.items():
            if language in texts:
                files[f"{stamps}/{path}.txt"] = _texts("A copy.", texts)
                files[f"{stamps}/{path}_desc_{language}.ogg"] = recording
    files[f"{stamps}/math/2.txt"] = _texts("Two.", {"fr": "Deux.", "nl": "Twee."})
    files |= {f"{stamps}/math/2_{tag}.ogg": sounds.ogg(0.4 if tag == "fr" else 0.1) for tag in ("fr", "nl")}
    return files | {f"{stamps}/{name}.ogg": sounds.ogg(0.2) for names in SOUND_LABELS.values() for name in names}


def _texts(english: str, texts: dict[str, str]) -> bytes:
    return "".join([f"{english}\n", *(f"{tag}.utf8={text}\n" for tag, text in texts.items())]).encode()


def miniature(sounds: Sounds) -> dict[str, bytes]:
    """Package name -> its .deb; all that debian-speech is made of."""
    made: dict[str, Files] = {}
    for language in ("en", "es", "fr", "it", "ru"):
        name = f"asterisk-core-sounds-{language}"
        made[name], made[f"{name}-g722"] = _prompts(language, sounds)
    made["pocketsphinx-testdata"] = _librivox(sounds)
    made["tuxpaint-stamps-default"] = _stamps(sounds)
    return {name: deb(files) for name, files in made.items()}


def offer(server: Server, debs: dict[str, bytes]) -> list[DebianPackage]:
    """Put them where a mirror has them; the packages, pinned to these bytes."""
    packages = [pinned(package, debs[package.name]) for package in PACKAGES]
    server.files |= {f"{one.pool}/{one.file_name}": Served(debs[one.name]) for one in packages}
    return packages


def tree(folder: Path) -> set[str]:
    """The files below a folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
