"""Natural images, and the class names that their benchmarks publish."""

from medpt.data.cards.card import Card

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


CARDS = (
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
        source="MIT, scene parsing challenge 2016 (ADEChallengeData2016.zip), or ADE20K of 2016 or 2021",
        citation="Zhou et al., Scene parsing through ADE20K dataset, CVPR 2017",
        folders=("ADE20K", "ADEChallengeData2016", "ADE20K_2016_07_26", "ADE20K_2021_17_01"),
        notes="Table 1's 826 scenes are not reproduced: 1,055 are named, 834 of them (without misc) by at "
        "least three training images; those are the classes, and images of the other scenes are left out.",
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
        source="MIT, scene parsing challenge 2016 (ADEChallengeData2016.zip), or ADE20K of 2016 or 2021",
        citation="Zhou et al., Scene parsing through ADE20K dataset, CVPR 2017",
        folders=("ADE20K", "ADEChallengeData2016", "ADE20K_2016_07_26", "ADE20K_2021_17_01"),
        notes="Table 1's 2,603 objects are not reproduced; the benchmark's 150 classes are used, all "
        "else is ignored, also of the full release, whose 3,148 names no 8-bit mask could hold.",
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
        source="image-net.org, ILSVRC2012 (ILSVRC2012_img_train.tar, img_val.tar, devkit_t12.tar.gz)",
        citation="Russakovsky et al., ImageNet large scale visual recognition challenge, IJCV 115, 2015",
        folders=("ImageNet", "ILSVRC2012", "imagenet-1k"),
        notes="Table 1's 60,000 test images do not exist: the validation part of 50,000 is tested on.",
    ),
)
