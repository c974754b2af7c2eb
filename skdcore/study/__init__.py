"""From records to pages: experiments, statistics, claims, sentences, tables, figures, notebooks.

The core, `skdcore`, imports this package only inside the commands that need it.
"""
