"""CT and MRI."""

from medpt.data.cards.card import Card

LUNGS = (
    "window(-1200,600)|resize(256)|clahe(2,8)"  # as public readers of LUNA16; the window of CT is abdominal
)

CARDS = (
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
        notes="All slices of the 20 training patients, also those without liver; test sets have no truth.",
    ),
    Card(
        name="CHAOS-MRI",
        title="CHAOS: liver, kidneys and spleen in abdominal MRI, T1 in and out of phase and T2",
        modality="mri",
        task="segmentation",
        classes=("background", "liver", "right kidney", "left kidney", "spleen"),
        counts={"train": 1270, "test": 0},
        paper_counts={"train": 992, "test": 0},
        official_split=False,
        licence="CC BY-NC-SA 4.0",
        source="Zenodo, doi:10.5281/zenodo.3362844 (CHAOS_Train_Sets.zip)",
        citation="Kavur et al., CHAOS challenge, Medical Image Analysis 69, 2021",
        folders=("CHAOS-MRI", "CHAOS", "CHAOS_Train_Sets"),
        notes="Table 1's 992 slices are not reproduced: 647 masks of T1 and 623 of T2 are published. Slices "
        "without an organ are left out (option keep), and so is T1 out of phase (option phases).",
    ),
    Card(
        name="LUNA",
        title="LUNA: lungs in chest CT, the 267 slices of Finding and Measuring Lungs in CT Data",
        modality="ct",
        task="segmentation",
        classes=("background", "lung"),
        counts={"train": 267, "test": 0},
        paper_counts={"train": 267, "test": 0},
        official_split=False,
        licence="the owner's page on Kaggle decides",
        source="Kaggle, kmader/finding-lungs-in-ct-data (2d_images.zip, 2d_masks.zip)",
        citation="Mader, Finding and measuring lungs in CT data, Kaggle 2017",
        folders=("LUNA", "finding-lungs-in-ct-data"),
        notes="That Table 1's LUNA is this set, and no part of LUNA16, is inferred from its 267 images. "
        "Windowed for lungs, which the window of other CT would leave black.",
        pipeline=LUNGS,
    ),
    Card(
        name="LUNA16",
        title="LUNA16: lungs in the chest CT volumes of the challenge",
        modality="ct",
        task="segmentation",
        classes=("background", "lung"),
        counts={"train": 888, "test": 0},
        paper_counts={"train": 267, "test": 0},
        official_split=False,
        licence="CC BY 4.0; LIDC-IDRI CC BY 3.0",
        source="Zenodo, records 3723295 and 4121926 (subset0.zip to subset9.zip, seg-lungs-LUNA16.zip)",
        citation="Setio et al., LUNA16 challenge, Medical Image Analysis 42, 2017",
        folders=("LUNA16",),
        notes="Not what Table 1 counts (see LUNA): 888 scans, of each the plane of the largest lung area "
        "(option keep). Masks were made by an algorithm. Windowed for lungs.",
        pipeline=LUNGS,
    ),
    Card(
        name="NIH-CT-82",
        title="NIH Pancreas-CT: pancreas in contrast-enhanced abdominal CT",
        modality="ct",
        task="segmentation",
        classes=("background", "pancreas"),
        counts={"train": 7141, "test": 0},
        paper_counts={"train": 7141, "test": 0},
        official_split=False,
        licence="CC BY 3.0",
        source="The Cancer Imaging Archive, doi:10.7937/K9/TCIA.2016.tNB1kqBU (Pancreas-CT, and its labels)",
        citation="Roth et al., DeepOrgan, MICCAI 2015",
        folders=("NIH-CT-82", "Pancreas-CT"),
        notes="Table 1's 7,141 are the slices with pancreas of 82 cases. Cases 25 and 70, copies of case 2, "
        "were withdrawn in 2020 and are left out: about 7,000 slices of 80 cases remain.",
    ),
    Card(
        name="CardiacMRI",
        title="Cardiac MRI of York: endocardium and myocardium of the left ventricle",
        modality="mri",
        task="segmentation",
        classes=("background", "endocardium", "myocardium"),
        counts={"train": 399, "test": 0},
        paper_counts={"train": 399, "test": 0},
        official_split=False,
        licence="research use, citation asked",
        source="York University, cse.yorku.ca/~mridataset",
        citation="Andreopoulos and Tsotsos, Medical Image Analysis 12, 2008",
        folders=("CardiacMRI", "mridataset", "York"),
        notes="33 hearts of 20 frames: 7,980 slices, 5,011 of them segmented. Table 1's 399 is 7,980 / 20: "
        "one frame, read as the first, of every slice; slices on which nobody drew are background.",
    ),
)
