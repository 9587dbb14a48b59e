"""Search over predictors. No TensorFlow.

Example:
    from ofa_tf.search import Constraint, evolutionary_search
    result = evolutionary_search(space, accuracy_predictor, [Constraint("macs", 200e6)])
"""

from ofa_tf.search.budget import Budget
from ofa_tf.search.candidate import Candidate
from ofa_tf.search.constraint import Constraint
from ofa_tf.search.evolution import evolutionary_search
from ofa_tf.search.pareto import pareto_search
from ofa_tf.search.pareto_front import ParetoFront
from ofa_tf.search.random_search import random_search
from ofa_tf.search.result import SearchResult

__all__ = [
    "Budget",
    "Candidate",
    "Constraint",
    "ParetoFront",
    "SearchResult",
    "evolutionary_search",
    "pareto_search",
    "random_search",
]
