"""Training engine: plain torch, several seeds at once, data on the device, resume after a kill.

from shared.train import FitSettings, TrainingSet, fit
"""

from shared.train.checkpoints import load_checkpoint, save_checkpoint
from shared.train.loop import fit
from shared.train.precision import precision
from shared.train.predict import accuracy, guesses, predict
from shared.train.replicas import stack, unstack
from shared.train.session import Fit, TrainingSet
from shared.train.settings import FitSettings, TrainingDiverged, TrainingInterrupted

__all__ = [
    "Fit",
    "FitSettings",
    "TrainingDiverged",
    "TrainingInterrupted",
    "TrainingSet",
    "accuracy",
    "fit",
    "guesses",
    "load_checkpoint",
    "precision",
    "predict",
    "save_checkpoint",
    "stack",
    "unstack",
]
