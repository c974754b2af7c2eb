"""From records to pages.  The core, `skdcore`, imports this package only inside the commands that need it.

Its modules, from study.yml to the pages of the book.  Each imports only those that stand before it.

    contents, definition, experiments, equal_cost, queue, links: what there is, what is to be run, and where it stands
    statistics, rows, evidence, claims, costs: what the records say
    quantities, display, described, tables, figures, sentences, metrics, curves: how a page says it
    body, beyond_accuracy, variance: Tables I to IV and Figures 3, 6 and 7
    confidence, attention, features, drawings, pictures: Figures 5, 8 and 9
    measured, assessment, claims_page, time_and_storage: the verdict on each claim, and Figure 4
    when, equal_cost_page, advice, power: what the paper does not ask
    by_hand, faults, all_runs, predictions, run_pages, descriptions: the other pages
    notebook, kernels, install, pages, __main__: notebooks become the book
"""
