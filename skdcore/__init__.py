"""Self-knowledge distillation: DRG, DSR and what they are compared with.

Its modules, from the equations outwards; start reading at `losses`.  Each imports only those that stand before it.

    errors, progress, vision: what all the others may use
    losses, step, sums, models, parts, methods: the paper, and its baselines
    image_files, resized, resized_crop, draw_glyphs, datasets, fine_grained, data: images
    run, precision, capture, measures, records, machine, state, checkpoint, stop, train: one run
    rehearsal, preload, sweep: many runs
    bench: what a step costs
    __main__: the command line
"""
