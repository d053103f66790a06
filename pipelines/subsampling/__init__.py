"""Using and Abusing Equivariance (Edixhoven, Lengyel, van Gemert, ICCV-W 2023, arXiv 2308.11316).

Subsampling breaks the exact equivariance of p4 networks unless (size + 2 padding - kernel) is divisible
by the stride; networks use the break to tell orientations apart.
"""
