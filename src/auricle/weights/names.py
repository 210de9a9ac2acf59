"""The two spellings of the published parameter names, and the one bijection between them and ours.

Ours are those of the released files: `audio_tower.*`, `multi_modal_projector.*`, `language_model.model.*`,
`language_model.lm_head.weight`. Newer transformers nest the first three under `model.` and lift the head out.
"""

_HEAD = "language_model.lm_head."
_NESTED = (
    ("model.audio_tower.", "audio_tower."),
    ("model.multi_modal_projector.", "multi_modal_projector."),
    ("model.language_model.", "language_model.model."),
    ("lm_head.", _HEAD),
)


def from_nested(name: str) -> str:
    """A name in either spelling -> ours; an unknown name is left for the strict check to report."""
    for nested, ours in _NESTED:
        if name.startswith(nested):
            return ours + name.removeprefix(nested)
    return name


def to_nested(name: str) -> str:
    """Our name -> the nested spelling."""
    for nested, ours in _NESTED:
        if name.startswith(ours):
            return nested + name.removeprefix(ours)
    return name
