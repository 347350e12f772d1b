"""The two types that a network can be computed in."""

ctypedef fused real:
    float
    double
