"""Which sound effects of Tux Paint are asked for, and the closed list of labels that they are named by.

The labels follow the package's own folders and file names; what has fewer than five of its kind (apes, rodents, sea
animals, vehicles), does not sound like what it shows (a gift, a traffic sign) or is spoken is left out. So are four
silent files (nandou, iguana, giraffe, wombat) and what is the same recording under another name, by its samples: badger
and beaver (so nobody knows which it is), ram and mountaingoat beside goat, dromedary beside camel, one of two pairs of
scissors.
"""

_BIRDS = (
    "blackbird crow cuckoo drake duck gander hen heron_greatblue_flying lark owl penguin quetzal rooster seagull tucan "
    "turkey vulture"
)
_HOOFED = (
    "bovines/bison bovines/bull bovines/cow bovines/cow_white bovines/goat bovines/sheep bovines/sheep_lamb "
    "camel/camel deer/caribou deer/deer deer/doe equines/donkey equines/horse equines/zebra hippopotamus pig "
    "pig_golden pig_golden2"
)
_INSTRUMENTS = (
    "percussion/cymbal_crash percussion/drum_tomtom_floor percussion/drumkit string/cello string/violin wind/bassoon"
)


def _below(folder: str, names: str) -> tuple[str, ...]:
    return tuple(f"{folder}/{name}" for name in names.split())


SOUND_LABELS = {  # label -> stamps that sound so, by their paths
    "bird": _below("animals/birds", _BIRDS),
    "insect": _below("animals/insects", "bee grasshopper hornet mosquito xanthia"),
    "hoofed animal": _below("animals/mammals", _HOOFED),
    "beast of prey": (
        *_below("animals/mammals", "bears/bear cats/lion cats/tiger dogs/dog dogs/fox ferret"),
        "seasonal/halloween/blackcat",
    ),
    "musical instrument": _below("hobbies/music", _INSTRUMENTS),
    "tool or machine": (
        *_below("household", "arttools/scissors_small_closed tools/hammer tools/mallet_metal tools/saw"),
        *_below("household", "Washing-machine kettle vacuum_cleaner"),
        "hobbies/camera_35mm",
    ),
}
