"""Reports: tables, figures, one report per paper, and one page for all; made from results, without torch.

    from shared.report import page, render
    render.render("subsampling")          # reports/subsampling/
    page.write()                          # reports/index.html, reports/index.md, README.md

What a pipeline's ``tables.py`` and ``figures.py`` use lies in `results`, `tables`, `claims` and `figures`.
matplotlib is loaded when the first figure is drawn.
"""
