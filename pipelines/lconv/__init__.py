"""Lie Algebra Convolutional Networks with Automatic Symmetry Extraction (Dehmamy, Walters, Liu, Yu, 2020).

L-conv sums ``L_i h W^i`` over learned generators L_i of low rank that mix the pixels, in place of the shifts
of a convolution, and so needs no knowledge of the symmetry, or of which pixels are neighbors.
"""
