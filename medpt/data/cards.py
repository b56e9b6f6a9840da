"""What is known of each dataset before a file of it is seen, as plain data.

`counts` are what the owners published, `paper_counts` what Table 1 of Wen et al. 2021 says; `notes` tells
them apart. Licences are as last seen: the owner's page decides.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from medpt.errors import InputError, did_you_mean

Modality = Literal["x-ray", "ct", "mri", "fundus", "dermoscopy", "histology", "oct", "natural"]


@dataclass(frozen=True)
class Card:
    """`classes` is empty where only the owner's files say it; `folders` are names its download goes by."""

    name: str
    title: str
    modality: Modality
    task: Literal["classification", "segmentation"]
    classes: tuple[str, ...]
    counts: Mapping[str, int]
    paper_counts: Mapping[str, int]
    official_split: bool
    licence: str
    source: str
    citation: str
    folders: tuple[str, ...]
    notes: str


SCENE_PARSE = """wall|building|sky|floor|tree|ceiling|road|bed|windowpane|grass|cabinet|sidewalk|person|
earth|door|table|mountain|plant|curtain|chair|car|water|painting|sofa|shelf|house|sea|mirror|rug|field|
armchair|seat|fence|desk|rock|wardrobe|lamp|bathtub|railing|cushion|base|box|column|signboard|
chest of drawers|counter|sand|sink|skyscraper|fireplace|refrigerator|grandstand|path|stairs|runway|case|
pool table|pillow|screen door|stairway|river|bridge|bookcase|blind|coffee table|toilet|flower|book|hill|
bench|countertop|stove|palm|kitchen island|computer|swivel chair|boat|bar|arcade machine|hovel|bus|towel|
light|truck|tower|chandelier|awning|streetlight|booth|television|airplane|dirt track|apparel|pole|land|
bannister|escalator|ottoman|bottle|buffet|poster|stage|van|ship|fountain|conveyer belt|canopy|washer|
plaything|swimming pool|stool|barrel|basket|waterfall|tent|bag|minibike|cradle|oven|ball|food|step|tank|
trade name|microwave|pot|animal|bicycle|lake|dishwasher|screen|blanket|sculpture|hood|sconce|vase|
traffic light|tray|ashcan|fan|pier|crt screen|plate|monitor|bulletin board|shower|radiator|glass|clock|
flag"""

CIFAR_FINE = """apple|aquarium_fish|baby|bear|beaver|bed|bee|beetle|bicycle|bottle|bowl|boy|bridge|bus|
butterfly|camel|can|castle|caterpillar|cattle|chair|chimpanzee|clock|cloud|cockroach|couch|crab|crocodile|
cup|dinosaur|dolphin|elephant|flatfish|forest|fox|girl|hamster|house|kangaroo|keyboard|lamp|lawn_mower|
leopard|lion|lizard|lobster|man|maple_tree|motorcycle|mountain|mouse|mushroom|oak_tree|orange|orchid|
otter|palm_tree|pear|pickup_truck|pine_tree|plain|plate|poppy|porcupine|possum|rabbit|raccoon|ray|road|
rocket|rose|sea|seal|shark|shrew|skunk|skyscraper|snail|snake|spider|squirrel|streetcar|sunflower|
sweet_pepper|table|tank|telephone|television|tiger|tractor|train|trout|tulip|turtle|wardrobe|whale|
willow_tree|wolf|woman|worm"""


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.replace("\n", "").split("|"))


_ALL = (
    Card(
        name="ChestXRay2017",
        title="Chest X-ray images of children, with and without pneumonia (Kermany)",
        modality="x-ray",
        task="classification",
        classes=("NORMAL", "PNEUMONIA"),
        counts={"train": 5232, "test": 624},
        paper_counts={"train": 5232, "test": 624},
        official_split=True,
        licence="CC BY 4.0",
        source="Mendeley Data, doi:10.17632/rscbjbr9sj (ChestXRay2017.zip, or ZhangLabData.zip of version 3)",
        citation="Kermany et al., Identifying medical diagnoses and treatable diseases, Cell 172, 2018",
        folders=("ChestXRay2017", "chest_xray", "chest-xray-pneumonia", "CellData"),
        notes="Kaggle's copy moves 16 training images into val: they count as train. 283 files are RGB.",
    ),
    Card(
        name="ISIC2019",
        title="ISIC 2019 challenge: dermoscopic images of skin lesions",
        modality="dermoscopy",
        task="classification",
        classes=("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC", "UNK"),
        counts={"train": 25331, "test": 0},
        paper_counts={"train": 25331, "test": 0},
        official_split=False,
        licence="CC BY-NC 4.0",
        source="challenge.isic-archive.com, challenge of 2019 (Training_Input, GroundTruth and Metadata)",
        citation="Tschandl et al. 2018 (HAM10000); Codella et al. 2018; Combalia et al. 2019 (BCN20000)",
        folders=("ISIC2019", "ISIC_2019", "ISIC-2019"),
        notes="Table 1's nine classes count UNK, which has no training image. The 8,238 test images are "
        "unlabelled. "
        "Images are grouped by lesion; 2,084 have no lesion_id and stand alone.",
    ),
    Card(
        name="DRIVE",
        title="DRIVE: vessels in colour fundus photographs",
        modality="fundus",
        task="segmentation",
        classes=("background", "vessel"),
        counts={"train": 20, "test": 20},
        paper_counts={"train": 20, "test": 20},
        official_split=True,
        licence="research use, on registration",
        source="drive.grand-challenge.org (training.zip, test.zip)",
        citation="Staal et al., Ridge-based vessel segmentation in color images of the retina, IEEE TMI "
        "23, 2004 "
        "Staal et al., Ridge-based vessel segmentation in color images of the retina, IEEE TMI 23, 2004",
        folders=("DRIVE",),
        notes="The test.zip of grand-challenge has no vessel truth; older copies have it in test/1st_manual.",
    ),
    Card(
        name="CHAOS-CT",
        title="CHAOS: liver in contrast-enhanced abdominal CT",
        modality="ct",
        task="segmentation",
        classes=("background", "liver"),
        counts={"train": 2874, "test": 0},
        paper_counts={"train": 2874, "test": 0},
        official_split=False,
        licence="CC BY-NC-SA 4.0",
        source="Zenodo, doi:10.5281/zenodo.3362844 (CHAOS_Train_Sets.zip)",
        citation="Kavur et al., CHAOS challenge, Medical Image Analysis 69, 2021",
        folders=("CHAOS-CT", "CHAOS", "CHAOS_Train_Sets"),
        notes="All slices of the 20 training patients, also those without liver; the test sets have no "
        "truth. "
        "All slices of the 20 training patients, also those without liver; the test sets have no truth.",
    ),
    Card(
        name="ADE20K",
        title="ADE20K scenes: classification by scene on the SceneParse150 images",
        modality="natural",
        task="classification",
        classes=(),
        counts={"train": 20210, "test": 2000},
        paper_counts={"train": 20210, "test": 2000},
        official_split=True,
        licence="images for non-commercial research",
        source="MIT, scene parsing challenge 2016 (ADEChallengeData2016.zip)",
        citation="Zhou et al., Scene parsing through ADE20K dataset, CVPR 2017",
        folders=("ADE20K", "ADEChallengeData2016"),
        notes="Table 1's 826 scenes are not reproduced: 1,055 are named, 834 of them (without misc) by "
        "at least "
        "three "
        "training images; those are the classes, and images of the other scenes are left out.",
    ),
    Card(
        name="ADE20K-Seg",
        title="ADE20K: the 150 classes of SceneParse150, pixel by pixel",
        modality="natural",
        task="segmentation",
        classes=_names(SCENE_PARSE),
        counts={"train": 20210, "test": 2000},
        paper_counts={"train": 20210, "test": 2000},
        official_split=True,
        licence="images for non-commercial research; annotations BSD-3",
        source="MIT, scene parsing challenge 2016 (ADEChallengeData2016.zip)",
        citation="Zhou et al., Scene parsing through ADE20K dataset, CVPR 2017",
        folders=("ADE20K", "ADEChallengeData2016"),
        notes="Table 1's 2,603 objects are not reproduced; the benchmark's 150 classes are used, 0 "
        "(other) is "
        "ignored.",
    ),
    Card(
        name="CIFAR-100",
        title="CIFAR-100: small natural images",
        modality="natural",
        task="classification",
        classes=_names(CIFAR_FINE),
        counts={"train": 50000, "test": 10000},
        paper_counts={"train": 50000, "test": 10000},
        official_split=True,
        licence="none stated",
        source="University of Toronto, cifar-100-python.tar.gz",
        citation="Krizhevsky, Learning multiple layers of features from tiny images, 2009",
        folders=("CIFAR-100", "CIFAR100", "cifar-100-python"),
        notes="The fine labels are the classes.",
    ),
    Card(
        name="ImageNet",
        title="ImageNet ILSVRC2012",
        modality="natural",
        task="classification",
        classes=(),
        counts={"train": 1281167, "test": 50000},
        paper_counts={"train": 1300000, "test": 60000},
        official_split=True,
        licence="non-commercial research, on registration",
        source="image-net.org, ILSVRC2012 (ILSVRC2012_img_train.tar and its inner tars unpacked, one "
        "folder a "
        "class)",
        citation="Russakovsky et al., ImageNet large scale visual recognition challenge, IJCV 115, 2015",
        folders=("ImageNet", "ILSVRC2012", "imagenet-1k"),
        notes="Table 1's 60,000 test images do not exist: the validation part of 50,000 is the test "
        "part here. "
        "Table 1's 60,000 test images do not exist: the validation part of 50,000 is the test part here.",
    ),
)

CARDS: dict[str, Card] = {entry.name: entry for entry in _ALL}


def card(name: str) -> Card:
    """The card of a dataset, whatever the name's case and punctuation. Raises InputError with near names."""
    for entry in _ALL:
        if _plain(entry.name) == _plain(name):
            return entry
    raise InputError(f"unknown dataset {name!r}; {did_you_mean(name, CARDS)}")


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())
