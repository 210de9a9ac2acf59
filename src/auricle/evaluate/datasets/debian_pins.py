"""The packages that debian-speech is made of, each pinned to one version: Debian 12, as its index lists them."""

from auricle.evaluate.datasets.debian_packages import DebianPackage

_PROMPTS = "pool/main/a/asterisk-core-sounds"


def _prompts(language: str, texts: tuple[int, str], sounds: tuple[int, str]) -> tuple[DebianPackage, DebianPackage]:
    name = f"asterisk-core-sounds-{language}"
    return (
        DebianPackage(name, "1.6.1-1", _PROMPTS, *texts),
        DebianPackage(f"{name}-g722", "1.6.1-1", _PROMPTS, *sounds),
    )


PACKAGES = (
    *_prompts(
        "en",
        (22844, "973e797d28e37fa6ca3c0a9d6fa717e77cf1268ae916bf09fd3503113cdffa50"),
        (10565860, "38c5261820b406dcb0ecb37675720da2b0864850690690352ca52707eb623806"),
    ),
    *_prompts(
        "es",
        (22012, "9afdab7f559f036649fb406e625899306ca1004df8ebe39c30bfbd5912d66f74"),
        (13048380, "e4e3b4281057d3b81b779298fd6be705f57411513955c518eed1bcaabbd615b8"),
    ),
    *_prompts(
        "fr",
        (23152, "04c82c78c570c43a7136cbc5e2488d0c470b775468dff9fbce4a131b18cf1056"),
        (10822860, "7add61d5e42279ecff1bbdf842a5a946ac3644fac9a0fe44384731aa7270c8e0"),
    ),
    *_prompts(
        "it",
        (23972, "3884d9457e12f21caa018c18f0d587df5d53ebea14b673d8453a134c5941ab3b"),
        (10087176, "46b4cf7afc508a5fcfc051b7ea233251c0d195dd4ef83cc4b7facb4c6429b016"),
    ),
    *_prompts(
        "ru",
        (25592, "28a61616bb0cd3345a7ea532dec4df9f071e5d0fa9f8c1a563ea9669002f39ab"),
        (10579440, "673b4238a6b8269960f055d868c6a11083f7a0d00979167cb01554046b48ed9b"),
    ),
    DebianPackage(
        "pocketsphinx-testdata",
        "0.8+5prealpha+1-15",
        "pool/main/p/pocketsphinx",
        1822580,
        "eaeb7a01d54f20b799d1a81ef110ec544b2cb47ea006614078220737a33019f0",
    ),
    DebianPackage(
        "tuxpaint-stamps-default",
        "2022.06.04-1",
        "pool/main/t/tuxpaint-stamps",
        160880444,
        "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34",
    ),
)
