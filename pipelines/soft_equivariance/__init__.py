"""Relaxing Equivariance Constraints with Non-stationary Continuous Filters (van der Ouderaa et al., 2022).

A kernel network sees, beside relative coordinates, the absolute angle or position times a frequency omega'.
At 0 the layer is strictly equivariant; the larger omega', the less.
"""
