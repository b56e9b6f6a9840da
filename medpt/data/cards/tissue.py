"""Dermoscopy and histology."""

from medpt.data.cards.card import Card

CARDS = (
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
        "unlabelled. Images are grouped by lesion; 2,084 have no lesion_id and stand alone.",
    ),
    Card(
        name="TNBC",
        title="TNBC: nuclei in H&E tiles of triple-negative breast cancer (Naylor)",
        modality="histology",
        task="segmentation",
        classes=("background", "nucleus"),
        counts={"train": 50, "test": 0},
        paper_counts={"train": 50, "test": 0},
        official_split=False,
        licence="CC BY 4.0",
        source="Zenodo, record 1175282 (TNBC_NucleiSegmentation.zip)",
        citation="Naylor et al., Segmentation of nuclei in histopathology images, IEEE TMI 38, 2019",
        folders=("TNBC", "TNBC_NucleiSegmentation", "TNBC_and_Brain_dataset"),
        notes="50 tiles of 11 patients. The edition with brain has 18 more, of slides 12 to 14: left out.",
    ),
    Card(
        name="TCGA-LGG",
        title="TCGA lower-grade glioma: whole H&E slides with overall survival",
        modality="histology",
        task="survival",
        classes=(),
        counts={"train": 844, "test": 0},
        paper_counts={"train": 1380, "test": 0},
        official_split=False,
        licence="open access of the GDC, citation of TCGA asked",
        source="GDC portal, project TCGA-LGG (slides); Mobadersany et al. or the GDC (survival)",
        citation="Mobadersany et al., Predicting cancer outcomes from histology and genomics, PNAS 115, 2018",
        folders=("TCGA-LGG", "TCGA_LGG"),
        notes="Table 1 counts 1,380 slides of 387 patients, frozen sections with them; here the "
        "diagnostic slides, about 844 (option slides). Patches belong to the survival pipeline.",
    ),
    Card(
        name="TCGA-GBM",
        title="TCGA glioblastoma: whole H&E slides with overall survival",
        modality="histology",
        task="survival",
        classes=(),
        counts={"train": 860, "test": 0},
        paper_counts={"train": 1523, "test": 0},
        official_split=False,
        licence="open access of the GDC, citation of TCGA asked",
        source="GDC portal, project TCGA-GBM (slides); Mobadersany et al. or the GDC (survival)",
        citation="Mobadersany et al., Predicting cancer outcomes from histology and genomics, PNAS 115, 2018",
        folders=("TCGA-GBM", "TCGA_GBM"),
        notes="Table 1 counts 1,523 slides of 349 patients, frozen sections with them; here the "
        "diagnostic slides, about 860 (option slides). Patches belong to the survival pipeline.",
    ),
)
