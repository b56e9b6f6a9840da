"""Radiographs."""

from medpt.data.cards.card import Card

CARDS = (
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
        name="CheXpert",
        title="CheXpert: chest X-rays with and without findings",
        modality="x-ray",
        task="classification",
        classes=("no finding", "abnormal"),
        counts={"train": 223414, "test": 234},
        paper_counts={"train": 224316, "test": 624},
        official_split=True,
        licence="research use, on registration",
        source="Stanford AIMI (CheXpert-v1.0-small.zip; the full CheXpert-v1.0.zip is read too)",
        citation="Irvin et al., CheXpert: a large chest radiograph dataset, AAAI 2019",
        folders=("CheXpert", "CheXpert-v1.0-small", "CheXpert-v1.0"),
        notes="Table 1's 224,316 are all three parts together (223,414 + 234 + 668); its 624 are the test "
        "images of ChestXRay2017. Its two classes are not explained: here normal and abnormal, without "
        "pneumonia, which leaves 182,013 training images. valid.csv is the test part.",
    ),
    Card(
        name="MURA",
        title="MURA 1.1: abnormal radiographs of the upper limb",
        modality="x-ray",
        task="classification",
        classes=("normal", "abnormal"),
        counts={"train": 36808, "test": 3197},
        paper_counts={"train": 0, "test": 0},
        official_split=True,
        licence="research use, on registration",
        source="Stanford ML Group (MURA-v1.1.zip)",
        citation="Rajpurkar et al., MURA: large dataset for abnormality detection in musculoskeletal "
        "radiographs, MIDL 2018",
        folders=("MURA", "MURA-v1.1"),
        notes="Table 1 leaves it out; the text has it in M6-CLS without a number of classes: abnormal or "
        "not. The validation part is the test part; the hidden test part of 556 images is not published.",
    ),
)
