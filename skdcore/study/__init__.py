"""From records to pages: experiments, statistics, claims, sentences, tables, figures, notebooks.

The core, `skdcore`, never imports this package.
"""
