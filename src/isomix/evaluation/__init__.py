"""How good stems are: figures against true stems, and hints where there are none.

Only here are stems called references (the true ones) and estimates (those to be judged).
"""

from isomix.evaluation.evaluator import evaluate
from isomix.evaluation.hints import Hints, StemHints, inspect_stems
from isomix.evaluation.scores import BssEval, Evaluation, StemScores

__all__ = ["BssEval", "Evaluation", "Hints", "StemHints", "StemScores", "evaluate", "inspect_stems"]
