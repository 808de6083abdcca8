"""The report's words: what a metric is called, and how its tables and pictures are to be read."""

from __future__ import annotations

from boda.outputs import CONFIDENT

WORDS = {
    "accuracy": "accuracy",
    "top5_accuracy": "top-5 accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "nll": "neg. log-likelihood",
    "ece": "calibration error",
    "map": "mAP, IoU 0.50 to 0.95",
    "map50": "mAP at IoU 0.5",
    "map75": "mAP at IoU 0.75",
    "map_small": "mAP, small (to 32² pixels)",
    "map_medium": "mAP, medium",
    "map_large": "mAP, large (from 96²)",
    "ar1": "recall with 1 box",
    "ar10": "recall with 10 boxes",
    "ar": "recall with 100 boxes",
    "ar_small": "recall, small",
    "ar_medium": "recall, medium",
    "ar_large": "recall, large",
    "mask_map": "mask mAP, IoU 0.50 to 0.95",
    "mask_map50": "mask mAP at IoU 0.5",
    "mask_map75": "mask mAP at IoU 0.75",
    "mask_map_small": "mask mAP, small (to 32² pixels)",
    "mask_map_medium": "mask mAP, medium",
    "mask_map_large": "mask mAP, large (from 96²)",
    "mask_ar1": "recall with 1 mask",
    "mask_ar10": "recall with 10 masks",
    "mask_ar": "recall with 100 masks",
    "mask_ar_small": "mask recall, small",
    "mask_ar_medium": "mask recall, medium",
    "mask_ar_large": "mask recall, large",
    "miou": "mean IoU of the classes",
    "dice": "mean Dice of the classes",
    "pixel_accuracy": "pixels that are right",
    "mean_accuracy": "mean recall of the classes",
    "boundary_f1": "F1 of the contours",
    "mean_iou": "mean IoU",
    "iou50": "IoU of 0.5 and more",
    "localized": "that and the right class",
    "class_accuracy": "right class",
    "presence_accuracy": "rightly there or not",
    "nme": "normalized mean error",
    "median_nme": "median error",
    "baseline_nme": "error of the mean shape",
    "failure_rate": "failures",
    "auc": "area under the curve",
    "accuracy_within": "accuracy within a group",
    "eer": "equal error rate",
    "verification_accuracy": "same or not, ten folds",
    "verification_accuracy_error": "its standard error",
    "tar_at_far_0.01": "the same accepted, 1 % of others too",
    "tar_at_far_0.001": "the same accepted, 0.1 % of others too",
    "recall_at_1": "nearest is the same",
    "recall_at_5": "one of five nearest is",
    "map_at_r": "MAP@R",
    "fid": "FID",
    "real_fid": "FID of real halves",
    "kid": "KID",
    "diversity": "diversity, as a share of the real",
    "classes_found": "classes drawn",
    "smallest_share": "of the rarest class",
    "largest_share": "of the commonest class",
    "class_entropy": "evenness of the classes",
    "confidence": "sureness of the judge",
    "pixels_accuracy": "accuracy by bare pixels",
    "pixels_accuracy_within": "within a group by bare pixels",
    "pixels_auc": "area by bare pixels",
    "psnr": "PSNR, dB",
    "ssim": "SSIM",
    "perceptual": "perceptual distance",
    "bicubic_psnr": "PSNR of bicubic, dB",
    "bicubic_ssim": "SSIM of bicubic",
    "bicubic_perceptual": "distance of bicubic",
}
# Metrics that are no share of 1, or are not told as one; and those that are better when smaller.
PLAIN = frozenset(
    {"nll", "psnr", "fid", "loss", "l1", "nme", "median_nme", "baseline_nme", "rate"}
) | {"threshold", "real_fid", "kid", "classes_found", "class_entropy"}
PLAIN |= {"ssim", "perceptual", "bicubic_psnr", "bicubic_ssim", "bicubic_perceptual"}
SMALLER = frozenset(
    {"nll", "ece", "fid", "loss", "l1", "nme", "median_nme", "baseline_nme", "failure_rate", "eer"}
) | {"real_fid", "kid", "perceptual", "bicubic_perceptual"}
THINGS = {
    "detect": "boxes",
    "instances": "objects",
    "segment": "pixels",
}  # what the samples of a class are
COLUMNS = {
    "iou": "IoU",
    "dice": "Dice",
    "boundary_f1": "F1 of contours",
    "f1": "F1",
    "ap": "AP",
    "ap50": "AP at 0.5",
    "ap75": "AP at 0.75",
    "ar": "recall",
    "mean_iou": "mean IoU",
    "iou50": "IoU ≥ 0.5",
    "class_accuracy": "right class",
    "nme": "mean error",
}
CLASS_LEADS = {
    "iou": "IoU: of the pixels that are of the class or were said to be, the share that is both. Dice: "
    "twice the pixels that are both, of the sum of the two. Contours count as right within 0.75 % of "
    "the picture's diagonal.",
    "precision": "Precision: of those it called so, how many were. Recall: of those that were, how "
    "many it found. F1 is the harmonic mean of both.",
    "ap": "AP: the area below the line of precision against recall, as a mean over overlaps (IoU) "
    "of 0.50 to 0.95, and where 0.5 or 0.75 is enough. Recall: the share of the objects that its "
    "100 surest boxes find, as the same mean.",
    "mean_iou": "IoU: the area that its box and the true one share, of the area of both.",
    "nme": "The mean distance from the true point, as a share of the length errors are measured by.",
}
MISTAKES = {
    "translate": "The least like first: what was given, what was made of it, and what is true.",
    "classify": "The surest first: what it said and how sure it was, then what the label says. Look "
    "here for wrong labels and for what the training pictures lack.",
    "detect": "Those with most objects missed or invented first. Dashed white: what is there; in "
    f"colour: what it said, from a score of {CONFIDENT:g} on. Look here for boxes that were never "
    "drawn, and for what the training pictures lack.",
    "instances": "Those with most objects missed or invented first, by their boxes. Dashed white: what "
    f"is there; in colour: what it said, from a score of {CONFIDENT:g} on.",
    "segment": "Those with the largest share of wrong pixels first. On the left what is there, on the "
    "right what it said.",
    "localize": "The worst first. Dashed white: what is there; in colour: what it said.",
    "match": "Pictures whose most similar other one shows somebody else, the most similar first: on the "
    "left the picture, on the right the one it was taken for. Look here for wrong folders.",
    "upscale": "The lowest PSNR first, where it is farthest from the truth: bicubic interpolation, what "
    "was made, and what is true.",
    "landmarks": "The largest error first. Rings: where the points are; discs: where it said.",
}
