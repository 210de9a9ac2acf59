"""What a report shows, and how much of it."""

from dataclasses import dataclass

from auricle.errors import UserError


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """How much a report holds.

    worst_per_row: answers listed for each row and mode, those with the largest error. players_mb: all embedded
    recordings together, in MB (10**6 bytes) of the HTML file; each row's worst come first. player_s: longer
    recordings are cut to so many seconds in the player only.
    """

    worst_per_row: int = 10
    players_mb: float = 10.0
    player_s: float = 30.0

    def __post_init__(self) -> None:
        for broken, sentence in (
            (self.worst_per_row < 0, f"worst_per_row must not be negative: got {self.worst_per_row}; 0 lists none"),
            (not self.players_mb >= 0, f"players_mb must not be negative: got {self.players_mb}; 0 embeds none"),
            (not self.player_s > 0, f"player_s must be above 0: got {self.player_s}; players_mb 0 embeds none"),
        ):
            if broken:
                raise UserError(sentence)
