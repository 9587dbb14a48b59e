"""Search over predictors. No TensorFlow.

Example:
    from ofa_tf.search import Constraint, evolutionary_search
    result = evolutionary_search(space, accuracy_predictor, [Constraint("macs", 200e6)])
"""

from ofa_tf.search.budget import Budget, Candidate
from ofa_tf.search.constraint import Constraint
from ofa_tf.search.evolution import SearchResult, evolutionary_search
from ofa_tf.search.pareto import ParetoFront, pareto_search
from ofa_tf.search.random_search import random_search

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
