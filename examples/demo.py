"""What `make demo` shows: mini hears two people it never trained on, and answers two questions."""

from pathlib import Path

import auricle

RECORDINGS = Path(__file__).parent / "recordings"
KNOWN_SPEAKER, NEW_SPEAKER, SPANISH = (RECORDINGS / name for name in ("prompt.flac", "librivox.flac", "spanish.flac"))
TEXT_QUESTION = "What is the capital of France?"
SOUND_QUESTION = "What language is spoken in this recording?"


def main() -> None:
    """Load the embedded model once; transcribe, then ask."""
    assistant = auricle.load("mini")
    for recording in (KNOWN_SPEAKER, NEW_SPEAKER):
        heard = assistant.transcribe(recording)
        print(f"{recording.name} ({heard.duration_s:.1f} s)\n  mini hears: {heard.text}")
        print(f"  truth:      {recording.with_suffix('.txt').read_text().strip()}")
    print(f"{TEXT_QUESTION}\n  mini: {assistant.ask(TEXT_QUESTION).text}")
    print(f"{SPANISH.name}: {SOUND_QUESTION}\n  mini: {assistant.ask(SOUND_QUESTION, SPANISH).text}")


if __name__ == "__main__":
    main()
